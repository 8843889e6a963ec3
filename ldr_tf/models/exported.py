"""A model that `ldr_tf.serving.export` has written, run in this process."""

import math
import os

import tensorflow as tf

from ldr_tf.errors import InputError
from ldr_tf.models.model import RegistrationModel
from ldr_tf.runs import checkpoints
from ldr_tf.serving import card, export


class ExportedModel(RegistrationModel):
    """A SavedModel; takes volumes of the very size in its config."""

    def __init__(self, folder):
        """Loads it.

        Args:
          folder: a version's, see `version_folder`.

        Raises:
          InputError: it is damaged, or no export of ours.
        """
        config = checkpoints.read_config(os.path.join(folder, export.EXTRA_NAME))
        precision = card.exported_precision(os.path.join(folder, export.CARD_NAME))
        super().__init__(folder, config, free_size=False, precision=precision)
        try:
            self._module = tf.saved_model.load(folder)  # must outlive its signature
            self._serve = self._module.signatures["serving_default"]
        except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
            raise InputError(f"{folder}: the SavedModel cannot be loaded.") from error

    @property
    def parameters(self):
        return sum(math.prod(variable.shape) for variable in self._module.weights)

    def _weights(self):
        return [weight.numpy() for weight in self._module.weights]

    def _flow(self, fixed, moving):
        return self._serve(fixed=tf.constant(fixed), moving=tf.constant(moving))["flow"]


def version_folder(name):
    """Returns the folder of the (highest) SavedModel in or at `name`, None where there is none."""
    if _is_saved_model(name):
        return name
    if not os.path.isdir(name):
        return None
    versions = [entry for entry in os.listdir(name) if entry.isdigit()]
    folders = [os.path.join(name, version) for version in sorted(versions, key=int)]
    return next((folder for folder in reversed(folders) if _is_saved_model(folder)), None)


def _is_saved_model(folder):
    return os.path.isfile(os.path.join(folder, "saved_model.pb"))
