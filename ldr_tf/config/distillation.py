"""How the student learns from its teacher."""

import dataclasses
from typing import Optional

from ldr_tf.records import Record, require, setting

DISTILLATIONS = ("none", "flow", "aldk")
OBJECTIVES = ("game", "joint")
CONSTRAINTS = ("gradient_penalty", "spectral_norm", "weight_clipping", "none")
FEATURE_REDUCTIONS = ("mean", "sum")
FLOW_LENGTHS = ("rms", "sum")
AFTERWARDS = ("reconstruction", "full", "same")


@dataclasses.dataclass(frozen=True)
class CriticConfig(Record):
    """ALDK's critic: its input, its constraint, its training."""

    PREFIX = "distillation.critic."

    objective: str = setting(
        "game",
        "game: the critic maximises the distance and the student minimises it; joint: both "
        "minimise one loss",
        choices=OBJECTIVES,
    )
    constraint: str = setting(
        "gradient_penalty",
        "what bounds the critic's slope: gradient_penalty (the paper's), spectral_norm (needs "
        "tensorflow-addons), weight_clipping (the first WGAN's) or none",
        choices=CONSTRAINTS,
    )
    penalty: float = setting(10.0, "lambda, the weight of the gradient penalty", least=0.0)
    beta: float = setting(0.1, "the teacher's share in the joint deformation", least=0.0, most=1.0)
    feature_reduction: str = setting(
        "mean",
        "mean or sum of the squared differences over the critic's features; sum is the paper's "
        "equation to the letter, but its critic saturates within about fifty steps",
        choices=FEATURE_REDUCTIONS,
    )
    flow_unit: float = setting(
        3.0, "voxels; flows are divided by it before they enter the critic", above=0
    )
    flow_length: str = setting(
        "rms",
        "how a flow's length is measured for the critic's slope: rms over the voxels, or the root "
        "of the sum of squares",
        choices=FLOW_LENGTHS,
    )
    size: Optional[tuple[int, int, int]] = setting(
        None, "voxels along x, y, z at which the critic works; none: the volume's own", least=1
    )
    learning_rate: float = setting(3e-4, "learning rate of the critic's own Adam", above=0.0)
    steps: int = setting(1, "critic steps per full step of the student", least=1)
    on_reconstruction_steps: bool = setting(
        False, "whether the critic also learns in the student's reconstruction-only steps"
    )


@dataclasses.dataclass(frozen=True)
class DistillationConfig(Record):
    """How the student learns from its teacher (the ALDK paper's losses)."""

    PREFIX = "distillation."

    kind: str = setting(
        "none",
        "none (reconstruction alone), flow (regression to the teacher's flow) or aldk (the "
        "critic's distance)",
        choices=DISTILLATIONS,
    )
    teacher: Optional[str] = setting(None, "the teacher's run folder, as given")
    teacher_flows: Optional[str] = setting(None, "the store of the teacher's flows, as given")
    gamma: float = setting(
        0.3,
        "weight of the reconstruction; 1 - gamma is the weight of the distillation",
        least=0.0,
        most=1.0,
    )
    reconstruction_steps: int = setting(
        2, "reconstruction-only steps before each full step (Algorithm 1)", least=0
    )
    until_step: Optional[int] = setting(
        None, "the step from which the field afterwards applies; none: never", least=0
    )
    afterwards: str = setting(
        "same", "the kind of step from until_step on; same: as before", choices=AFTERWARDS
    )
    critic: CriticConfig = CriticConfig()
    weight: Optional[float] = setting(
        None,
        "weight of the distillation beside the whole reconstruction, instead of the shares that "
        "gamma gives both; none: gamma counts",
        least=0.0,
    )

    def __post_init__(self):
        super().__post_init__()
        given = [name for name in ("teacher", "teacher_flows") if getattr(self, name) is not None]
        require(
            len(given) < 2,
            "distillation.teacher and distillation.teacher_flows: only one of them can be the "
            "teacher.",
        )
        require(
            self.kind != "none" or not given,
            f"distillation.{''.join(given)} is given, but distillation.kind none does not use it.",
        )
