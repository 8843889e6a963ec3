"""How a scan becomes the input of a network."""

import dataclasses
from typing import Optional

from ldr_tf.records import Record, require, setting

INTENSITIES = ("percentile", "ct_abdomen", "minmax", "none")
CROPS = ("none", "foreground", "labels")
FITS = ("stretched", "isotropic")

_AXES = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}


@dataclasses.dataclass(frozen=True)
class ImageConfig(Record):
    """How a scan becomes the input of a network."""

    PREFIX = "image."

    orientation: str = setting(
        "LPS",
        "directions in which the grid's axes x, y, z point, three of the letters L or R, P or A, "
        "S or I; LPS is ITK's identity",
    )
    spacing: Optional[tuple[float, float, float]] = setting(
        None,
        "voxel size in mm along x, y, z; none fits the cropped region to the grid",
        above=0,
        most=1000,
    )
    intensity: str = setting(
        "percentile",
        "what is mapped to 0..255: percentile (0 to the foreground's 99.5th percentile), "
        "ct_abdomen (-160 to 240 HU), minmax, or none (intensities are 0..255 already)",
        choices=INTENSITIES,
    )
    crop: str = setting(
        "none",
        "the region of interest: none (the whole scan; if it does not fit at the given spacing, "
        "the grid is centred on the head or body), foreground (the box around head or body) or "
        "labels (the box around the labels; without labels, around head or body)",
        choices=CROPS,
    )
    fit: str = setting(
        "stretched",
        "how the region fills the grid if no spacing is given: stretched (each axis separately) or "
        "isotropic (one spacing for all axes; the rest of the grid shows the surroundings)",
        choices=FITS,
    )

    def __post_init__(self):
        super().__post_init__()
        require(
            sorted(_AXES.get(letter, -1) for letter in self.orientation) == [0, 1, 2],
            f"image.orientation must be three letters such as LPS, not {self.orientation!r}.",
        )
