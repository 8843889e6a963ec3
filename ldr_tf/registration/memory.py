"""The memory that a registration takes, estimated beforehand and held against what there is.

What is added up is what lies in memory at a time: the scans, the whole displacement field, the
warped scan, and what the network, the refinement and writing need for the moment. The constants
were fitted to measured peaks, see docs/output.md.
"""

import math
import os
import sys

import psutil

from ldr_tf import imaging
from ldr_tf.errors import InputError

_MB = 2.0**20
_SCALAR, _VECTOR = 4, 12
"""Bytes a voxel."""

_PROGRAM = 680 * _MB
_COMPILED = 480 * _MB
_RETURNS = "TF_ONEDNN_USE_SYSTEM_ALLOCATOR"
_LARGE = 64_000_000
"""Voxels of a scan from which on what TensorFlow keeps is missed more than the time it saves."""

_NETWORK, _LEARNED_STEPS = (100 * _MB, 130), 100
"""Of the network's grid: at least, and bytes a voxel; bytes a voxel more with learned steps."""

_REFINEMENT, _FROM_FLOW = 150, 165
"""Bytes a voxel of the grid of the refinement, without and with a flow to start from."""

_SLABS = 1100 * _MB, 100 * _MB, 24
_PREPARING = 2 * _SCALAR

_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def spare(pair):
    """Has TensorFlow return memory, where a scan is large, instead of keeping it for what follows.

    By itself it keeps as much as its largest step took. Returning it costs a refinement a third
    more seconds: the system clears every page anew. To be called before TensorFlow is imported;
    without effect later.

    Args:
      pair: the ScanPair.
    """
    largest = max(scan.GetNumberOfPixels() for scan in (pair.fixed, pair.moving))
    if largest >= _LARGE and "tensorflow" not in sys.modules:
        os.environ.setdefault(_RETURNS, "1")


def _returned():
    return os.environ.get(_RETURNS, "0").lower() in ("1", "true")


def estimate(pair, frame, model, steps, options, masks=()):
    """Returns the MB (2^20 bytes) that a registration will take in this process.

    Args:
      pair: the ScanPair.
      frame: the Frame of its fixed scan.
      model: the RegistrationModel, None without one.
      steps: of the refinement.
      options: the RegistrationOptions.
      masks: images, of the scans that have one: a masked copy of such a scan is kept beside it.
    """
    fixed, moving = (scan.GetNumberOfPixels() for scan in (pair.fixed, pair.moving))
    labels = sum(
        image.GetNumberOfPixels() * image.GetSizeOfPixelComponent()
        for image in (pair.fixed_labels, pair.moving_labels)
        if image is not None
    )
    scans, kept = _SCALAR * (fixed + moving), _PROGRAM + labels
    kept += sum((1 + _SCALAR) * mask.GetNumberOfPixels() for mask in masks)
    if model is not None:
        a_voxel = _NETWORK[1] + (_LEARNED_STEPS if model.network.descents else 0)
        kept += _NETWORK[0] + a_voxel * math.prod(frame.grid.size)
    peaks = [kept + scans + _PREPARING * max(fixed, moving)]
    if steps:
        grid = imaging.refinement_grid(pair.fixed, pair.moving, frame.box)
        a_voxel = _REFINEMENT if model is None else _FROM_FLOW
        taken = _COMPILED + a_voxel * math.prod(grid.size)
        peaks.append(kept + scans + taken)
        if not _returned():
            kept += taken
    results = (_SCALAR + _VECTOR) * fixed
    if pair.moving_labels is not None:
        results += pair.moving_labels.GetSizeOfPixelComponent() * fixed
    if options.inverse:
        results += (_SCALAR + _VECTOR) * moving
    if imaging.is_padding(pair.moving) is not None:
        scans += _SCALAR * moving
    most, least, a_voxel = _SLABS
    peaks.append(kept + scans + results + least + min(most, a_voxel * fixed))
    # ITK turns a field's vectors over to write them; the scans are gone by then.
    peaks.append(kept + results + _VECTOR * (max(fixed, moving) if options.inverse else fixed))
    return max(peaks) / _MB


def check(estimated, limit=None):
    """Refuses, with InputError, what is estimated to take more memory than there is.

    Args:
      estimated: MB, see `estimate`.
      limit: GB that may be taken; None for what the machine has free.
    """
    allowed = available() / _MB if limit is None else limit * 1e9 / _MB
    if estimated > allowed:
        needed, given = (f"{megabytes * _MB / 1e9:.1f} GB" for megabytes in (estimated, allowed))
        whose = "the machine has free" if limit is None else "are allowed (max_memory)"
        raise InputError(
            f"the registration is estimated to take {needed} of memory, {given} {whose}: scans "
            "resampled to larger voxels or cropped to what matters take less, and so does a "
            "registration without refinement and inverse."
        )


def leaves_room(estimated, limit=None):
    """Whether as much memory as a registration takes is left beside one that lies in memory.

    Args:
      estimated: MB of the registration, see `estimate`.
      limit: GB that may be taken; None for what the machine has free.
    """
    return 2 * estimated <= (available() / _MB if limit is None else limit * 1e9 / _MB)


def available():
    """Returns the bytes of memory that are free: of the machine, or of the group it is held to."""
    free = psutil.virtual_memory().available + psutil.Process().memory_info().rss
    for limit, used in _LIMITS:
        try:
            with open(limit, encoding="ascii") as most, open(used, encoding="ascii") as now:
                left = int(most.read()) - int(now.read())
        except (OSError, ValueError):  # no such group, or one without a limit ("max")
            continue
        free = min(free, left + psutil.Process().memory_info().rss)
    return free
