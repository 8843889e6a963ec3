"""What a training changes: networks, optimisers, and the count of steps."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.networks.critic import Critic


class TrainingState:
    """The network, its critic where one plays, their optimisers and the step.

    Attributes:
      config: the RunConfig.
      network, optimizer: the network in training and its Adam.
      critic, critic_optimizer: only with ALDK, else None.
      step: int64 variable, steps taken.
      checkpoint: tf.train.Checkpoint of all these.
    """

    def __init__(self, config):
        """Creates everything anew, the initial weights drawn from the config's seed."""
        keras.utils.set_random_seed(config.training.seed)
        if config.training.deterministic:
            tf.config.experimental.enable_op_determinism()
        self.config = config
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.network = CascadeNetwork(config)
        self.optimizer = _adam(config.training.learning_rate, self.network)
        self.critic = self.critic_optimizer = None
        tracked = {"network": self.network, "optimizer": self.optimizer, "step": self.step}
        distillation = config.distillation
        if distillation.kind == "aldk":
            self.critic = Critic(distillation.critic_size, distillation.constraint)
            self.critic_optimizer = _adam(distillation.critic_learning_rate, self.critic)
            tracked.update(critic=self.critic, critic_optimizer=self.critic_optimizer)
        self.checkpoint = tf.train.Checkpoint(**tracked)


def _adam(learning_rate, model):
    optimizer = keras.optimizers.Adam(learning_rate, epsilon=1e-8, jit_compile=False)
    optimizer.build(model.trainable_variables)  # its slots exist before a checkpoint is restored
    return optimizer
