"""Which weights of a training are kept: the latest, and the best by validation."""

import os

import tensorflow as tf

from ldr_tf.files import read_json, write_json
from ldr_tf.runs import checkpoints

BEST_NAME = "best"
_FIGURES_NAME = "validation.json"
_JUDGED_BY = "dice"


class SavingError(RuntimeError):
    """The run folder could not be written to; earlier checkpoints are intact."""


class Keeper:
    """Writes a run's checkpoints, and the network of highest validation Dice into its `best/`.

    `best/` is a run folder of its own: every command takes RUN/best as a run.
    """

    def __init__(self, state, folder):
        """Opens the run folder of a `TrainingState`."""
        self._state = state
        self._best = os.path.join(folder, BEST_NAME)
        keep = state.config.optimisation.keep_checkpoints
        self._last_manager = checkpoints.manager(state.checkpoint, folder, keep)
        network = tf.train.Checkpoint(network=state.result)
        self._best_manager = checkpoints.manager(network, self._best, keep=1)
        self._highest = self._read_highest()

    def save(self, step):
        """Writes everything that a training needs to resume.

        Raises:
          SavingError: the checkpoint cannot be written.
        """
        self._write(self._last_manager, step)

    def save_if_best(self, step, figures):
        """Writes the network if its Dice is the highest so far; returns whether it did."""
        score = figures.get(_JUDGED_BY)
        if score is None or (self._highest is not None and score <= self._highest):
            return False
        checkpoints.write_config(self._best, self._state.config)
        self._write(self._best_manager, step)
        write_json(os.path.join(self._best, _FIGURES_NAME), {"step": step, **figures})
        self._highest = score
        return True

    def _read_highest(self):
        path = os.path.join(self._best, _FIGURES_NAME)
        return read_json(path).get(_JUDGED_BY) if os.path.exists(path) else None

    def _write(self, manager, step):
        try:
            manager.save(checkpoint_number=step)
        except (OSError, tf.errors.OpError) as error:
            reason = str(error).strip().splitlines()[0]
            raise SavingError(
                f"{manager.directory}: the checkpoint of step {step} cannot be written ({reason}); "
                "earlier ones are intact."
            ) from error
