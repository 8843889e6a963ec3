"""The distillation loss of the student's flow, and the gradients of the critic.

Every kind of distillation is a function of the two flows alone, so its gradient is taken at the
student's flow and passed on to the network from there. That way the critic sees each flow once per
step, for its own gradient and the student's alike.
"""

from typing import NamedTuple

import tensorflow as tf

from ldr_tf.losses.adversarial import feature_distance, gradient_penalty, joint_deformation
from ldr_tf.losses.distillation import flow_regression_loss


class Discrimination(NamedTuple):
    """l_dis of a batch.

    Attributes:
      value: the student's loss, mean over the batch.
      gradient: of `value` with respect to the student's flow, [B, x, y, z, 3].
      critic_gradients: one for each of the critic's variables, for it to descend; empty without a
        critic.
      scalars: figures to log, by name.
    """

    value: tf.Tensor
    gradient: tf.Tensor
    critic_gradients: list
    scalars: dict


def regression(phi_s, phi_t):
    """The control arm: the student's flow regressed to the teacher's, voxels."""
    with tf.GradientTape() as tape:
        tape.watch(phi_s)
        loss = tf.reduce_mean(flow_regression_loss(phi_s, phi_t))
    return Discrimination(loss, tape.gradient(loss, phi_s), [], {"flow_regression": loss})


class CriticGame:
    """ALDK: the critic's distance between the flows, and the penalty that bounds the critic.

    In the game the critic descends `-distance + lambda penalty` and the student `distance`; in the
    joint objective both descend `distance + lambda penalty`. The penalty is left out if another
    constraint bounds the critic.
    """

    def __init__(self, critic, config):
        """Binds the critic to its `ldr_tf.config.CriticConfig`."""
        self._critic = critic
        self._config = config

    def __call__(self, phi_s, phi_t):
        """Returns the Discrimination of two flows [B, x, y, z, 3], voxels."""
        config, variables = self._config, self._critic.trainable_variables
        phi_s, phi_t = phi_s / config.flow_unit, phi_t / config.flow_unit
        penalized = config.constraint == "gradient_penalty"
        scalars = {}
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(phi_s)
            features = self._critic(phi_s), self._critic(phi_t)
            distance = tf.reduce_mean(feature_distance(*features, config.feature_reduction))
            if penalized:
                joint = joint_deformation(phi_s, phi_t, config.beta)
                values = gradient_penalty(self._critic, joint, config.flow_length)
                penalty, norm = map(tf.reduce_mean, values)
                scalars.update(critic_penalty=penalty, critic_gradient_norm=norm)
        scalars.update(
            critic_distance=distance,
            critic_saturation=_saturation(tf.concat(features, axis=0)),
        )
        gradient, *moving = tape.gradient(distance, [phi_s, *variables])
        value = distance
        if config.objective == "joint":
            if penalized:
                value += config.penalty * penalty
                more, *pulling = tape.gradient(penalty, [phi_s, *variables])
                gradient += config.penalty * more
                moving = [m + config.penalty * p for m, p in zip(moving, pulling)]
        else:
            moving = [-m for m in moving]
            if penalized:
                pulling = tape.gradient(penalty, variables)
                moving = [m + config.penalty * p for m, p in zip(moving, pulling)]
        return Discrimination(value, gradient / config.flow_unit, moving, scalars)


def _saturation(features):
    """Share of the features within 0.01 of 0 or 1, where the sigmoid is almost flat."""
    ends = tf.logical_or(features < 0.01, features > 0.99)
    return tf.reduce_mean(tf.cast(ends, tf.float32))
