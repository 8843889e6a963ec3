"""The interface through which a training reports."""


class Observer:
    """Is told of a training's progress; this base class ignores it."""

    def on_run(self, config, parameters, first_step):
        """A run is ready: its RunConfig, its number of parameters, the step it starts from."""

    def on_start(self, first_step, last_step):
        """The loop is about to take the steps `first_step` to `last_step - 1`."""

    def on_step(self, step):
        """A step was taken; `step` counts from 1."""

    def on_scalars(self, step, scalars):
        """The newest losses by name, every `summarize_every` steps."""

    def on_validation(self, step, figures):
        """Figures of the validation, by name."""

    def on_end(self):
        """The loop ends, finished or not."""
