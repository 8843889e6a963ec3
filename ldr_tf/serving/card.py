"""The model card of an export: model.json for programs, README.md for people."""

import hashlib
import json
import os

import ldr_tf
from ldr_tf import records
from ldr_tf.errors import InputError
from ldr_tf.files import read_json
from ldr_tf.runs.precision import POLICIES, precision_of
from ldr_tf.runs.validations import read_validations

LICENCE = "MIT (the code; the terms of the training data may bind the weights further)"

_INTENSITIES = {
    "percentile": "0 to the foreground's 99.5th percentile, to 0..255",
    "ct_abdomen": "-160 to 240 HU, to 0..255",
    "minmax": "minimum to maximum, to 0..255",
    "none": "0..255 as in the files",
}
_CROPS = {
    "none": "the whole scan",
    "foreground": "the box around head or body",
    "labels": "the box around the labels",
}


def config_hash(config):
    """Returns the SHA-256 of a RunConfig: of its JSON with sorted keys and without spaces."""
    text = json.dumps(records.to_dict(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def evaluation_figures(run):
    """Returns the last validation in a run folder, {"step": ..., name: figure}, or {}.

    That is validation.json (in RUN/best), else the last of `read_validations`.
    """
    path = os.path.join(run, "validation.json")
    if os.path.isfile(path):
        found = read_json(path)
        if not isinstance(found, dict):
            raise InputError(f"{path}: must be an object with figures.")
        return found
    found = read_validations(run)
    step = max(found, default=None)
    return {} if step is None else {"step": step, **found[step]}


def card(network, config, figures, options):
    """Returns the content of model.json.

    Args:
      network: the CascadeNetwork.
      config: a RunConfig from `ldr_tf.config.public_config`.
      figures: from `evaluation_figures`.
      options: {"form", "xla", "half_flow"}: how it was exported.
    """
    return {
        "network": records.to_dict(config.network),
        "parameters": int(network.count_params()),
        "image_size": list(config.network.image_size),
        "image": records.to_dict(config.image),
        "precision": precision_of(network),
        "bfloat16_error": network.bfloat16_error,
        "intensities": "0..255 as in files; the scaling to 0..1 is in the graph",
        "training_data": _training_data(config),
        "evaluation": figures,
        "export": options,
        "licence": LICENCE,
        "config_sha256": config_hash(config),
        "ldr_tf": ldr_tf.__version__,
    }


def exported_precision(path):
    """Returns in which precision the export computes whose model.json lies at `path`.

    Raises:
      InputError: the file is missing, or says something that is no precision.
    """
    content = read_json(path)
    # Earlier versions had no other than float32.
    found = content.get("precision", "float32") if isinstance(content, dict) else None
    if not isinstance(found, str) or found not in POLICIES:
        raise InputError(f"{path}: precision must be one of {', '.join(POLICIES)}, not {found!r}.")
    return found


def card_text(content, kit):
    """Returns README.md: the card in words, then `kit`, the section about serving."""
    network, image = content["network"], content["image"]
    size = " x ".join(map(str, content["image_size"]))
    stem = network["affine_stem"]
    spacing = image["spacing"] and " x ".join(map(str, image["spacing"]))
    figures = {k: v for k, v in content["evaluation"].items() if k != "step"}
    step = content["evaluation"].get("step")
    rows = [
        ("network", f"{network['base_network']}, {network['cascades']} cascade(s) of "
         f"{network['channels']} channels, each {network['rep']} time(s), "
         f"{network['descents']} learned step(s), affine stem: {stem}"),
        ("parameters", f"{content['parameters']:,}"),
        ("image size", f"{size} voxels; batch size free"),
        ("orientation of x, y, z", image["orientation"]),
        ("voxel size", f"{spacing} mm" if spacing else "the region below, fitted to the grid "
         f"({image['fit']})"),
        ("region", _CROPS[image["crop"]]),
        ("intensities of a scan", f"{_INTENSITIES[image['intensity']]} ({image['intensity']})"),
        ("intensities in the tensors", content["intensities"]),
        ("precision", _precision(content)),
        ("training data", content["training_data"]),
        ("export", _export(content["export"])),
        ("licence", content["licence"]),
        ("config, SHA-256", f"`{content['config_sha256']}`"),
        ("made by", f"ldr_tf {content['ldr_tf']}"),
    ]  # fmt: skip
    lines = ["# Deformable registration of 3D scans", ""]
    lines += ["| | |", "| --- | --- |", *[f"| {name} | {text} |" for name, text in rows], ""]
    if figures:
        lines += [f"Validation at step {step:.0f}:" if step is not None else "Validation:", ""]
        lines += [f"- {name}: {value:.4g}" for name, value in figures.items()]
    else:
        lines += ["No validation figures came with the run."]
    return "\n".join([*lines, "", kit])


def _precision(content):
    if content["precision"] == "float32":
        return "float32"
    return (
        "convolutions in bfloat16, for processors with instructions for it; it changes the flow by "
        f"at most {content['bfloat16_error']:.2g} voxel on generated pairs"
    )


def _export(options):
    if options["form"] != "saved_model":
        return options["form"]
    return (
        f"XLA {'on' if options['xla'] else 'off'}, flow of register_uint8 "
        f"{'float16' if options['half_flow'] else 'float32'}"
    )


def _training_data(config):
    if not config.data.dataset:
        return "not recorded (an imported network)"
    source = {
        "scans": "its scans",
        "synthetic": "images painted from its label maps",
        "synthetic_t1": "T1-like images painted from its label maps",
        "synthetic_any": "images in any contrast, its label maps painted, its scans recoloured",
    }[config.data.images]
    teacher = config.distillation.teacher or config.distillation.teacher_flows
    taught = f", taught by {teacher}" if teacher else ""
    pairs = ", neighbouring pairs" if config.data.paired else ""
    return (
        f"{config.data.dataset}, subset {config.data.subset}: {source}{pairs}, "
        f"{config.optimisation.steps} steps of {config.optimisation.batch_size}{taught}"
    )
