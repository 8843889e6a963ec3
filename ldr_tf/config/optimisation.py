"""How the weights are trained: steps, rate, devices, and what is saved along the way."""

import dataclasses

from ldr_tf.records import Record, require, setting

SCHEDULES = ("constant", "cosine", "cosine_restarts", "rcn", "rcn_finetune", "ldr_released")
XLA_MODES = ("auto", "on", "off")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STRATEGIES = ("one", "mirrored", "multi_worker")
ON_NONFINITE = ("stop", "skip")


@dataclasses.dataclass(frozen=True)
class OptimisationConfig(Record):
    """How the weights are trained: steps, rate, devices, and what is saved along the way."""

    PREFIX = "optimisation."

    steps: int = setting(20000, "total number of optimiser steps", least=1, changeable=True)
    learning_rate: float = setting(
        1e-4, "Adam's learning rate, before the schedule", above=0.0, changeable=True
    )
    schedule: str = setting(
        "cosine",
        "schedule of the learning rate, see ldr_tf.training.schedules",
        choices=SCHEDULES,
        changeable=True,
    )
    epoch_steps: int = setting(
        20000,
        "steps per epoch, in which the original code's schedules count",
        least=1,
        changeable=True,
    )
    clip_norm: float = setting(
        0.0,
        "largest global norm of the network's gradient, longer ones are shortened to it; 0: none",
        least=0.0,
        changeable=True,
    )
    average: float = setting(
        0.0,
        "decay of a moving average of the weights, such as 0.999, which is then what is validated "
        "and loaded from the run; 0: the weights themselves",
        least=0.0,
        most=0.99999,
    )
    batch_size: int = setting(1, "pairs per step, over all devices", least=1)
    accumulate: int = setting(
        1,
        "parts in which a device takes its share of the batch, one after the other: the same step, "
        "with the memory of one part",
        least=1,
        changeable=True,
    )
    recompute: bool = setting(
        False,
        "whether activations are recomputed for the gradient instead of kept: less memory, about a "
        "third more time",
        changeable=True,
    )
    precision: str = setting(
        "float32",
        "mixed_float16 (with loss scaling) or mixed_bfloat16 for the dense stems' convolutions; "
        "affine stems, warps, losses and the critic stay in float32",
        choices=PRECISIONS,
    )
    strategy: str = setting(
        "one",
        "one (device), mirrored (over the devices of this machine) or multi_worker (over the "
        "machines that the environment variable TF_CONFIG names)",
        choices=STRATEGIES,
        changeable=True,
    )
    xla: str = setting(
        "auto",
        "whether XLA compiles the whole step; auto: on a GPU only (on a CPU, compiling 3D "
        "convolutions takes minutes; the warp is always compiled)",
        choices=XLA_MODES,
        changeable=True,
    )
    seed: int = setting(
        1, "seed of initial weights, data order and augmentation", least=0, most=2**31 - 1
    )
    deterministic: bool = setting(
        False,
        "whether to rule out operations whose result depends on thread timing, so that the same "
        "training on one machine gives the same weights bit for bit",
    )
    on_nonfinite: str = setting(
        "stop",
        "on a loss or gradient that is not finite: stop the training or skip the step",
        choices=ON_NONFINITE,
        changeable=True,
    )
    validate_every: int = setting(1000, "steps between validations", least=1, changeable=True)
    checkpoint_every: int = setting(500, "steps between checkpoints", least=1, changeable=True)
    summarize_every: int = setting(50, "steps between logged losses", least=1, changeable=True)
    keep_checkpoints: int = setting(3, "recent checkpoints that are kept", least=1, changeable=True)

    def __post_init__(self):
        super().__post_init__()
        require(
            self.batch_size % self.accumulate == 0,
            f"optimisation.batch_size must be a multiple of accumulate ({self.accumulate}), "
            f"not {self.batch_size}.",
        )
