"""Run folders: config.json, checkpoints/ and whatever the training logs beside them."""

import os

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from ldr_tf import config as configs
from ldr_tf import records
from ldr_tf.errors import InputError
from ldr_tf.files import new_folder, read_json, write_json
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs import packed
from ldr_tf.runs import precision as precisions

CONFIG_NAME = "config.json"
CHECKPOINTS_NAME = "checkpoints"

DAMAGE = (
    AssertionError,
    AttributeError,
    DecodeError,
    IndexError,
    KeyError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
"""What TensorFlow raises where a checkpoint is damaged or another network's."""


def write_config(folder, config):
    """Creates the run folder where needed and writes its config.json."""
    os.makedirs(folder, exist_ok=True)
    write_json(os.path.join(folder, CONFIG_NAME), records.to_dict(config))


def read_config(folder):
    """Returns the RunConfig of a run folder; InputError says what is missing or wrong in it."""
    path = os.path.join(folder, CONFIG_NAME)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: is not a run folder (no such folder).")
    if not os.path.isfile(path):
        raise InputError(f"{folder}: is not a run folder (it has no {CONFIG_NAME}).")
    try:
        return configs.run_config(read_json(path))
    except InputError as error:
        sentence = str(error)
        raise InputError(sentence if path in sentence else f"{path}: {sentence}") from error


def manager(checkpoint, folder, keep):
    """Returns the tf.train.CheckpointManager of a run folder, keeping the last `keep`."""
    return tf.train.CheckpointManager(
        checkpoint, os.path.join(folder, CHECKPOINTS_NAME), max_to_keep=keep
    )


def latest_checkpoint(folder):
    """Returns the path of the run's last checkpoint, or None."""
    return tf.train.latest_checkpoint(os.path.join(folder, CHECKPOINTS_NAME))


def restore(checkpoint, path):
    """Restores every object of `checkpoint` that has values; InputError where they do not fit."""
    try:
        status = checkpoint.restore(path)
        status.assert_existing_objects_matched()
        status.expect_partial()
    except DAMAGE as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{path}: is not a readable checkpoint of this network ({reason})."
        ) from error


def check_finite(network, name):
    """Refuses, with InputError, a network with weights that are NaN or infinite."""
    for variable in network.variables:
        if not np.isfinite(variable.numpy()).all():
            raise InputError(
                f"{name}: the weight {variable.name} is not finite; the network answers nothing."
            )


def write_run(folder, network, config):
    """Writes a network that was not trained here as the run folder of a RunConfig, whole or not.

    Raises:
      InputError: the folder is there already, or another process is making it.
    """
    with new_folder(folder) as temporary:
        write_config(temporary, config)
        checkpoint = tf.train.Checkpoint(network=network)
        manager(checkpoint, temporary, keep=1).save(checkpoint_number=0)


def load_run(folder, compiled_warp=True, precision="auto"):
    """Loads the network of a run folder.

    Args:
      folder: of a training run, an import or a packed run, or the name of a model that comes with
        the package.
      compiled_warp: False keeps the network to plain TensorFlow operations, for exports.
      precision: one of `ldr_tf.config.network.RUN_PRECISIONS`. In bfloat16 the dense stems are
        faster on processors that have instructions for it, with a flow some hundredths of a voxel
        off (docs/performance.md); "auto" takes it there for packed runs of which that is known,
        and float32 for any other.

    Returns:
      The `CascadeNetwork`, called as `network(fixed, moving)` on float32 volumes
      [B, x, y, z, 1] in 0..1; its `run_config` is the run's.

    Raises:
      InputError: the folder is no run, has no checkpoint, or one that does not fit, is damaged or
        holds weights that are not finite; the network does not bear bfloat16.
      ValueError: there is no such precision.
    """
    name, folder = folder, packed.find_run(folder)
    config = read_config(folder)
    path = latest_checkpoint(folder)
    is_packed = os.path.isfile(os.path.join(folder, packed.WEIGHTS_NAME))
    if path is None and not is_packed:
        raise InputError(f"{folder}: has no checkpoint yet; train it first.")
    error = packed.read_bfloat16_error(folder) if is_packed else None
    chosen = precisions.choose(precision, error)
    network = CascadeNetwork(config.network, compiled_warp, precisions.POLICIES[chosen])
    network.run_config, network.bfloat16_error = config, error
    if is_packed:
        packed.read_weights(folder, network)
    else:
        restore(tf.train.Checkpoint(network=network), path)
        check_finite(network, path)
    if chosen == "bfloat16":
        if error is None:
            network.bfloat16_error = _bfloat16_error(network)
        precisions.check_error(name, network.bfloat16_error)
    return network


def _bfloat16_error(network):
    """Returns by how much bfloat16 changes the flow of a network, of either precision, voxels."""
    twins = {network.precision: network}
    for policy in precisions.POLICIES.values():
        if policy not in twins:
            twins[policy] = CascadeNetwork(network.config, network.compiled_warp, policy)
            twins[policy].set_weights(network.get_weights())
    return precisions.bfloat16_error(*[twins[p] for p in precisions.POLICIES.values()])


def pack_run(run, folder, card):
    """Writes a run as a packed one (see `ldr_tf.runs.packed`), whole or not at all.

    Where this processor has instructions for bfloat16, what it costs this network is measured,
    before its weights are rounded.

    Args:
      run: run folder.
      folder: to be made; must not exist.
      card: the model card, text.

    Returns:
      By how much bfloat16 changes the network's flow, voxels; None where nobody measured it.

    Raises:
      InputError: as `load_run`; the folder exists; a weight does not fit half precision.
    """
    if os.path.lexists(folder):
        raise InputError(f"{folder}: exists already.")
    network = load_run(run, precision="float32")
    error = network.bfloat16_error
    if precisions.has_bfloat16():
        error = _bfloat16_error(network)
    with new_folder(folder) as temporary:
        write_config(temporary, configs.public_config(network.run_config))
        packed.write_weights(temporary, network, error)
        with open(os.path.join(temporary, packed.CARD_NAME), "w", encoding="utf-8") as file:
            file.write(card)
    return error
