"""Everything that a run folder's config.json holds."""

import dataclasses
from typing import Optional

from ldr_tf.config.augmentation import AugmentationConfig
from ldr_tf.config.data import DataConfig
from ldr_tf.config.distillation import DistillationConfig
from ldr_tf.config.image import ImageConfig
from ldr_tf.config.loss import LossConfig
from ldr_tf.config.network import NetworkConfig
from ldr_tf.config.older import read_config_values
from ldr_tf.config.optimisation import OptimisationConfig
from ldr_tf.records import Record, describe, from_dict, require, setting

STAGES = ("teacher", "student")


@dataclasses.dataclass(frozen=True)
class RunConfig(Record):
    """Everything that a run folder's config.json holds."""

    stage: str = setting("student", "what is trained", choices=STAGES)
    init: Optional[str] = setting(
        None, "the run folder whose weights the training starts from, as given"
    )
    network: NetworkConfig = NetworkConfig()
    image: ImageConfig = ImageConfig()
    data: DataConfig = DataConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    loss: LossConfig = LossConfig()
    distillation: DistillationConfig = DistillationConfig()
    optimisation: OptimisationConfig = OptimisationConfig()

    def __post_init__(self):
        super().__post_init__()
        require(
            self.optimisation.accumulate == 1 or self.distillation.critic.steps == 1,
            "distillation.critic.steps must be 1 if optimisation.accumulate is above 1, "
            f"not {self.distillation.critic.steps}.",
        )
        require(
            self.stage == "student" or self.distillation.kind == "none",
            f"distillation.kind must be none for the stage teacher, not {self.distillation.kind}.",
        )


CHANGEABLE = frozenset(row.name for row in describe(RunConfig) if row.about.get("changeable"))
"""Fields that may change when a run resumes; changing any other makes it a different run."""


def run_config(values):
    """Returns the RunConfig of a dictionary in the current form or an earlier one.

    Raises:
      InputError: names the field that is unknown, of the wrong type or out of range.
    """
    return from_dict(RunConfig, read_config_values(values))


def public_config(config):
    """Returns a RunConfig without the folders of the machine it was trained on.

    Of the data set's path the last folder and the file's name remain, of other paths the last part.
    """
    distillation = config.distillation
    return dataclasses.replace(
        config,
        init=_last(config.init, 1),
        data=dataclasses.replace(config.data, dataset=_last(config.data.dataset, 2)),
        distillation=dataclasses.replace(
            distillation,
            teacher=_last(distillation.teacher, 1),
            teacher_flows=_last(distillation.teacher_flows, 1),
        ),
    )


def _last(path, parts):
    """Returns the last parts of a path; None and the empty string as they are."""
    return path and "/".join(path.replace("\\", "/").rstrip("/").split("/")[-parts:])
