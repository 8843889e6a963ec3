"""The flags that set a run's config: one a field, each overriding the config file."""

import typing

from absl import flags

from ldr_tf import config as configs
from ldr_tf.errors import InputError

# flag: (record, field, help). Types and choices come from the record.
_FLAGS = {
    "base_network": ("network", "base_network", "LDR, VTN, VoxelMorph or LDRReleased"),
    "cascades": ("network", "cascades", "dense stems, each with weights of its own"),
    "rep": ("network", "rep", "repetitions of each dense stem, with shared weights"),
    "affine_stem": ("network", "affine_stem", "vtn, light or none"),
    "channels": ("network", "channels", "channels of the first layer; 16 is the papers' value"),
    "flow_resolution": ("network", "flow_resolution", "of LDR's flow: full or half (faster)"),
    "steps": ("training", "steps", "optimiser steps in all"),
    "batch_size": ("training", "batch_size", "pairs a step, over all devices"),
    "accumulate": ("training", "accumulate", "parts of a batch taken one after the other"),
    "recompute": ("training", "recompute", "compute activations again for the gradient"),
    "precision": ("training", "precision", "float32, mixed_float16 or mixed_bfloat16"),
    "strategy": ("training", "strategy", "one, mirrored or multi_worker"),
    "images": ("training", "images", "scans, synthetic or synthetic_t1 (painted from labels)"),
    "painted": ("training", "painted", "which scans: all, or only label_maps without a scan"),
    "paired": ("training", "paired", "train on disjoint neighbours only"),
    "learning_rate": ("training", "learning_rate", "of Adam, before the schedule"),
    "schedule": ("training", "schedule", "constant, cosine, rcn, rcn_finetune or ldr_released"),
    "seed": ("training", "seed", "of initial weights, data order and augmentation"),
    "deterministic": ("training", "deterministic", "same weights bit for bit, every time"),
    "xla": ("training", "xla", "compile the whole step: auto (on a GPU), on or off"),
    "similarity": ("training", "similarity", "correlation, local_correlation or mse"),
    "regularization": ("training", "regularization", "weight of the flow's smoothness"),
    "label_weight": ("training", "label_weight", "weight of the overlap of segmentations"),
    "augmentation": ("training", "augmentation", "strength of the free-form deformation, 0..1"),
    "shift": ("training", "shift", "voxels by which pairs are moved at random, both scans alike"),
    "flip_axis": ("training", "flip_axis", "left-right axis to mirror half of the pairs along"),
    "on_nonfinite": ("training", "on_nonfinite", "stop, or skip the step"),
    "validate_every": ("training", "validate_every", "steps between validations"),
    "checkpoint_every": ("training", "checkpoint_every", "steps between checkpoints"),
    "summarize_every": ("training", "summarize_every", "steps between logged losses"),
    "distillation": ("distillation", "kind", "none, flow or aldk"),
    "critic_objective": ("distillation", "objective", "game or joint"),
    "critic_constraint": (
        "distillation",
        "constraint",
        "gradient_penalty, spectral_norm, weight_clipping or none",
    ),
    "gamma": ("distillation", "gamma", "weight of the reconstruction, 0..1"),
    "beta": ("distillation", "beta", "the teacher's share in the joint deformation, 0..1"),
    "lambda": ("distillation", "penalty", "weight of the gradient penalty"),
    "feature_reduction": ("distillation", "feature_reduction", "mean or sum over the features"),
    "flow_unit": ("distillation", "flow_unit", "voxels that count as one for the critic"),
    "flow_length": ("distillation", "flow_length", "rms or sum, for the critic's slope"),
    "critic_size": ("distillation", "critic_size", "voxels a side the critic works at: 64,64,64"),
    "critic_learning_rate": ("distillation", "critic_learning_rate", "of the critic's Adam"),
    "critic_steps": ("distillation", "critic_steps", "critic steps for each full step"),
    "reconstruction_steps": (
        "distillation",
        "reconstruction_steps",
        "reconstruction-only steps before each full step",
    ),
    "until_step": ("distillation", "until_step", "from this step on, --afterwards holds"),
    "afterwards": ("distillation", "afterwards", "reconstruction, full or same"),
}


def define(flag_values):
    """Defines the flags; a flag that is not given leaves the config as it is."""
    for name, (record, field, text) in _FLAGS.items():
        _definer(record, field)(name, None, text, flag_values=flag_values)


def overrides(flag_values):
    """Returns the fields that were given, as nested dictionaries for `ldr_tf.records.from_dict`."""
    values = {}
    for name, (record, field, _) in _FLAGS.items():
        value = flag_values[name].value
        if value is not None:
            value = _integers(value, name) if isinstance(value, list) else value
            values.setdefault(record, {})[field] = value
    return values


def _integers(words, name):
    try:
        return [int(word) for word in words]
    except ValueError:
        raise InputError(f"--{name} must be integers with commas, not {','.join(words)}.") from None


def _definer(record, field):
    record_class = typing.get_type_hints(configs.RunConfig)[record]
    wanted = typing.get_type_hints(record_class)[field]
    if typing.get_origin(wanted) is typing.Union:
        wanted = typing.get_args(wanted)[0]
    if typing.get_origin(wanted) is tuple:
        return flags.DEFINE_list
    return {
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
        bool: flags.DEFINE_bool,
    }[wanted]
