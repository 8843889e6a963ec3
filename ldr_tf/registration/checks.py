"""Whether a registration looks as if it had failed: measured numbers in, warnings out.

The thresholds were chosen on pairs that go well and pairs that cannot (docs/warnings.md): none of
the first warns, and most of the others do.
"""

import dataclasses
from typing import Optional

from ldr_tf.imaging.affine.shape import LEAST_SCALE, MOST_SCALE

LOW_CORRELATION = 0.4
LOW_AFFINE_CORRELATION = 0.2
PROPORTION, LEAST_EXPLAINED = 0.9, 0.03
LOW_DEEP_CORRELATION = 0.19
LOW_CORES = 0.035
STRIPPED_RIM, WHOLE_RIM = 1.0, 1.2
WORSE = 0.02
LOW_OVERLAP = 0.8
UNCOVERED = 0.25
FOLDS = 1.0
ROTATION = 45.0
SHEAR = 0.3


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured of a registration; None where it is not known.

    Attributes:
      correlation: Pearson's, after each stage in order, by name ("before", "affine", "network",
        "refinement"), inside what both scans' foregrounds share after that stage.
      explained: share of the intensities' variance in one scan that the other explains
        (correlation ratio, the smaller of both ways) in the same place before any deformation, that
        is after the stage "affine", or "before" where there was none, 0..1.
      deep: Pearson's correlation, before any deformation, of what is tissue in both scans more than
        24 mm below the surface of the fixed head; None for what is no head.
      cores: of two whole heads, normalised mutual information of their cores after the affine step,
        see `ldr_tf.imaging.affine.core`.
      overlap: Dice of the foregrounds after the last stage, inside the fields of view that the
        scans share.
      uncovered: share of the fixed foreground that the moving scan does not cover, 0..1.
      scales, rotation, shear: of the affine step, see `ldr_tf.imaging.affine.shape.Shape`.
      refused_scales: those of an affine map that was found and not taken.
      folds_percent: voxels where the mapping folds.
      rims: how bright the two scans are just below the surface of head or body against deeper
        inside, see `ldr_tf.registration.evidence.Look`; None for what are no heads.
      similarity: what the refinement compared; None without one.
    """

    correlation: dict[str, Optional[float]]
    explained: Optional[float] = None
    deep: Optional[float] = None
    cores: Optional[float] = None
    overlap: Optional[float] = None
    uncovered: Optional[float] = None
    scales: tuple[float, ...] = ()
    rotation: Optional[float] = None
    shear: Optional[float] = None
    refused_scales: Optional[tuple[float, ...]] = None
    folds_percent: Optional[float] = None
    rims: Optional[tuple[float, float]] = None
    similarity: Optional[str] = None


def check(evidence, notices):
    """Adds to Notices what makes an answer doubtful; nothing where it looks right."""
    for look in (_affine, _cores, _similarity, _coverage, _stripping, _folding):
        look(evidence, notices)


def _affine(evidence, notices):
    refused, scales = evidence.refused_scales, evidence.scales
    if refused:
        notices.warning(
            "affine-scale",
            f"the affine step would have to scale the moving scan by {min(refused):.2f} to "
            f"{max(refused):.2f}, beyond the {LEAST_SCALE} to {MOST_SCALE} between people, and "
            "took a map within these bounds instead: look at the voxel sizes, and whether both "
            "scans show the same part.",
        )
    elif scales and (min(scales) < LEAST_SCALE or max(scales) > MOST_SCALE):
        notices.warning(
            "affine-scale",
            f"the affine step scales the moving scan by {min(scales):.2f} to {max(scales):.2f}; "
            "between people it is 0.7 to 1.4: look at the voxel sizes.",
        )
    if evidence.shear is not None and evidence.shear > SHEAR:
        notices.warning(
            "affine-shear",
            f"the affine step shears by {evidence.shear:.2f} (the cosine between axes that were "
            "perpendicular): the scans may not show the same part.",
        )
    if evidence.rotation is not None and evidence.rotation > ROTATION:
        notices.notice(
            "affine-rotation",
            f"the affine step turned the moving scan by {evidence.rotation:.0f} degrees: its "
            "header may hold the wrong orientation; look at left and right.",
        )


def _cores(evidence, notices):
    if evidence.cores is not None and evidence.cores < LOW_CORES:
        notices.warning(
            "cores-unlike",
            "inside the two heads little goes together after the affine step (normalised mutual "
            f"information {evidence.cores:.3f}; where it goes well it is above {LOW_CORES}): the "
            "brains may not lie on each other.",
        )


def _similarity(evidence, notices):
    known = {name: value for name, value in evidence.correlation.items() if value is not None}
    if not known or list(known)[-1] != list(evidence.correlation)[-1]:
        notices.warning(
            "correlation-unknown",
            "the scans share no part of head or body that could be compared after the "
            "registration.",
        )
        return
    last, after = list(known.items())[-1]
    straight = known.get("affine", known.get("before"))
    sign = sign_of_other_contrast(straight, evidence.explained, evidence.deep)
    if sign is not None and (blind := _blind_to_contrast(evidence)):
        # What correlation says of scans of one contrast does not hold. Of two heads whose cores go
        # together more is known.
        if evidence.cores is None or evidence.cores < LOW_CORES:
            notices.warning(
                "contrast-differs",
                f"{sign}: the scans seem to be of different contrasts, such as T1 and T2, and the "
                f"registration went by {blind} alone: look at it.",
            )
        return
    if sign is not None:
        notices.warning(
            "contrast-differs",
            f"{sign}: the scans seem to be of different contrasts, such as T1 and T2, for which no "
            "comparison of grey values is made, a network's least of all.",
        )
    elif straight is not None and straight < LOW_AFFINE_CORRELATION <= LOW_CORRELATION <= after:
        notices.warning(
            "correlation-low",
            f"the scans are little alike before the deformation: correlation {straight:.2f} where "
            f"both show head or body; where it goes well it is above {LOW_AFFINE_CORRELATION}. "
            "What the deformation made alike need not belong together.",
        )
    least = LOW_AFFINE_CORRELATION if last in ("before", "affine") else LOW_CORRELATION
    if after < least:
        notices.warning(
            "correlation-low",
            f"the scans are little alike after the registration: correlation {after:.2f} where "
            f"both show head or body; where it goes well it is above {least}.",
        )
    earlier = {name: value for name, value in known.items() if name != last}
    # What lies on each other before the affine step may be little and alike by chance.
    best = max((name for name in earlier if name != "before"), key=earlier.get, default=None)
    if best is None and "before" in earlier:
        best = "before"
    if best is not None and after < earlier[best] - WORSE:
        notices.warning(
            "worse-than-before",
            f"the scans are less alike after the last step ({last}, correlation {after:.2f}) than "
            f"earlier ({best}, {earlier[best]:.2f}).",
        )


def _blind_to_contrast(evidence):
    """Returns in words what a registration went by, if contrasts do not count there, or None."""
    if "network" in evidence.correlation:
        return None
    if evidence.similarity == "gradient_fields":
        return "their edges"
    if evidence.similarity == "local_correlation" and is_reversed(evidence.deep):
        return "the squares of their local correlations"
    return None


def is_reversed(deep):
    """Whether tissues that are bright in one scan are dark in the other, as in T1 and T2.

    Args:
      deep: as of Evidence.
    """
    return deep is not None and deep < -LOW_DEEP_CORRELATION


def sign_of_other_contrast(correlation, explained, deep):
    """Returns in words what makes the contrasts of two scans look different, or None.

    In proportion, the correlation ratio is the square of a correlation above 0.

    Args:
      correlation: after the affine step, before any deformation, or None.
      explained, deep: as of Evidence.
    """
    known = correlation is not None and explained is not None and explained >= LEAST_EXPLAINED
    if known and correlation * abs(correlation) < PROPORTION * explained:
        return (
            "the scans' intensities go together, but not in proportion (after the affine step "
            f"correlation {correlation:.2f}, correlation ratio {explained:.2f})"
        )
    if deep is not None and deep < LOW_DEEP_CORRELATION:
        return (
            f"deep inside the head, tissues are little alike (after the affine step correlation "
            f"{deep:.2f}; in scans of one contrast it is above {LOW_DEEP_CORRELATION})"
        )
    return None


def _coverage(evidence, notices):
    if evidence.overlap is not None and evidence.overlap < LOW_OVERLAP:
        notices.warning(
            "foreground-overlap-low",
            f"head or body overlap by a Dice of {evidence.overlap:.2f} only after the "
            "registration: the scans may show different parts.",
        )
    if evidence.uncovered is not None and evidence.uncovered > UNCOVERED:
        notices.warning(
            "uncovered",
            f"{100 * evidence.uncovered:.0f} percent of the fixed scan's head or body lie outside "
            "the moving scan; there the displacements are a guess.",
        )


def _stripping(evidence, notices):
    if evidence.rims is None or evidence.cores is not None:  # too large for stripped brains
        return
    low, high = sorted(evidence.rims)
    if low < STRIPPED_RIM and high > WHOLE_RIM:
        which = "fixed" if evidence.rims[0] == low else "moving"
        notices.warning(
            "only-one-stripped",
            f"only the {which} scan seems to be without skull and scalp: strip both or neither.",
        )


def _folding(evidence, notices):
    if evidence.folds_percent is not None and evidence.folds_percent > FOLDS:
        notices.warning(
            "folds",
            f"the mapping folds in {evidence.folds_percent:.1f} percent of the voxels.",
        )
