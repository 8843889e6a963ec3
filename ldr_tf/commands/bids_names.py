"""Names of BIDS: what a scan's name says, and the names of what a registration makes of it.

A name is made of entities and a suffix, sub-01_ses-a_T1w. The rules are those of BIDS 1.10 for
derivatives of anatomical images. It knows no transforms yet: their names (from-, to-, mode-image,
xfm) are those of its draft on them (BEP 14), which fMRIPrep writes, too.
"""

import dataclasses
import os
import re

from ldr_tf.errors import InputError
from ldr_tf.imaging import scan_stem

_ORDER = (
    *("sub", "ses", "task", "acq", "ce", "rec", "run", "echo", "part", "space", "chunk"),
    *("from", "to", "mode", "desc"),
)
"""The entities of the files that are written, in the order of BIDS."""

_REPLACED = ("space", "res", "den", "desc")
"""Entities of a moving scan that do not hold of what is made of it."""

_VARIANTS = ("res", "den", "desc")
"""Entities that tell images apart which lie in the same space."""

_SUFFIXES = (
    *("T1w", "T2w", "FLAIR", "PDw", "T2starw", "inplaneT1", "inplaneT2", "PDT2", "angio"),
    *("T2star", "FLASH", "PD", "T1map", "T2map", "T2starmap", "R1map", "R2map", "R2starmap"),
    *("PDmap", "MTRmap", "MTsat", "UNIT1", "T1rho", "MWFmap", "MTVmap", "Chimap", "S0map", "M0map"),
)
"""Of anatomical images."""

_LABEL = "[0-9a-zA-Z+]+"
_NAME = re.compile(rf"((?:[a-z]+-{_LABEL}_)+)([0-9a-zA-Z]+)")


@dataclasses.dataclass(frozen=True)
class BidsName:
    """The name of a scan.

    Attributes:
      entities: {"sub": "01", ..}; they begin with "sub", or with "tpl" of a template.
      suffix: such as "T1w".
    """

    entities: dict
    suffix: str

    @classmethod
    def of(cls, path):
        """Reads the name of a scan's file or folder; InputError where it is none of BIDS."""
        found = _NAME.fullmatch(scan_stem(path))
        pairs = [part.split("-") for part in found[1].split("_")[:-1]] if found else []
        entities = dict(pairs)
        if not pairs or len(entities) < len(pairs) or pairs[0][0] not in ("sub", "tpl"):
            raise InputError(
                f"{path}: is not named as in BIDS; expected is sub-LABEL[_KEY-LABEL..]_SUFFIX, "
                "such as sub-01_ses-a_T1w.nii.gz, with letters and digits as labels."
            )
        return cls(entities, found[2])

    def check_moving(self, path):
        """Refuses, with InputError, what is no subject's anatomical image."""
        known = {*_ORDER[: _ORDER.index("from")], *_REPLACED}
        for key in self.entities:
            if key not in known:
                raise InputError(
                    f"{path}: the entity {key}- is none of an anatomical image of a subject; known "
                    f"are {', '.join(sorted(known))}."
                )
        if self.suffix not in _SUFFIXES:
            raise InputError(
                f"{path}: the suffix {self.suffix} is none of an anatomical image; known are "
                f"{', '.join(_SUFFIXES)}."
            )

    @property
    def space(self):
        """The label of the scan's space: a template's own, else made of the scan's name."""
        parts = {key: text for key, text in self.entities.items() if key not in _VARIANTS}
        template = parts.pop("tpl", None)
        rest = "".join(key + text for key, text in parts.items())
        return template + rest if template else rest + self.suffix

    @property
    def folder(self):
        """The folder of a subject's anatomical images, seen from the data set's."""
        levels = [f"{key}-{self.entities[key]}" for key in ("sub", "ses") if key in self.entities]
        return os.path.join(*levels, "anat")

    def derived(self, **more):
        """Returns the entities of a file that is made of the scan, as text."""
        kept = {key: text for key, text in self.entities.items() if key not in _REPLACED}
        entities = {**kept, **more}
        return "_".join(f"{key}-{entities[key]}" for key in _ORDER if key in entities)


def names_of(fixed, moving):
    """Returns the names of what a registration writes.

    Args:
      fixed, moving: the BidsName of both scans.

    Returns:
      The label of the pair among those of the moving scan's folder, and {what a file holds: its
      name}, as of `ResultNames`. A transform is called after the way in which images go.
    """
    there = {"from": moving.suffix, "to": fixed.space}
    back = {"from": fixed.space, "to": moving.suffix}
    forth = moving.derived(**there, mode="image")
    # Labels of a subject's other scans, warped to the same space, need a name of their own.
    labels = moving.derived(space=fixed.space, desc=f"warped{moving.suffix}")
    return moving.derived(**there), {
        "warped": f"{moving.derived(space=fixed.space, desc='warped')}_{moving.suffix}.nii.gz",
        "displacement": f"{forth}_xfm.nii.gz",
        "affine": f"{forth}_desc-affine_xfm.txt",
        "warped_labels": f"{labels}_dseg.nii.gz",
        "jacobian": f"{forth}_desc-jacobian_map.nii.gz",
        "inverse_displacement": f"{moving.derived(**back, mode='image')}_xfm.nii.gz",
        "fixed_mask": f"{forth}_desc-fixed_mask.nii.gz",
        "moving_mask": f"{forth}_desc-moving_mask.nii.gz",
        "preview": f"{forth}_preview.png",
        "view": f"{forth}_view.html",
        "summary": f"{forth}_summary.json",
    }
