"""Learning rates and the learning strategy, as functions of the step."""

import math

_RCN = (1, 1, 1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)
_RCN_FINETUNE = (1, 1, 1, 1 / 2, 1 / 4)
_LDR_RELEASED = (1, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128)
_LDR_RELEASED_RESTARTS = 5
_RESTARTS = (0, 1 / 7, 3 / 7, 1)  # of cosine_restarts: three cycles, each twice as long


def learning_rate(config, step):
    """Returns the learning rate of a step: `config.learning_rate` times a factor.

    The schedules by name; those of the original code have one factor per epoch (20,000 steps
    there, `config.epoch_steps` here) and keep the last:
      constant: 1.
      cosine: half a cosine, down to zero at the last step.
      cosine_restarts: three such halves, each twice as long as the one before (Loshchilov and
        Hutter, "SGDR", ICLR 2017).
      rcn: 1, 1, 1, 1/2, 1/4, 1/8, 1/16, 1/32, 1/64; RCN, and the LDR release with ALDK, at 1e-4.
      rcn_finetune: 1, 1, 1, 1/2, 1/4; at 5e-6.
      ldr_released: 1, 1/8, 1/16, 1/32, 1/64, 1/128, times a cosine that falls to zero five times
        over all steps; the release's LDR without ALDK, at 1e-4.

    Args:
      config: `ldr_tf.config.OptimisationConfig`.
      step: counted from 0.
    """
    if config.schedule == "cosine":
        factor = _half_cosine(min(step / config.steps, 1.0))
    elif config.schedule == "cosine_restarts":
        factor = _with_restarts(min(step / config.steps, 1.0))
    elif config.schedule == "rcn":
        factor = _by_epoch(_RCN, step, config)
    elif config.schedule == "rcn_finetune":
        factor = _by_epoch(_RCN_FINETUNE, step, config)
    elif config.schedule == "ldr_released":
        period = config.steps / _LDR_RELEASED_RESTARTS
        factor = _by_epoch(_LDR_RELEASED, step, config) * _half_cosine((step % period) / period)
    else:
        factor = 1.0
    return config.learning_rate * factor


def _by_epoch(factors, step, config):
    return factors[min(step // config.epoch_steps, len(factors) - 1)]


def _with_restarts(part):
    number = max(n for n, start in enumerate(_RESTARTS[:-1]) if part >= start)
    start, end = _RESTARTS[number : number + 2]
    return _half_cosine((part - start) / (end - start))


def _half_cosine(part):
    return (1 + math.cos(math.pi * part)) / 2


def is_full_step(config, step):
    """Whether a step takes the full loss rather than the reconstruction alone.

    Algorithm 1 of the ALDK paper favours the generator: of every `reconstruction_steps + 1` steps
    the last is full; from `until_step` on, `afterwards` decides.

    Args:
      config: `ldr_tf.config.DistillationConfig`.
      step: counted from 0.
    """
    if config.kind == "none":
        return False
    if config.until_step is not None and step >= config.until_step and config.afterwards != "same":
        return config.afterwards == "full"
    period = config.reconstruction_steps + 1
    return step % period == period - 1
