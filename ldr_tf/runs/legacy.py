"""Weights of the original TensorFlow 1 code: Recursive Cascaded Networks and the LDR release.

Their checkpoints name a variable `gaffdfrm/<stem>/<layer>/W` (kernel) or `/b` (bias). The stems
are `affine_stem` (VTN's) or `ldr_util` (the release's first stem: an affine one, or on liver a
dense LDRReleased), then `deform_stem_0`, `deform_stem_1`, ...
"""

import os
import re
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from ldr_tf.config import NetworkConfig
from ldr_tf.errors import InputError
from ldr_tf.files import read_json
from ldr_tf.runs.checkpoints import DAMAGE

_SCOPE = "gaffdfrm"
# Variables that are no weights of the network, by what stands in their names.
_LEFT = {
    "training flag": re.compile(r"(^|/)is_training$"),
    "optimiser state": re.compile(
        r"(/(Adam|Adam_\d+|Momentum|RMSProp|RMSProp_\d+)|(^|/)(beta\d_power|global_step)(_\d+)?)$"
    ),
    "unused critic": re.compile(r"(^|/)d_(_\d+)?/"),
}
_NAMES_SHOWN = 6


class OriginalArguments(NamedTuple):
    """What the originals' args.json says; None where it does not.

    Attributes:
      base_network: in our names.
      cascades: number of dense stems.
      dataset: path of the JSON, as given there.
    """

    base_network: Optional[str] = None
    cascades: Optional[int] = None
    dataset: Optional[str] = None


def network_config(base_network, cascades, rep, anatomy, image_size):
    """Returns the NetworkConfig of an original network.

    Args:
      base_network: "VTN", "VoxelMorph" or "LDRReleased".
      cascades: dense stems, not counting the release's first stem.
      rep: repetitions with shared weights.
      anatomy: "brain" or "liver"; matters for LDRReleased alone, whose first stem on liver is
        dense too: one more cascade.
      image_size: voxels along x, y, z.

    Raises:
      InputError: no original code builds this.
    """
    if base_network not in ("VTN", "VoxelMorph", "LDRReleased"):
        raise InputError(
            f"base_network must be VTN, VoxelMorph or LDRReleased for an import, "
            f"not {base_network!r}."
        )
    affine_stem = "vtn"
    if base_network == "LDRReleased":
        affine_stem = "light"
        if anatomy == "liver":
            if cascades != 1:
                raise InputError(
                    "cascades must be 1 for LDRReleased on liver (the release builds no other), "
                    f"not {cascades}."
                )
            affine_stem, cascades = "none", 2
    return NetworkConfig(
        base_network=base_network,
        cascades=cascades,
        rep=rep,
        affine_stem=affine_stem,
        image_size=tuple(image_size),
    )


def find_checkpoint(path):
    """Returns the prefix of a checkpoint: `path` itself, or the last one in the folder `path`.

    Raises:
      InputError: there is none.
    """
    if os.path.isdir(path):
        numbers = [re.fullmatch(r"model-(\d+)\.index", name) for name in os.listdir(path)]
        steps = [int(match.group(1)) for match in numbers if match]
        if not steps:
            raise InputError(f"{path}: holds no checkpoint (no file model-NUMBER.index).")
        return os.path.join(path, f"model-{max(steps)}")
    prefix = re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", path)
    if not os.path.isfile(prefix + ".index"):
        raise InputError(f"{path}: is neither a checkpoint (no file {prefix}.index) nor a folder.")
    return prefix


def read_arguments(prefix):
    """Returns the OriginalArguments beside a checkpoint; empty ones where there is no args.json.

    Raises:
      InputError: the file is no JSON, or its fields are of other types than the original's.
    """
    path = os.path.join(os.path.dirname(prefix), "args.json")
    if not os.path.isfile(path):
        return OriginalArguments()
    values = read_json(path)
    if not isinstance(values, dict):
        raise InputError(f"{path}: is no args.json of the original code.")
    for field in ("base_network", "dataset"):
        if not isinstance(values.get(field), (str, type(None))):
            raise InputError(f"{path}: {field} must be a text, not {values[field]!r}.")
    name, cascades = values.get("base_network"), values.get("n_cascades")
    if isinstance(cascades, str) and cascades.isdecimal() and len(cascades) < 10:
        cascades = int(cascades)
    if cascades is not None and (type(cascades) is not int or cascades < 1):
        raise InputError(f"{path}: n_cascades must be a whole number above 0, not {cascades!r}.")
    return OriginalArguments(
        base_network="LDRReleased" if name == "LDR" else name,
        cascades=cascades,
        dataset=values.get("dataset"),
    )


