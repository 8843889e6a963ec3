"""What a training changes: networks, optimisers, and the count of steps."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.networks.critic import Critic


class TrainingState:
    """The network, its critic if there is one, their optimisers and the step.

    Attributes:
      config: the RunConfig.
      strategy: the tf.distribute.Strategy that mirrors all of this over its devices.
      network, optimizer: the network in training and its Adam.
      critic, critic_optimizer: only with ALDK, else None.
      scales_loss: whether the network's gradients are those of a scaled loss (mixed_float16).
      step: int64 variable, steps taken.
      checkpoint: tf.train.Checkpoint of all these.
    """

    def __init__(self, config, strategy=None):
        """Creates everything, with initial weights drawn from the config's seed.

        Args:
          config: a RunConfig.
          strategy: see `ldr_tf.training.devices`; None for one device.
        """
        keras.utils.set_random_seed(config.optimisation.seed)
        if config.optimisation.deterministic:
            tf.config.experimental.enable_op_determinism()
        self.config = config
        self.strategy = strategy or tf.distribute.get_strategy()
        self.scales_loss = config.optimisation.precision == "mixed_float16"
        with self.strategy.scope():
            self._create(config)

    def _create(self, config):
        optimisation, distillation = config.optimisation, config.distillation
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.network = CascadeNetwork(
            config.network, precision=optimisation.precision, recompute=optimisation.recompute
        )
        self.optimizer = _adam(optimisation.learning_rate, self.network, self.scales_loss)
        self.critic = self.critic_optimizer = None
        tracked = {"network": self.network, "optimizer": self.optimizer, "step": self.step}
        if distillation.kind == "aldk":
            critic = distillation.critic
            self.critic = Critic(critic.size, critic.constraint)
            self.critic_optimizer = _adam(critic.learning_rate, self.critic)
            tracked.update(critic=self.critic, critic_optimizer=self.critic_optimizer)
        self.checkpoint = tf.train.Checkpoint(**tracked)

    def loss_scale(self):
        """Returns the factor by which the network's loss is scaled before its gradient is taken."""
        return self.optimizer.get_scaled_loss(tf.constant(1.0)) if self.scales_loss else 1.0


def _adam(learning_rate, model, scaled=False):
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=1e-8, jit_compile=False)
    if scaled:
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)  # its slots exist before a checkpoint is restored
    return optimizer
