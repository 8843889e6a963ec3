"""What defines a run: frozen records, saved as JSON beside the weights (see `ldr_tf.records`)."""

import dataclasses
from typing import Optional

from ldr_tf.records import require, require_choice, require_range

BASE_NETWORKS = ("LDR", "VTN", "VoxelMorph", "LDRReleased")
AFFINE_STEMS = ("none", "vtn", "light")
FLOW_RESOLUTIONS = ("full", "half")
INTENSITIES = ("percentile", "ct_abdomen", "minmax", "none")
CROPS = ("none", "foreground", "labels")
FITS = ("stretched", "isotropic")
PAINTED = ("all", "label_maps")
IMAGES = ("scans", "synthetic", "synthetic_t1")
SIMILARITIES = ("correlation", "local_correlation", "mse")
SCHEDULES = ("constant", "cosine", "rcn", "rcn_finetune", "ldr_released")
DISTILLATIONS = ("none", "flow", "aldk")
CRITIC_OBJECTIVES = ("game", "joint")
CRITIC_CONSTRAINTS = ("gradient_penalty", "spectral_norm", "weight_clipping", "none")
XLA_MODES = ("auto", "on", "off")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STRATEGIES = ("one", "mirrored", "multi_worker")
FEATURE_REDUCTIONS = ("mean", "sum")
FLOW_LENGTHS = ("rms", "sum")


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A registration network: an affine stem, then a recursive cascade of dense stems.

    Attributes:
      base_network: the dense stem, one of BASE_NETWORKS.
      cascades: number of dense stems, each with weights of its own.
      rep: how often each dense stem is applied in a row with shared weights.
      affine_stem: "vtn", "light" (that of the authors' release) or "none".
      image_size: voxels along x, y, z; binding only where an affine stem is present.
      channels: channels of the first layer, all others in proportion; 16 is the papers' value.
      flow_resolution: "full", or "half": LDR without an affine stem predicts and composes flows on
        a grid of half the resolution, from which they are interpolated; flows that come out are
        full all the same.
    """

    base_network: str = "LDR"
    cascades: int = 1
    rep: int = 1
    affine_stem: str = "none"
    image_size: tuple[int, int, int] = (128, 128, 128)
    channels: int = 16
    flow_resolution: str = "full"

    def __post_init__(self):
        require_choice(self.base_network, BASE_NETWORKS, "network.base_network")
        require_choice(self.affine_stem, AFFINE_STEMS, "network.affine_stem")
        require_choice(self.flow_resolution, FLOW_RESOLUTIONS, "network.flow_resolution")
        require(
            self.flow_resolution == "full"
            or (self.base_network == "LDR" and self.affine_stem == "none"),
            "network.flow_resolution may be half for base_network LDR with affine_stem none alone, "
            f"not for {self.base_network} with {self.affine_stem}.",
        )
        for field in ("cascades", "rep", "channels"):
            value = getattr(self, field)
            require(value >= 1, f"network.{field} must be at least 1, not {value}.")
        multiple, least = {"none": (1, 16), "vtn": (64, 64), "light": (16, 48)}[self.affine_stem]
        require(
            all(size % multiple == 0 and size >= least for size in self.image_size),
            f"network.image_size must have sides that are multiples of {multiple} and at least "
            f"{least} for the affine stem {self.affine_stem!r}, not {self.image_size}.",
        )


@dataclasses.dataclass(frozen=True)
class ImageConfig:
    """How a scan becomes the input of a network.

    Attributes:
      orientation: directions in which the grid's axes x, y, z point, three of the letters L or R,
        P or A, S or I; "LPS" is ITK's identity.
      spacing: voxel size in mm along x, y, z; None fits the region of `crop` to the grid.
      intensity: how intensities come to 0..255: "percentile" (0 and the foreground's 99.5th
        percentile), "ct_abdomen" (-160 and 240 HU), "minmax", or "none" (they already are).
      crop: the region that matters: "none" (the whole scan; with a spacing at which it does not
        fit, the grid is centred on the head or body), "foreground" (the box around head or body)
        or "labels" (the box around the labels; around head or body where there are none).
      fit: without a spacing, how the region comes to the grid: "stretched", each axis by itself,
        or "isotropic", one spacing for all, the rest of the grid showing what lies around.
    """

    orientation: str = "LPS"
    spacing: Optional[tuple[float, float, float]] = None
    intensity: str = "percentile"
    crop: str = "none"
    fit: str = "stretched"

    def __post_init__(self):
        axes = {"L": 0, "R": 0, "P": 1, "A": 1, "S": 2, "I": 2}
        require(
            sorted(axes.get(letter, -1) for letter in self.orientation) == [0, 1, 2],
            f"image.orientation must be three letters such as LPS, not {self.orientation!r}.",
        )
        require_choice(self.intensity, INTENSITIES, "image.intensity")
        require_choice(self.crop, CROPS, "image.crop")
        require_choice(self.fit, FITS, "image.fit")
        require(
            self.spacing is None or min(self.spacing) > 0,
            f"image.spacing must be above zero, not {self.spacing}.",
        )


@dataclasses.dataclass(frozen=True)
class DistillationConfig:
    """How the student learns from its teacher (design: the ALDK paper's losses).

    Attributes:
      kind: "none" (reconstruction alone), "flow" (regression to the teacher's flow) or "aldk".
      objective: "game": the critic maximises the distance and the student minimises it; "joint":
        both minimise one loss.
      constraint: what bounds the critic's slope: "gradient_penalty" (the paper's),
        "spectral_norm" (needs tensorflow-addons), "weight_clipping" (the first WGAN's) or "none".
      gamma: weight of the reconstruction; 1 - gamma is the weight of the distillation.
      beta: the teacher's share in the joint deformation.
      penalty: lambda, the weight of the gradient penalty.
      feature_reduction: "mean" or "sum" of the squared differences over the critic's features. The
        sum is the paper's equation to the letter; its critic saturates within some fifty steps.
      flow_unit: voxels that count as one before flows enter the critic.
      flow_length: how long a flow is where the critic's slope is measured, "rms" over the voxels
        or the "sum" of the squares, see `ldr_tf.losses.adversarial.gradient_penalty`.
      critic_size: voxels a side at which the critic works; None: the volume's own size.
      critic_learning_rate: of the critic's own Adam.
      critic_steps: critic steps for each full step of the student.
      reconstruction_steps: reconstruction-only steps before each full step (Algorithm 1).
      until_step: from this step on `afterwards` holds; None: never.
      afterwards: "reconstruction", "full" or "same" (the period goes on).
    """

    kind: str = "none"
    objective: str = "game"
    constraint: str = "gradient_penalty"
    gamma: float = 0.3
    beta: float = 0.1
    penalty: float = 10.0
    feature_reduction: str = "mean"
    flow_unit: float = 3.0
    flow_length: str = "rms"
    critic_size: Optional[tuple[int, int, int]] = None
    critic_learning_rate: float = 3e-4
    critic_steps: int = 1
    reconstruction_steps: int = 2
    until_step: Optional[int] = None
    afterwards: str = "same"

    def __post_init__(self):
        require_choice(self.kind, DISTILLATIONS, "distillation.kind")
        require_choice(self.objective, CRITIC_OBJECTIVES, "distillation.objective")
        require_choice(self.constraint, CRITIC_CONSTRAINTS, "distillation.constraint")
        require_choice(self.flow_length, FLOW_LENGTHS, "distillation.flow_length")
        require_choice(self.feature_reduction, FEATURE_REDUCTIONS, "distillation.feature_reduction")
        require_choice(
            self.afterwards, ("reconstruction", "full", "same"), "distillation.afterwards"
        )
        require_range(self.gamma, 0.0, 1.0, "distillation.gamma")
        require_range(self.beta, 0.0, 1.0, "distillation.beta")
        require(self.penalty >= 0, f"distillation.penalty must not be below 0, not {self.penalty}.")
        require(
            self.flow_unit > 0, f"distillation.flow_unit must be above 0, not {self.flow_unit}."
        )
        require(
            self.critic_steps >= 1,
            f"distillation.critic_steps must be at least 1, not {self.critic_steps}.",
        )
        require(
            self.reconstruction_steps >= 0,
            "distillation.reconstruction_steps must not be below 0, "
            f"not {self.reconstruction_steps}.",
        )


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """Data, losses and schedule of one training.

    Attributes:
      steps: optimiser steps in all.
      batch_size: pairs a step, over all devices.
      accumulate: parts in which a device takes its share of the batch, one after the other; the
        step is the same, its memory that of one part.
      recompute: whether a stem's activations are computed again for the gradient instead of kept:
        less memory, about a third more time.
      precision: "float32", or "mixed_float16" (with loss scaling) or "mixed_bfloat16" for the dense
        stems' convolutions; affine stems, warps, losses and the critic stay in float32.
      strategy: "one" device, "mirrored" over the devices of this machine, or "multi_worker" over
        the machines that the environment variable TF_CONFIG names.
      images: "scans", the volumes of the data set; "synthetic", images painted from its
        segmentations (see data/synthetic.py); "synthetic_t1", the same with the look of T1.
      painted: with those images, whether "all" scans are painted or only those that are mere
        "label_maps", so that real and painted images train together.
      paired: whether only disjoint neighbours of the data set are pairs, not all ordered pairs.
      learning_rate: of Adam, before the schedule.
      schedule: one of SCHEDULES, see `ldr_tf.training.schedules.learning_rate`.
      seed: of initial weights, data order and augmentation.
      deterministic: whether operations whose result depends on threads are ruled out, so that the
        same training gives the same weights bit for bit on one machine.
      xla: whether XLA compiles the whole step: "on", "off", or "auto", which does so on a GPU.
        (On a CPU compiling 3D convolutions takes minutes; the warp is compiled there all the same.)
      similarity: one of SIMILARITIES.
      regularization: weight of the flow's smoothness.
      label_weight: weight of the overlap of segmentations, where both scans of a pair have one; see
        `ldr_tf.losses.overlap.soft_dice_loss`. 0: labels are not read.
      augmentation: largest offset of the free-form deformation's control points as a fraction of
        their spacing; 0.4 is the originals' value, 0 switches it off.
      shift: voxels by which a pair is moved at random along each axis, both scans alike; without it
        a network learns where in the grid the organs use to lie, and depends on it.
      flip_axis: axis mirrored in half of the pairs (the left-right axis), None for none.
      on_nonfinite: what a loss or gradient that is not finite does: "stop" the training or "skip"
        the step.
      validate_every, checkpoint_every, summarize_every: steps between those.
      keep_checkpoints: how many of the last ones stay.
    """

    steps: int = 20000
    batch_size: int = 1
    accumulate: int = 1
    recompute: bool = False
    precision: str = "float32"
    strategy: str = "one"
    images: str = "scans"
    painted: str = "all"
    paired: bool = False
    learning_rate: float = 1e-4
    schedule: str = "cosine"
    seed: int = 1
    deterministic: bool = False
    xla: str = "auto"
    similarity: str = "correlation"
    regularization: float = 1.0
    label_weight: float = 0.0
    augmentation: float = 0.4
    shift: int = 0
    flip_axis: Optional[int] = None
    on_nonfinite: str = "stop"
    validate_every: int = 1000
    checkpoint_every: int = 500
    summarize_every: int = 50
    keep_checkpoints: int = 3

    def __post_init__(self):
        require_choice(self.images, IMAGES, "training.images")
        require_choice(self.painted, PAINTED, "training.painted")
        require_choice(self.schedule, SCHEDULES, "training.schedule")
        require_choice(self.xla, XLA_MODES, "training.xla")
        require_choice(self.precision, PRECISIONS, "training.precision")
        require_choice(self.strategy, STRATEGIES, "training.strategy")
        require_choice(self.on_nonfinite, ("stop", "skip"), "training.on_nonfinite")
        require_choice(self.similarity, SIMILARITIES, "training.similarity")
        for field in (
            "steps",
            "batch_size",
            "accumulate",
            "validate_every",
            "checkpoint_every",
            "summarize_every",
            "keep_checkpoints",
        ):
            value = getattr(self, field)
            require(value >= 1, f"training.{field} must be at least 1, not {value}.")
        require(
            self.batch_size % self.accumulate == 0,
            f"training.batch_size must be a multiple of accumulate ({self.accumulate}), "
            f"not {self.batch_size}.",
        )
        require(
            self.learning_rate > 0,
            f"training.learning_rate must be above 0, not {self.learning_rate}.",
        )
        require_range(self.augmentation, 0.0, 1.0, "training.augmentation")
        require(
            self.regularization >= 0,
            f"training.regularization must not be below 0, not {self.regularization}.",
        )
        require(self.shift >= 0, f"training.shift must not be below 0, not {self.shift}.")
        require(
            self.label_weight >= 0,
            f"training.label_weight must not be below 0, not {self.label_weight}.",
        )
        require(
            self.flip_axis in (None, 0, 1, 2),
            f"training.flip_axis must be 0, 1, 2 or null, not {self.flip_axis!r}.",
        )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a run folder's config.json holds.

    Attributes:
      stage: "teacher" or "student".
      network, image, training, distillation: the records above.
      dataset: the JSON manifest it was trained on, as given.
      subset: the scheme or subset it was trained on.
      teacher: the teacher's run folder, as given; None without one.
      teacher_flows: the store of the teacher's flows, as given; None without one.
    """

    stage: str = "student"
    network: NetworkConfig = NetworkConfig()
    image: ImageConfig = ImageConfig()
    training: TrainingConfig = TrainingConfig()
    distillation: DistillationConfig = DistillationConfig()
    dataset: str = ""
    subset: str = "1"
    teacher: Optional[str] = None
    teacher_flows: Optional[str] = None

    def __post_init__(self):
        require_choice(self.stage, ("teacher", "student"), "stage")
        require(
            self.training.accumulate == 1 or self.distillation.critic_steps == 1,
            "distillation.critic_steps must be 1 where training.accumulate is above 1, "
            f"not {self.distillation.critic_steps}.",
        )


CHANGEABLE = frozenset(
    "training." + name
    for name in (
        "steps",
        "learning_rate",
        "schedule",
        "xla",
        "strategy",
        "accumulate",
        "recompute",
        "on_nonfinite",
        "validate_every",
        "checkpoint_every",
        "summarize_every",
        "keep_checkpoints",
    )
)
"""Fields that a run may go on with when they have changed; the others make it another run."""


def public_config(config):
    """Returns a RunConfig without the folders of the machine it was trained on.

    Of the data set the last folder and the file's name stay, of the others the last folder.
    """
    tail = {
        field: _last(getattr(config, field), parts)
        for field, parts in (("dataset", 2), ("teacher", 1), ("teacher_flows", 1))
    }
    return dataclasses.replace(config, **tail)


def _last(path, parts):
    """Returns the last parts of a path; None and an empty text as they are."""
    return path and "/".join(path.replace("\\", "/").rstrip("/").split("/")[-parts:])