def load_weights(network, prefix):
    """Fills a network with the weights of a TensorFlow 1 checkpoint.

    Args:
      network: `CascadeNetwork` built from `network_config`.
      prefix: of the checkpoint.

    Returns:
      The names of the checkpoint's variables that are no weights, by what they are.

    Raises:
      InputError: the checkpoint cannot be read, or its weights are not exactly the network's;
        the sentence lists what is missing, left over or of another shape.
    """
    wanted = original_variables(network)
    try:
        reader = tf.train.load_checkpoint(prefix)
        shapes = reader.get_variable_to_shape_map()
        kinds = reader.get_variable_to_dtype_map()
    except DAMAGE as error:
        raise _unreadable(prefix, error) from error
    left = {what: [n for n in shapes if form.search(n)] for what, form in _LEFT.items()}
    ours = set(shapes).difference(*left.values())
    _check_names(prefix, wanted, {name: tuple(shapes[name]) for name in ours})
    try:
        values = {name: reader.get_tensor(name) for name in wanted if kinds[name].is_floating}
    except DAMAGE as error:
        raise _unreadable(prefix, error) from error
    for name in wanted:
        if name not in values or not np.isfinite(values[name]).all():
            raise InputError(f"{prefix}: the weight {name} must be floats, all of them finite.")
    for name, variable in wanted.items():
        variable.assign(values[name])
    return {what: sorted(names) for what, names in left.items() if names}


def original_variables(network):
    """Returns the network's variables by their names in the original code."""
    scopes = {"vtn": ["affine_stem"], "light": ["ldr_util"], "none": []}
    names = scopes[network.config.affine_stem]
    if not names and network.config.base_network == "LDRReleased":
        names = ["ldr_util"]
    stems = ([network.affine_stem] if network.affine_stem is not None else []) + network.stems
    names = names + [f"deform_stem_{index}" for index in range(len(stems) - len(names))]
    variables = {}
    for scope, stem in zip(names, stems):
        for layer_name, layer in _named_layers(stem).items():
            prefix = f"{_SCOPE}/{scope}/{layer_name}"
            variables[f"{prefix}/W"] = layer.kernel
            if layer.use_bias:
                variables[f"{prefix}/b"] = layer.bias
    return variables


def _named_layers(stem):
    """Returns a stem's convolutions by attribute name, those of its encoder and head too."""
    found = {}
    for name, part in vars(stem).items():
        if name in ("encoder", "head"):
            found.update(_named_layers(part))
        elif hasattr(part, "kernel"):
            found[name] = part
    return found


def _check_names(prefix, wanted, found):
    problems = []
    for what, names in (
        ("missing", set(wanted) - set(found)),
        ("left over", set(found) - set(wanted)),
    ):
        if names:
            shapes = {name: found.get(name) or tuple(wanted[name].shape) for name in names}
            problems.append(f"{len(names)} {what}: {_listed(shapes)}")
    other = {
        name: f"{found[name]} instead of {tuple(wanted[name].shape)}"
        for name in set(wanted) & set(found)
        if found[name] != tuple(wanted[name].shape)
    }
    if other:
        problems.append(f"{len(other)} of another shape: {_listed(other)}")
    if problems:
        raise InputError(f"{prefix}: does not fit the network ({'; '.join(problems)}).")


def _listed(details):
    names = sorted(details)
    shown = ", ".join(f"{name} {details[name]}" for name in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else "")


def _unreadable(prefix, error):
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(f"{prefix}: is not a readable TensorFlow checkpoint ({reason}).")
