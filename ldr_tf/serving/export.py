"""SavedModel export of a run's network for TF Serving, with its model card and serving kit."""

import contextlib
import os
import shutil

import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from ldr_tf.config import public_config
from ldr_tf.errors import InputError
from ldr_tf.files import (
    atomic_path,
    check_output_folder,
    only_writer,
    replaced_folder,
    write_json,
)
from ldr_tf.runs.checkpoints import load_run, write_config
from ldr_tf.serving import card, kit
from ldr_tf.serving.signatures import ServingModule, input_shapes

EXTRA_NAME = "assets.extra"
"""Folder in a SavedModel for what loading it does not need: the run's config.json, the kit."""

CARD_NAME = "model.json"


def export(run, output, version=1, *, xla=False, half_flow=False, overwrite=False, measure=None):
    """Writes the SavedModel of a run as `output/version`, whole or not at all.

    The graph, see `ldr_tf.serving.signatures.ServingModule`, holds only the student (or teacher)
    and, without `xla`, only plain TensorFlow operations. The model card, README.md and model.json,
    is beside saved_model.pb, where people look first; TensorFlow reads neither. What a server needs
    is in assets.extra.

    Args:
      run: run folder.
      output: model folder in TF Serving's sense, created if missing; its name is the model's.
      version: number of the version.
      xla: whether the warp is compiled by XLA.
      half_flow: whether `register_uint8` returns float16.
      overwrite: whether an existing version may be replaced.
      measure: called with the folder of the SavedModel, returns the cost of one pair as
        `ldr_tf.serving.kit.kit_text` takes it; None leaves it out.

    Returns:
      The path of the version's folder.

    Raises:
      InputError: the run cannot be loaded, the version is there already or, where it may be
        overwritten, is no exported model, or another process is writing it.
    """
    target = os.path.join(output, str(version))
    _check_target(target, overwrite)
    check_output_folder(output)
    network = load_run(run, compiled_warp=xla)
    config = public_config(network.run_config)
    module = ServingModule(network, config, half_flow)
    model = os.path.basename(os.path.abspath(output))
    options = {"xla": xla, "half_flow": half_flow}
    os.makedirs(output, exist_ok=True)
    with contextlib.ExitStack() as held:
        held.enter_context(only_writer(output, f".{version}.lock"))
        _check_target(target, overwrite)  # another process may have finished it meanwhile
        temporary = held.enter_context((replaced_folder if overwrite else atomic_path)(target))
        tf.saved_model.save(module, temporary, signatures=module.functions())
        _tell_shapes(temporary, module.size)
        extra = os.path.join(temporary, EXTRA_NAME)
        write_config(extra, config)
        kit.write_configuration(extra, model)
        warm = kit.has_serving_api()
        if warm:
            kit.write_warm_up(os.path.join(extra, kit.WARM_UP_NAME), model, module.size)
        cost = None if measure is None else measure(temporary)
        content = card.card(network, config, card.evaluation_figures(run), options)
        content.update(name=model, version=version, cost=cost)
        write_json(os.path.join(temporary, CARD_NAME), content)
        text = kit.kit_text(model, version, module.size, options, cost, warm)
        with open(os.path.join(temporary, "README.md"), "w", encoding="utf-8") as file:
            file.write(card.card_text(content, text))
        # An empty folder, and a digest of saved_model.pb from before the shapes were written.
        shutil.rmtree(os.path.join(temporary, "assets"), ignore_errors=True)
        os.remove(os.path.join(temporary, "fingerprint.pb"))
    return target


def _check_target(target, overwrite):
    if os.path.lexists(target) and not overwrite:
        raise InputError(f"{target}: exists already; choose another version, or overwrite it.")
    if os.path.lexists(target) and not os.path.isfile(os.path.join(target, "saved_model.pb")):
        raise InputError(f"{target}: is no exported model, so it is not overwritten.")


def _tell_shapes(folder, size):
    """Writes the tensors' shapes into the description of the signatures.

    The graph does not know them until it has checked them; a server's metadata and saved_model_cli
    show the description.
    """
    path = os.path.join(folder, "saved_model.pb")
    with open(path, "rb") as file:
        model = SavedModel.FromString(file.read())
    for name, inputs in input_shapes(size).items():
        for tensor, shape in inputs.items():
            told = model.meta_graphs[0].signature_def[name].inputs[tensor].tensor_shape
            told.unknown_rank = False
            del told.dim[:]
            for extent in shape:
                told.dim.add(size=extent)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
