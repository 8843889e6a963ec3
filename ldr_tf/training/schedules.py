"""Learning rates and the learning strategy, as functions of the step."""

import math

_RCN_FACTORS = (1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
_RCN_EPOCH = 20000


def learning_rate(config, step):
    """Returns the learning rate of a step, counted from 0.

    Args:
      config: `ldr_tf.config.TrainingConfig`. Its schedule is "constant", "cosine" (half a cosine
        down to zero at `config.steps`) or "rcn" (RCN's factors 1, 1, 1, 1/2, 1/4 .. 1/64, one an
        epoch of 20,000 steps, the last one kept).
      step: the step.
    """
    if config.schedule == "cosine":
        factor = (1 + math.cos(math.pi * min(step / config.steps, 1.0))) / 2
    elif config.schedule == "rcn":
        factor = _RCN_FACTORS[min(step // _RCN_EPOCH, len(_RCN_FACTORS) - 1)]
    else:
        factor = 1.0
    return config.learning_rate * factor


def is_full_step(config, step):
    """Whether a step takes the full adversarial loss, or the reconstruction alone.

    Algorithm 1 of the ALDK paper considers the generator more often: of every
    `reconstruction_steps + 1` steps the last is full; from `until_step` on `afterwards` holds.

    Args:
      config: `ldr_tf.config.DistillationConfig`.
      step: the step, counted from 0.
    """
    if config.kind == "none":
        return False
    if config.until_step is not None and step >= config.until_step and config.afterwards != "same":
        return config.afterwards == "full"
    period = config.reconstruction_steps + 1
    return step % period == period - 1
