"""What is known of a registration once it is done."""

from typing import NamedTuple, Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.evaluation import scans
from ldr_tf.imaging import to_array, to_image
from ldr_tf.registration import checks, evidence
from ldr_tf.registration.unfolding import Unfolding


class Mapping(NamedTuple):
    """From points of the fixed scan to points of the moving one, and its parts.

    Attributes:
      alignment: the affine step, an Alignment.
      fields: stage -> displacement field that follows the affine step, in order.
      displacement: the whole displacement field, on the fixed scan's grid.
      unfolding: what was done to it where it folded, or None.
    """

    alignment: imaging.Alignment
    fields: dict[str, sitk.Image]
    displacement: sitk.Image
    unfolding: Optional[Unfolding]


def measure(
    pair,
    working,
    mapping,
    contrast,
    similarity,
    moving,
    covered,
    warped_labels,
    notices,
):
    """Measures a registration.

    Args:
      pair: the ScanPair.
      working: the Working.
      mapping: the Mapping.
      contrast: what tells of the scans' contrasts, an evidence.Contrast.
      similarity: what the refinement compared; None without one.
      moving: the moving scan, NaN where it is padding.
      covered: the warped moving scan, NaN outside the moving scan and in its padding.
      warped_labels: the warped moving labels or None.
      notices: Notices; told what makes the answer doubtful, see `checks`.

    Returns:
      Fields of the `RegistrationResult`, by name.
    """
    before, after = _correlation(pair.fixed, moving, covered)
    moved = _moved(working, mapping.fields)
    folding = scans.folding(mapping.displacement)
    # What a network or a refinement made of the scans is judged by what it folded itself.
    folds = folding["folds_percent"]
    if mapping.unfolding is not None:
        folds = mapping.unfolding.folds_percent
    found = evidence.gather(
        working.fixed,
        moved,
        mapping.alignment,
        contrast,
        folds_percent=folds,
        similarity=similarity,
    )
    checks.check(found, notices)
    dices = scans.label_dices(pair.fixed, pair.fixed_labels, pair.moving_labels, warped_labels)
    landmarks = scans.landmark_errors(pair.fixed_points, pair.moving_points, mapping.displacement)
    return {
        "correlation_before": before,
        "correlation_after": after,
        "stages": dict(zip(moved, scans.foreground_correlation(working.fixed, *moved.values()))),
        "dice_before": dices[0],
        "dice_after": dices[1],
        "landmarks_before": landmarks[0],
        "landmarks_after": landmarks[1],
        **folding,
    }


def _correlation(fixed, moving, covered):
    """Returns the correlation of the fixed scan with the moving and the warped one."""
    grid = imaging.grid_of(fixed)
    threshold = imaging.foreground_threshold(imaging.array_view(fixed))

    def of_slab(start, stop):
        slab = imaging.slab_of(grid, start, stop)
        unmoved = imaging.place_on(moving, slab, default=np.nan, kind=sitk.sitkFloat32)
        here, warped = (imaging.array_view(image, start, stop) for image in (fixed, covered))
        return scans.foreground_moments(threshold, here, imaging.array_view(unmoved), warped)

    return scans.correlations(imaging.in_threads(of_slab, imaging.slabs(grid)))


def inverse_figures(distances, moving):
    """Returns {"mean", "percentile_95", "max", "lost"} of an inverse, see `RegistrationResult`.

    Args:
      distances: residual [x, y, z] in mm, see `ldr_tf.imaging.invert`.
      moving: the moving scan.
    """
    array = to_array(moving)
    found = distances[array > imaging.foreground_threshold(array)]
    known = found[np.isfinite(found)]
    if not known.size:
        return {"mean": None, "percentile_95": None, "max": None, "lost": 100.0}
    return {
        "mean": float(known.mean()),
        "percentile_95": float(np.percentile(known, 95)),
        "max": float(known.max()),
        "lost": 100.0 * (1 - known.size / found.size),
    }


def _moved(working, fields):
    """Returns stage -> the moving scan after it on the working grid, NaN outside the scan."""
    moved = dict(working.placed)
    aligned = to_image(list(moved.values())[-1], working.grid)
    for name, field in fields.items():
        field = imaging.displacement_on(field, working.grid)
        moved[name] = to_array(imaging.apply_displacement(aligned, field, default=np.nan))
    return moved
