"""A registration network: an affine stem, a recursive cascade of dense stems, learned steps."""

import dataclasses

from ldr_tf.records import Record, require, setting

BASE_NETWORKS = ("LDR", "Pyramid", "VTN", "VoxelMorph", "LDRReleased")
AFFINE_STEMS = ("none", "vtn", "light")
FLOW_RESOLUTIONS = ("full", "half")

RUN_PRECISIONS = ("auto", "float32", "bfloat16")
"""In which a trained network may compute; auto: bfloat16 where processor and network bear it."""

_HALF_FLOWS = ("LDR", "Pyramid")

_SIDES = {"none": (1, 16), "vtn": (64, 64), "light": (16, 48)}
"""By affine stem: what each side must be a multiple of, and the smallest side."""


@dataclasses.dataclass(frozen=True)
class NetworkConfig(Record):
    """A registration network: an affine stem, a recursive cascade of dense stems, learned steps."""

    PREFIX = "network."

    base_network: str = setting("LDR", "the dense stem", choices=BASE_NETWORKS)
    cascades: int = setting(1, "dense stems, each with its own weights", least=1, most=100)
    rep: int = setting(
        1, "how often each dense stem is applied in a row, with the same weights", least=1, most=100
    )
    descents: int = setting(
        0,
        "learned steps of gradient descent on the pair that follow the dense stems, all with the "
        "same weights",
        least=0,
        most=100,
    )
    affine_stem: str = setting(
        "none", "the affine stem; light: that of the authors' release", choices=AFFINE_STEMS
    )
    image_size: tuple[int, int, int] = setting(
        (128, 128, 128),
        "voxels along x, y, z; binding only with an affine stem",
        least=1,
        most=4096,
    )
    channels: int = setting(
        16,
        "channels of the first layer (of Pyramid: of its level at 1/4), all others in proportion; "
        "16 is the papers' value",
        least=1,
        most=1024,
    )
    flow_resolution: str = setting(
        "full",
        "half (only LDR or Pyramid, without an affine stem): flows are composed at half the "
        "resolution, then interpolated to the full grid; LDR also predicts them there, as Pyramid "
        "always does",
        choices=FLOW_RESOLUTIONS,
    )

    def __post_init__(self):
        super().__post_init__()
        require(
            self.flow_resolution == "full"
            or (self.base_network in _HALF_FLOWS and self.affine_stem == "none"),
            "network.flow_resolution may be half for base_network LDR or Pyramid only, with "
            f"affine_stem none, not for {self.base_network} with {self.affine_stem}.",
        )
        require(
            self.descents == 0 or self.flow_resolution == "full",
            "network.descents must be 0 where network.flow_resolution is half, not "
            f"{self.descents}.",
        )
        multiple, least = _SIDES[self.affine_stem]
        require(
            all(size % multiple == 0 and size >= least for size in self.image_size),
            f"network.image_size must have sides that are multiples of {multiple} and at least "
            f"{least} for the affine stem {self.affine_stem!r}, not {self.image_size}.",
        )
