"""SavedModel export of a run's network, for TF Serving: plain TensorFlow operations only."""

import os

import tensorflow as tf

from ldr_tf.checkpoints import load_run, write_config
from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, check_output_folder

EXTRA_NAME = "assets.extra"
"""Folder in a SavedModel for what TensorFlow does not look at; it holds the run's config.json."""


class ServingModule(tf.Module):
    """A network as it is served.

    Its function `serve` takes `fixed` and `moving`, float32 [batch, x, y, z, 1], intensities as
    in files, 0..255, and returns `flow` (float32 [batch, x, y, z, 3], voxels) and `warped`
    (0..255). The intensity scaling travels inside.
    """

    def __init__(self, network):
        super().__init__()
        # The weights alone are tracked: Keras would save descriptions of its layers too.
        self.weights = network.variables
        shape = [None, *network.config.network.image_size, 1]

        def serve(fixed, moving):
            answer = network(fixed / INTENSITY_MAX, moving / INTENSITY_MAX)
            return {"flow": answer.flow, "warped": answer.warped * INTENSITY_MAX}

        self.serve = tf.function(
            serve,
            input_signature=[tf.TensorSpec(shape, name=name) for name in ("fixed", "moving")],
            autograph=False,
        )


def export(run, output, version=1):
    """Writes the SavedModel of a run as `output/version`, whole or not at all.

    Args:
      run: run folder.
      output: model folder in TF Serving's sense; made where needed.
      version: number of the version.

    Returns:
      The path of the version's folder.

    Raises:
      InputError: the run cannot be loaded, or the version is there already.
    """
    target = os.path.join(output, str(version))
    if os.path.exists(target):
        raise InputError(f"{target}: exists already; choose another version.")
    check_output_folder(output)
    network = load_run(run, compiled_warp=False)
    module = ServingModule(network)
    os.makedirs(output, exist_ok=True)
    with atomic_path(target) as temporary:
        tf.saved_model.save(module, temporary, signatures={"serving_default": module.serve})
        write_config(os.path.join(temporary, EXTRA_NAME), network.config)
    return target
