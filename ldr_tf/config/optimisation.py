"""How the weights are found: steps, rate, devices, and what is kept on the way."""

import dataclasses

from ldr_tf.records import Record, require, setting

SCHEDULES = ("constant", "cosine", "rcn", "rcn_finetune", "ldr_released")
XLA_MODES = ("auto", "on", "off")
PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16")
STRATEGIES = ("one", "mirrored", "multi_worker")
ON_NONFINITE = ("stop", "skip")


@dataclasses.dataclass(frozen=True)
class OptimisationConfig(Record):
    """How the weights are found: steps, rate, devices, and what is kept on the way."""

    PREFIX = "optimisation."

    steps: int = setting(20000, "optimiser steps in all", least=1, changeable=True)
    learning_rate: float = setting(1e-4, "of Adam, before the schedule", above=0.0, changeable=True)
    schedule: str = setting(
        "cosine",
        "of the learning rate, see ldr_tf.training.schedules",
        choices=SCHEDULES,
        changeable=True,
    )
    epoch_steps: int = setting(
        20000,
        "steps of an epoch, by which the originals' schedules count",
        least=1,
        changeable=True,
    )
    batch_size: int = setting(1, "pairs a step, over all devices", least=1)
    accumulate: int = setting(
        1,
        "parts in which a device takes its share of the batch, one after the other; the step is "
        "the same, its memory that of one part",
        least=1,
        changeable=True,
    )
    recompute: bool = setting(
        False,
        "whether a stem's activations are computed again for the gradient instead of kept: less "
        "memory, about a third more time",
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
        "one device, mirrored over the devices of this machine, or multi_worker over the machines "
        "that the environment variable TF_CONFIG names",
        choices=STRATEGIES,
        changeable=True,
    )
    xla: str = setting(
        "auto",
        "whether XLA compiles the whole step; auto does so on a GPU (on a CPU compiling 3D "
        "convolutions takes minutes; the warp is compiled there all the same)",
        choices=XLA_MODES,
        changeable=True,
    )
    seed: int = setting(
        1, "of initial weights, data order and augmentation", least=0, most=2**31 - 1
    )
    deterministic: bool = setting(
        False,
        "whether operations whose result depends on threads are ruled out, so that the same "
        "training gives the same weights bit for bit on one machine",
    )
    on_nonfinite: str = setting(
        "stop",
        "what a loss or gradient that is not finite does: stop the training or skip the step",
        choices=ON_NONFINITE,
        changeable=True,
    )
    validate_every: int = setting(1000, "steps between validations", least=1, changeable=True)
    checkpoint_every: int = setting(500, "steps between checkpoints", least=1, changeable=True)
    summarize_every: int = setting(50, "steps between logged losses", least=1, changeable=True)
    keep_checkpoints: int = setting(3, "how many of the last ones stay", least=1, changeable=True)

    def __post_init__(self):
        super().__post_init__()
        require(
            self.batch_size % self.accumulate == 0,
            f"optimisation.batch_size must be a multiple of accumulate ({self.accumulate}), "
            f"not {self.batch_size}.",
        )
