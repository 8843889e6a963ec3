"""The memory that a registration takes, estimated beforehand and held against what there is.

What is added up is what lies in memory at a time: the scans, the whole displacement field, the
warped scan, and what reading, the network, the refinement and writing need for the moment.
Constants were fitted to measured peaks of scans of three sizes, see docs/performance.md.
"""

import math

import psutil

from ldr_tf import imaging
from ldr_tf.errors import InputError

_MB = 2.0**20
_SCALAR, _VECTOR = 4, 12
_BASE = 600 * _MB
_PREPARING = 3 * _SCALAR
_NETWORK = 260
_REFINEMENT = 330
_WRITING = _VECTOR

_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def estimate(pair, frame, model, steps, options):
    """Returns the MB that a registration will take in this process.

    Args:
      pair: the ScanPair.
      frame: the Frame of its fixed scan.
      model: the RegistrationModel, None without one.
      steps: of the refinement.
      options: the RegistrationOptions.
    """
    fixed, moving = (_voxels(scan) for scan in (pair.fixed, pair.moving))
    labels = sum(
        _voxels(image) * image.GetSizeOfPixelComponent()
        for image in (pair.fixed_labels, pair.moving_labels)
        if image is not None
    )
    scans = _SCALAR * (fixed + moving) + labels
    at_work = [_PREPARING * max(fixed, moving)]
    if model is not None:
        at_work.append(_NETWORK * math.prod(frame.grid.size))
    if steps:
        grid = imaging.refinement_grid(pair.fixed, pair.moving, frame.box)
        at_work.append(_REFINEMENT * math.prod(grid.size))
    results = (_SCALAR + _VECTOR) * fixed
    if pair.moving_labels is not None:
        results += pair.moving_labels.GetSizeOfPixelComponent() * fixed
    if options.inverse:
        results += (_SCALAR + _VECTOR) * moving
    padding = _SCALAR * moving * (imaging.is_padding(pair.moving) is not None)
    # The scans are gone when the field is written.
    written = results + max(scans + padding, labels + _WRITING * max(fixed, moving))
    return (_BASE + max(scans + max(at_work), written)) / _MB


def check(estimated, limit=None):
    """Refuses, with InputError, what is estimated to take more memory than there is.

    Args:
      estimated: MB, see `estimate`.
      limit: GB that may be taken; None for what the machine has free.
    """
    allowed = available() / _MB if limit is None else limit * 1000.0
    if estimated > allowed:
        whose = "the machine has free" if limit is None else "are allowed (max_memory)"
        raise InputError(
            f"the registration is estimated to take {estimated / 1000:.1f} GB of memory, "
            f"{allowed / 1000:.1f} GB {whose}: scans resampled to larger voxels or cropped to what "
            "matters take less, and so does a registration without refinement and inverse."
        )


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


def _voxels(image):
    return image.GetNumberOfPixels()
