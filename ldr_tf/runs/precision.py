"""In which precision a network computes, where nobody says: as processor and network bear it."""

import functools

import numpy as np
import tensorflow as tf
from scipy import ndimage

from ldr_tf.config.network import RUN_PRECISIONS
from ldr_tf.errors import InputError
from ldr_tf.ops.bspline import free_form_flow
from ldr_tf.ops.warp import warp

MOST_ERROR = 0.05
"""Voxels: a network bears bfloat16 if no component of its flow changes by more."""

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
"""What Keras calls them."""

_INSTRUCTIONS = {"avx512_bf16", "amx_bf16"}
_OCTAVES = (5, 10, 20)
_SHARPNESS = 20.0
_DEFORMED = 10.0  # voxels, at most
_SEED = 1


@functools.cache
def has_bfloat16():
    """Whether this processor has instructions for bfloat16; False where it does not say."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return not _INSTRUCTIONS.isdisjoint(flags.split())


def check_precision(precision):
    """Refuses, with ValueError, what is none of RUN_PRECISIONS."""
    if precision not in RUN_PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(RUN_PRECISIONS)}, not {precision!r}."
        )


def choose(precision, error):
    """Returns "float32" or "bfloat16".

    Args:
      precision: one of `ldr_tf.config.network.RUN_PRECISIONS`.
      error: the network's, as `bfloat16_error` measures it; None where it is not known.

    Raises:
      ValueError: there is no such precision.
    """
    check_precision(precision)
    if precision != "auto":
        return precision
    bears = error is not None and error <= MOST_ERROR
    if not bears or not has_bfloat16() or tf.config.list_physical_devices("GPU"):
        return "float32"  # on a GPU nobody measured either gain or error
    return "bfloat16"


def precision_of(network):
    """Returns in which precision a network's dense stems compute, such as "bfloat16".

    A network that does not say it, since it is none of ours, counts as float32.
    """
    return getattr(network, "precision", "float32").removeprefix("mixed_")


def check_error(name, error):
    """Refuses, with InputError, bfloat16 for a network that does not bear it."""
    if not error <= MOST_ERROR:
        raise InputError(
            f"{name}: bfloat16 changes its flow by {error:.2g} voxel, more than {MOST_ERROR}; its "
            "precision must be float32."
        )


def bfloat16_error(exact, coarse):
    """Returns by how much bfloat16 changes a network's flow, voxels, in its largest component.

    Measured on two generated pairs of the network's own size: a random pattern of edges in an
    ellipsoid, and the same deformed by up to 10 voxels along each axis. Of brain-t1 that is 0.14.
    Of its first version it is 0.029, and on four pairs of scans and two of painted label maps it
    was 0.026 to 0.052, most on two whole heads in FLAIR, which it does not know.

    Args:
      exact, coarse: the network in float32 and in bfloat16, with the same weights.
    """
    size = exact.config.image_size
    pairs = _pair(size, _SEED), _pair(size, _SEED + 1)
    errors = [np.abs(exact(*pair).flow - coarse(*pair).flow).max() for pair in pairs]
    return float(np.max(errors))  # NaN if any is


def _pair(size, seed):
    """Returns fixed and moving, [1, x, y, z, 1], 0..1."""
    random = np.random.default_rng(seed)
    pattern = np.zeros(size)
    for knots in _OCTAVES:
        coarse = random.standard_normal((knots,) * 3)
        pattern += ndimage.zoom(coarse, np.divide(size, knots), order=1) / len(_OCTAVES) ** 0.5
    places = np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij")
    inside = sum(place**2 for place in places) < 0.9**2
    shown = np.where(inside, 1 / (1 + np.exp(-_SHARPNESS * pattern)), 0)
    fixed = tf.constant(shown[None, ..., None], tf.float32)
    offsets = random.uniform(-_DEFORMED, _DEFORMED, (1, 5, 5, 5, 3)).astype(np.float32)
    return fixed, warp(fixed, free_form_flow(offsets, size))
