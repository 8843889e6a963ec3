"""The reconstruction loss, l_rec."""

import dataclasses

from ldr_tf.records import Record, require, setting

REGULARIZED = ("stems", "composed")
SIMILARITIES = (
    "correlation",
    "gradient_fields",
    "local_correlation",
    "mse",
    "mutual_information",
    "none",
)


@dataclasses.dataclass(frozen=True)
class LossConfig(Record):
    """The reconstruction loss, l_rec, see `ldr_tf.losses.reconstruction`."""

    PREFIX = "loss."

    similarity: str = setting(
        "correlation",
        "similarity of the images; none: labels alone teach",
        choices=SIMILARITIES,
    )
    regularization: float = setting(1.0, "weight of the flow's smoothness", least=0.0)
    regularized: str = setting(
        "stems",
        "what is kept smooth: the flow of every dense stem and learned step by itself, as in the "
        "VTN and RCN code, or all of them composed",
        choices=REGULARIZED,
    )
    label_weight: float = setting(
        0.0,
        "weight of the segmentations' overlap, for pairs in which both scans have one; 0: labels "
        "are not read",
        least=0.0,
    )
    label_classes: int = setting(
        0,
        "classes whose overlap counts in a step, drawn anew for each, first from those that its "
        "fixed and moving scans have; fewer make a step cheaper; 0: all",
        least=0,
        changeable=True,
    )

    def __post_init__(self):
        super().__post_init__()
        require(
            self.similarity != "none" or self.label_weight > 0,
            "loss.similarity none leaves the labels to learn from: loss.label_weight must be above "
            "0.",
        )
