"""What the checks of a registration go by, measured on its scans."""

from typing import NamedTuple, Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging import foreground_threshold, in_threads, is_ct, to_array
from ldr_tf.imaging.affine.likeness import binned, correlation_ratio
from ldr_tf.imaging.depth import body_of, depth_in
from ldr_tf.imaging.padding import without_padding
from ldr_tf.registration.checks import Evidence, is_reversed, sign_of_other_contrast

_BINS = 32
_RIM, _INSIDE = (4.0, 8.0), (12.0, 16.0)  # mm below the surface
_LOOK_SPACING = 2.0
_DEEP = 24.0  # mm below the surface
_TISSUE = (0.75, 1.6)  # of the median there: neither fluid nor fat


class Contrast(NamedTuple):
    """What tells whether two scans are of one contrast, measured before any deformation.

    Attributes:
      correlation, explained, deep: see `Evidence`, after the affine step.
      rims: as of Evidence.
    """

    correlation: Optional[float]
    explained: Optional[float]
    deep: Optional[float]
    rims: Optional[tuple[float, float]]

    def sign(self):
        """Returns in words what makes the contrasts look different, or None."""
        return sign_of_other_contrast(self.correlation, self.explained, self.deep)

    def reversed(self):
        """Whether bright tissues of one scan are dark in the other."""
        return is_reversed(self.deep)


def contrast_of(fixed, placed, spacing, rims):
    """Returns the `Contrast` of two scans; the arguments are those of `gather`."""
    moved = placed.get("affine", placed.get("before"))
    pair = _common(fixed, fixed > foreground_threshold(fixed), moved)
    deep = None if rims is None else _deep(fixed, moved, spacing)
    return Contrast(_correlation(*pair), _explained(*pair), deep, rims)


def gather(fixed, moved, alignment, contrast, folds_percent=None, similarity=None):
    """Returns the Evidence of a registration.

    Args:
      fixed: the fixed scan on the working grid, [x, y, z].
      moved: stage -> the moving scan as it lies after that stage, in order, NaN outside its field
        of view; the stages "before", "affine" and those of the deformation.
      alignment: the affine step, an Alignment.
      contrast: of `contrast_of`.
      folds_percent, similarity: as of Evidence.
    """
    inside = fixed > foreground_threshold(fixed)
    pairs = {name: _common(fixed, inside, array) for name, array in moved.items()}
    last = list(moved.values())[-1]
    known = np.isfinite(last)
    other = _foreground(last)
    either = np.count_nonzero(inside & known) + np.count_nonzero(other)
    overlap = 2.0 * np.count_nonzero(inside & other) / either if either else 0.0
    cores = alignment.likeness_of_cores
    return Evidence(
        correlation={name: _correlation(*pair) for name, pair in pairs.items()},
        explained=contrast.explained,
        deep=contrast.deep,
        cores=cores and cores.information,
        overlap=float(overlap),
        uncovered=float(np.count_nonzero(inside & ~known) / max(1, np.count_nonzero(inside))),
        scales=alignment.shape.scales,
        rotation=alignment.shape.rotation,
        shear=alignment.shape.shear,
        refused_scales=alignment.refused_scales,
        folds_percent=folds_percent,
        rims=contrast.rims,
        similarity=similarity,
    )


class Look(NamedTuple):
    """What a scan shows below the surface of the head or body in it.

    Attributes:
      radius: of the largest ball in it, mm: at most some 62 in a brain, from 70 on in a whole head.
      rim: how bright it is 4 to 8 mm below its surface against 12 to 16 mm below it. The fat and
        muscle of a scalp are brighter than the skull and fluid below them: above 1.2. A brain
        without them grows brighter inwards: below 1. None where nothing lies so deep.
      inwards: rank correlation of depth and brightness down to 16 mm; None where all is as bright.
    """

    radius: float
    rim: Optional[float]
    inwards: Optional[float]


def looks_of(fixed, moving):
    """Returns the `Look` of both scans, see `look_at`."""
    return tuple(in_threads(look_at, [(fixed,), (moving,)]))


def look_at(scan):
    """Returns the `Look` of a scan, a SimpleITK image; None for a CT and for an empty scan."""
    if is_ct(sitk.GetArrayViewFromImage(scan)):
        return None
    scan = sitk.Cast(without_padding(scan), sitk.sitkFloat32)
    factors = [
        max(1, min(int(_LOOK_SPACING / spacing), size))
        for spacing, size in zip(scan.GetSpacing(), scan.GetSize())
    ]
    scan = sitk.BinShrink(scan, factors)
    array, spacing = to_array(scan), np.array(scan.GetSpacing())
    depth = depth_in(body_of(array, spacing), spacing)
    if not depth.any():
        return None
    return Look(float(depth.max()), _rim(array, depth), _inwards(array, depth))


def rims_of(looks):
    """Returns the `rim` of two looks, or None where either has none."""
    if None in looks or None in (found := tuple(look.rim for look in looks)):
        return None
    return found


def _rim(array, depth):
    means = []
    for low, high in (_RIM, _INSIDE):
        shell = (depth > low) & (depth <= high)
        if not shell.any():
            return None
        means.append(float(array[shell].mean()))
    return means[0] / means[1] if means[1] > 0 else None


def _inwards(array, depth):
    shell = (depth > 0) & (depth <= _INSIDE[1])
    values, depths = array[shell], depth[shell]
    if np.ptp(values) == 0 or np.ptp(depths) == 0:
        return None
    return float(np.corrcoef(_ranks(values), _ranks(depths))[0, 1])


def _ranks(values):
    """Returns the rank of each value, equal ones sharing the mean of theirs.

    scipy.stats has it too, and takes longer to import than all the rest of this module to work.
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def _deep(fixed, moved, spacing):
    """Returns the correlation of what is tissue in both scans, deep inside the fixed head.

    There a brain's grey and white matter are left, which of the two is brighter depends on the
    contrast, and neither scalp and skull nor fluid hide it.
    """
    core = (depth_in(body_of(fixed, spacing), spacing) > _DEEP) & np.isfinite(moved)
    pair = fixed[core].astype(np.float64), moved[core].astype(np.float64)
    if not core.any():
        return None
    tissue = np.ones(pair[0].shape, bool)
    for values in pair:
        low, high = np.median(values) * np.array(_TISSUE)
        tissue &= (values > low) & (values < high)
    return _correlation(*(values[tissue] for values in pair))


def _common(fixed, inside, moved):
    """Returns the intensities of both scans where both show head or body."""
    both = inside & _foreground(moved)
    return fixed[both].astype(np.float64), moved[both].astype(np.float64)


def _foreground(moved):
    known = np.isfinite(moved)
    filled = np.where(known, moved, moved[known].min() if known.any() else 0.0)
    return known & (filled > foreground_threshold(filled))


def _correlation(first, second):
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def _explained(first, second):
    """Returns the correlation ratio, the smaller of both ways."""
    if first.size < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return min(_ratio(first, second), _ratio(second, first))


def _ratio(values, others):
    return correlation_ratio(values, binned(others, *np.percentile(others, (0.5, 99.5)), _BINS))
