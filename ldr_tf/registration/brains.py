"""Which part of its scans a registration goes by: the whole of them, or what lies in a mask.

A mask says where the answer must be right: outside it a scan counts as background, in the affine
step, the network, the refinement and the measures. The displacement field is defined everywhere
all the same, and the whole moving scan is warped.
"""

import dataclasses
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.imaging.brain_extraction import can_extract, check_extraction, extract_brains
from ldr_tf.registration.evidence import look_at, looks_of
from ldr_tf.registration.pair import SIDES

BRAIN_RADIUS = 38.0, 66.0
"""mm: the least and the most of the largest ball in a brain; see `Look.radius`.

Of 26 brains without skull and 30 whole heads, the largest balls: 44 to 62, and 70 to 86 mm."""

_MOST_OF_A_HEAD = 100.0  # a trunk has more


@dataclasses.dataclass(frozen=True)
class Mask:
    """The part of a scan that counts.

    Attributes:
      image: uint8, 1 there, on the scan's grid.
      source: "given" or "extracted".
    """

    image: sitk.Image
    source: str

    @property
    def millilitres(self):
        """How large that part is."""
        voxels = np.count_nonzero(sitk.GetArrayViewFromImage(self.image))
        return float(voxels * np.prod(self.image.GetSpacing()) / 1000.0)


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a registration sees of a pair.

    Attributes:
      fixed, moving: the scans, background outside their masks.
      masks: {side: its Mask}, of the sides that have one.
      looks: the `Look` of both scans as they are seen, None where nobody looked.
    """

    fixed: sitk.Image
    moving: sitk.Image
    masks: dict
    looks: Optional[tuple]


def check_choice(brain, given):
    """Refuses, with InputError and before any work, a choice that cannot be followed.

    Args:
      brain: one of `options.BRAIN_CHOICES`.
      given: whether a mask is given.
    """
    if brain == "given" and not given:
        raise InputError("brain=given goes by masks, but neither fixed_mask nor moving_mask is.")
    if brain == "none" and given:
        raise InputError("brain=none goes by the whole scans; fixed_mask and moving_mask do not.")
    if brain == "extract":
        check_extraction()


def see(pair, brain, notices):
    """Returns what a registration is to see of a pair.

    Args:
      pair: a ScanPair.
      brain: one of `options.BRAIN_CHOICES`. "auto" goes by the masks that are given; of a scan
        without one that looks like a whole head it extracts the brain, if the package for it is
        installed and the other scan's mask, if any, holds a brain, too.
      notices: Notices, told what was seen and done.

    Returns:
      A `Seen`.

    Raises:
      InputError: as `check_choice`; a mask without a voxel; no brain is found, with "extract".
    """
    scans = {side: getattr(pair, side) for side in SIDES}
    masks = {
        side: Mask(_binary(given, side), "given")
        for side in SIDES
        if (given := getattr(pair, f"{side}_mask")) is not None
    }
    check_choice(brain, bool(masks))
    looks = None
    if brain == "extract":
        masks.update(_extracted({side: scans[side] for side in SIDES if side not in masks}))
        for side, mask in masks.items():
            if mask.source == "extracted" and not _is_brain(look_at(_masked(scans[side], mask))):
                notices.warning(
                    "brain-not-found", f"{_no_brain(side, mask)}; it counts all the same."
                )
    elif brain == "auto" and len(masks) < len(SIDES):
        looks = dict(
            zip(SIDES, looks_of(*[_masked(scans[side], masks.get(side)) for side in SIDES]))
        )
        heads = {}
        # A mask of anything but a brain asks for no brain beside it.
        if all(_is_brain(looks[side]) for side in masks):
            heads = {side: scans[side] for side in SIDES if _is_head(looks[side])}
        if heads and not can_extract():
            _tell_of_heads(list(heads), notices)
        elif heads:
            extracted, looks = _tried(heads, looks, notices)
            masks.update(extracted)
    seen = [_masked(scans[side], masks.get(side)) for side in SIDES]
    _tell(masks, notices)
    return Seen(*seen, masks, looks and tuple(looks.values()))


def _is_head(look):
    return look is not None and BRAIN_RADIUS[1] < look.radius <= _MOST_OF_A_HEAD


def _is_brain(look):
    return look is not None and BRAIN_RADIUS[0] <= look.radius <= BRAIN_RADIUS[1]


def _no_brain(side, mask):
    what = f"what was extracted from the {side} scan ({mask.millilitres:.0f} ml)"
    return what + " is no brain by its size"


def _extracted(scans):
    """Returns {side: Mask} of {side: scan}."""
    masks = extract_brains(list(scans.values())) if scans else []
    return {side: Mask(_binary(mask, side), "extracted") for side, mask in zip(scans, masks)}


def _tried(scans, looks, notices):
    """Returns the masks of what look like heads, {} where no brain comes of one, and the looks."""
    try:
        masks = _extracted(scans)
    except InputError as error:
        notices.warning("brain-not-found", f"the whole scans count, as {error}")
        return {}, looks
    brains = {side: look_at(_masked(scans[side], mask)) for side, mask in masks.items()}
    for side, look in brains.items():
        if not _is_brain(look):
            sentence = f"the whole scans count, as {_no_brain(side, masks[side])}."
            notices.warning("brain-not-found", sentence)
            return {}, looks
    return masks, {**looks, **brains}


def _tell_of_heads(heads, notices):
    which = "both scans look" if len(heads) == 2 else f"the {heads[0]} scan looks"
    notices.notice(
        "skull-seen",
        f"{which} like a head with its skull; brains could be extracted with the package deepbet: "
        'pip install "ldr_tf[brain]".',
    )


def _tell(masks, notices):
    for side, mask in masks.items():
        what = "brain, which was extracted," if mask.source == "extracted" else "mask"
        notices.notice(
            f"mask-{mask.source}",
            f"the {side} scan counts inside its {what} alone ({mask.millilitres:.0f} ml).",
        )


def _binary(mask, side):
    """Returns a mask as uint8 of 0 and 1; InputError where it has no voxel."""
    mask = sitk.Cast(mask != 0, sitk.sitkUInt8)
    if not sitk.GetArrayViewFromImage(mask).any():
        raise InputError(f"the {side} mask: has no voxel that is not 0.")
    return mask


def _masked(scan, mask):
    if mask is None:
        return scan
    part = sitk.Image(mask.image)
    part.CopyInformation(scan)  # a file's rounding apart
    return sitk.Mask(scan, part, outsideValue=imaging.background_value(scan))
