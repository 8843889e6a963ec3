"""Who listens to a training."""


class Observer:
    """What a training tells; this one listens to nothing."""

    def on_run(self, config, parameters, first_step):
        """A run is ready: its RunConfig, the network's parameters, the step it goes on from."""

    def on_start(self, first_step, last_step):
        """The loop is about to take the steps `first_step` to `last_step - 1`."""

    def on_step(self, step):
        """A step was taken; `step` counts from 1."""

    def on_scalars(self, step, scalars):
        """The newest losses by name, every `summarize_every` steps."""

    def on_validation(self, step, figures):
        """Figures of the validation, by name."""

    def on_end(self):
        """The loop leaves, finished or not."""
