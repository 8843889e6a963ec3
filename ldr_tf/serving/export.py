"""Export of a run's network for TF Serving or another runtime, with its model card."""

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
from ldr_tf.serving import card, conversion, kit
from ldr_tf.serving.signatures import ServingModule, input_shapes

EXTRA_NAME = "assets.extra"
"""Folder in a SavedModel for what loading it does not need: the run's config.json, the kit."""

CARD_NAME = "model.json"


def export(
    run,
    output,
    version=1,
    *,
    form="saved_model",
    xla=False,
    half_flow=False,
    precision="float32",
    overwrite=False,
    measure=None,
):
    """Writes the network of a run as `output/version`, whole or not at all.

    The graph, see `ldr_tf.serving.signatures.ServingModule`, holds only the student (or teacher)
    and, without `xla`, only plain TensorFlow operations. The model card, README.md and model.json,
    is beside saved_model.pb, where people look first; TensorFlow reads neither. What a server needs
    is in assets.extra. In another form than a SavedModel there is `serving_default` alone, without
    its assertions, see `ldr_tf.serving.conversion`.

    Args:
      run: run folder.
      output: model folder in TF Serving's sense, created if missing; its name is the model's.
      version: number of the version.
      form: "saved_model", or one of `ldr_tf.serving.conversion.FORMS`.
      xla: whether the warp is compiled by XLA.
      half_flow: whether `register_uint8` returns float16.
      precision: in which the graph computes, see `ldr_tf.runs.checkpoints.load_run`; it says
        float32 by default, since a server's processor may be another than this one.
      overwrite: whether an existing version may be replaced.
      measure: called with the folder of the SavedModel, returns the cost of one pair as
        `ldr_tf.serving.kit.kit_text` takes it; None leaves it out, as does another form.

    Returns:
      The path of the version's folder.

    Raises:
      InputError: the run cannot be loaded, the version is there already or, where it may be
        overwritten, is no exported model, or another process is writing it; the form has no such
        option, its packages are not installed, or it computes something else than the network.
    """
    converted = form != "saved_model"
    if converted:
        if xla or half_flow or precision != "float32":
            raise InputError(
                f"{form}: the compiled warp, the half flow and bfloat16 are a SavedModel's alone."
            )
        conversion.check_packages(form)
    target = os.path.join(output, str(version))
    _check_target(target, overwrite)
    check_output_folder(output)
    network = load_run(run, compiled_warp=xla, precision=precision)
    config = public_config(network.run_config)
    module = ServingModule(network, config, half_flow)
    model = os.path.basename(os.path.abspath(output))
    options = {"form": form, "xla": xla, "half_flow": half_flow}
    os.makedirs(output, exist_ok=True)
    with contextlib.ExitStack() as held:
        held.enter_context(only_writer(output, f".{version}.lock"))
        _check_target(target, overwrite)  # another process may have finished it meanwhile
        temporary = held.enter_context((replaced_folder if overwrite else atomic_path)(target))
        content = card.card(network, config, card.evaluation_figures(run), options)
        content.update(name=model, version=version)
        if converted:
            content["conversion"] = conversion.convert(form, module, temporary)
            text = conversion.conversion_text(form, module.size, content["conversion"])
            write_config(os.path.join(temporary, EXTRA_NAME), config)
        else:
            content["cost"], text = _write_saved_model(module, config, temporary, content, measure)
        write_json(os.path.join(temporary, CARD_NAME), content)
        with open(os.path.join(temporary, "README.md"), "w", encoding="utf-8") as file:
            file.write(card.card_text(content, text))
    return target


def _write_saved_model(module, config, folder, content, measure):
    """Writes the SavedModel with its kit; returns the cost of a pair and the README's section."""
    model = content["name"]
    tf.saved_model.save(module, folder, signatures=module.functions())
    _tell_shapes(folder, module.size)
    extra = os.path.join(folder, EXTRA_NAME)
    write_config(extra, config)
    kit.write_configuration(extra, model)
    warm = kit.has_serving_api()
    if warm:
        kit.write_warm_up(os.path.join(extra, kit.WARM_UP_NAME), model, module.size)
    cost = None if measure is None else measure(folder)
    # An empty folder, and a digest of saved_model.pb from before the shapes were written.
    shutil.rmtree(os.path.join(folder, "assets"), ignore_errors=True)
    os.remove(os.path.join(folder, "fingerprint.pb"))
    text = kit.kit_text(model, content["version"], module.size, content["export"], cost, warm)
    return cost, text


def _check_target(target, overwrite):
    if os.path.lexists(target) and not overwrite:
        raise InputError(f"{target}: exists already; choose another version, or overwrite it.")
    names = ["saved_model.pb", *conversion.FILES.values()]
    found = any(os.path.isfile(os.path.join(target, name)) for name in names)
    if os.path.lexists(target) and not found:
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
