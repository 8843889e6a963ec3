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
      result: the network that the training yields: a moving average of the one in training if the
        config has one, else the same.
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
        self.network = self.result = CascadeNetwork(
            config.network, precision=optimisation.precision, recompute=optimisation.recompute
        )
        if optimisation.average:
            self.result = CascadeNetwork(config.network, precision=optimisation.precision)
            self.start_average()
        self.optimizer = _adam(optimisation.learning_rate, self.network, self.scales_loss)
        self.critic = self.critic_optimizer = None
        # What is loaded from a run is its "network".
        tracked = {"network": self.result, "optimizer": self.optimizer, "step": self.step}
        if self.result is not self.network:
            tracked["trained_network"] = self.network
        if distillation.kind == "aldk":
            critic = distillation.critic
            self.critic = Critic(critic.size, critic.constraint)
            self.critic_optimizer = _adam(critic.learning_rate, self.critic)
            tracked.update(critic=self.critic, critic_optimizer=self.critic_optimizer)
        self.checkpoint = tf.train.Checkpoint(**tracked)

    def start_average(self):
        """Makes the moving average, if there is one, equal to the network in training."""
        if self.result is not self.network:
            self._move_average(tf.constant(0.0))

    def follow(self, done):
        """Moves the average, if there is one, towards the weights after `done` steps.

        Its memory grows with the steps up to the config's, so that it soon forgets the first ones;
        the form is that of `tf.train.ExponentialMovingAverage`.
        """
        if self.result is not self.network:
            decay = min(self.config.optimisation.average, (1.0 + done) / (10.0 + done))
            self._move_average(tf.constant(decay, tf.float32))

    @tf.function(autograph=False)
    def _move_average(self, decay):
        extended = self.strategy.extended
        for mean, weight in zip(self.result.variables, self.network.variables):
            extended.update(mean, lambda m, w: m.assign(w + decay * (m - w)), args=(weight,))

    def loss_scale(self):
        """Returns the factor by which the network's loss is scaled before its gradient is taken."""
        return self.optimizer.get_scaled_loss(tf.constant(1.0)) if self.scales_loss else 1.0


def _adam(learning_rate, model, scaled=False):
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=1e-8, jit_compile=False)
    if scaled:
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)  # its slots exist before a checkpoint is restored
    return optimizer
