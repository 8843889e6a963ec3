"""One optimiser step: the only place that decides which loss moves which weights."""

import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.losses.adversarial import (
    adversarial_loss,
    feature_distance,
    gradient_penalty,
    joint_deformation,
)
from ldr_tf.losses.distillation import end_point_error, flow_regression_loss
from ldr_tf.losses.reconstruction import reconstruction_loss
from ldr_tf.training.augment import augment


class TrainingStep:
    """The custom training step of teacher and student.

    `reconstruction(batch)` moves the network by l_rec. `full(batch, gamma=None)` adds the
    distillation that the config names: "flow" regresses the network's flow to the teacher's;
    "aldk" plays the critic's game. Both are traced once, take a batch as the pipeline yields it
    ("fixed", "moving" uint8, "step"), and return a dictionary of scalar tensors; neither does any
    I/O. The teacher is never moved.
    """

    def __init__(self, state, teacher=None):
        """Binds a step to what it moves.

        Args:
          state: `ldr_tf.training.state.TrainingState`.
          teacher: the frozen network whose flows are distilled; needed for `full`.
        """
        self._state = state
        self._teacher = teacher
        self._config = state.config
        compiled = _whole_step_compiled(state.config.training.xla)
        self.reconstruction = tf.function(
            self._reconstruction_step, autograph=False, jit_compile=compiled
        )
        self.full = tf.function(self._full_step, autograph=False, jit_compile=compiled)

    def _reconstruction_step(self, batch):
        """Moves the network by l_rec alone."""
        fixed, moving = self._prepare(batch)
        with tf.GradientTape() as tape:
            _, scalars = self._reconstruct(fixed, moving)
        scalars["loss"] = scalars["reconstruction"]
        self._apply(tape, scalars)
        return scalars

    def _full_step(self, batch, gamma=None):
        """Moves the network by the full loss and, with "aldk", the critic by its own.

        `gamma` is a scalar tensor instead of the config's value.
        """
        gamma = self._config.distillation.gamma if gamma is None else gamma
        fixed, moving = self._prepare(batch)
        phi_t = tf.stop_gradient(self._teacher(fixed, moving).flow)
        kind = self._config.distillation.kind
        distill = {"flow": self._regress, "aldk": self._play}[kind]
        with tf.GradientTape() as tape:
            phi_s, scalars = self._reconstruct(fixed, moving)
            discrimination, more, critic_gradients = distill(phi_s, phi_t)
            scalars["loss"] = adversarial_loss(scalars["reconstruction"], discrimination, gamma)
        scalars.update(more)
        scalars["teacher_end_point_error"] = tf.reduce_mean(end_point_error(phi_s, phi_t))
        self._apply(tape, scalars)
        if critic_gradients is not None:
            self._apply_critic(critic_gradients, scalars)
        return scalars

    def critic_loss(self, phi_s, phi_t):
        """The critic's side of the game, `-distance + lambda penalty`, mean over the batch.

        The penalty is left out where another constraint bounds the critic.

        Args:
          phi_s, phi_t: deformations in the critic's unit, [B, x, y, z, 3].

        Returns:
          The loss and a dictionary of scalars.
        """
        distance = tf.reduce_mean(self._distance(phi_s, phi_t))
        penalty, scalars = self._penalty(phi_s, phi_t)
        loss = self._config.distillation.penalty * penalty - distance
        return loss, {"critic_loss": loss, "critic_distance": distance, **scalars}

    def _prepare(self, batch):
        training = self._config.training
        fixed = tf.cast(batch["fixed"], tf.float32) / INTENSITY_MAX
        moving = tf.cast(batch["moving"], tf.float32) / INTENSITY_MAX
        return augment(
            fixed, moving, training.augmentation, training.flip_axis, training.seed, batch["step"]
        )

    def _reconstruct(self, fixed, moving):
        config = self._config
        registration = self._state.network(fixed, moving)
        terms = reconstruction_loss(
            fixed,
            registration,
            config.training.similarity,
            config.training.regularization,
            config.network.rep,
        )
        return registration.flow, {name: tf.reduce_mean(value) for name, value in terms.items()}

    def _regress(self, phi_s, phi_t):
        loss = tf.reduce_mean(flow_regression_loss(phi_s, phi_t))
        return loss, {"flow_regression": loss}, None

    def _play(self, phi_s, phi_t):
        """Returns l_dis as the student feels it, scalars, and the critic's pending gradients.

        In the game the critic has already taken its steps; in the joint objective its gradients
        are those of the same loss and are applied after the student's.
        """
        options = self._config.distillation
        phi_s, phi_t = phi_s / options.flow_unit, phi_t / options.flow_unit
        if options.objective == "joint":
            return self._play_jointly(phi_s, phi_t)
        detached = tf.stop_gradient(phi_s)
        for _ in range(options.critic_steps):
            with tf.GradientTape() as tape:
                loss, scalars = self.critic_loss(detached, phi_t)
            variables = self._state.critic.trainable_variables
            self._apply_critic(tape.gradient(loss, variables), scalars)
        distance = tf.reduce_mean(self._distance(phi_s, phi_t))
        scalars["distance"] = distance
        return distance, scalars, None

    def _play_jointly(self, phi_s, phi_t):
        with tf.GradientTape() as tape:
            distance = tf.reduce_mean(self._distance(phi_s, phi_t))
            penalty, scalars = self._penalty(phi_s, phi_t)
            loss = distance + self._config.distillation.penalty * penalty
        gradients = tape.gradient(loss, self._state.critic.trainable_variables)
        gradients = [tf.stop_gradient(gradient) for gradient in gradients]
        return loss, {"distance": distance, **scalars}, gradients

    def _distance(self, phi_s, phi_t):
        critic = self._state.critic
        reduction = self._config.distillation.feature_reduction
        return feature_distance(critic(phi_s), critic(phi_t), reduction)

    def _penalty(self, phi_s, phi_t):
        """Returns the gradient penalty's mean and its scalars; zero and none without it."""
        if self._config.distillation.constraint != "gradient_penalty":
            return 0.0, {}
        joint = joint_deformation(phi_s, phi_t, self._config.distillation.beta)
        penalty, norm = map(tf.reduce_mean, gradient_penalty(self._state.critic, joint))
        return penalty, {"critic_penalty": penalty, "critic_gradient_norm": norm}

    def _apply(self, tape, scalars):
        variables = self._state.network.trainable_variables
        gradients = tape.gradient(scalars["loss"], variables)
        scalars["gradient_norm"] = tf.linalg.global_norm(gradients)
        self._move(self._state.optimizer, gradients, variables, scalars["gradient_norm"])

    def _apply_critic(self, gradients, scalars):
        scalars["critic_update_norm"] = tf.linalg.global_norm(gradients)
        variables = self._state.critic.trainable_variables
        optimizer = self._state.critic_optimizer
        self._move(optimizer, gradients, variables, scalars["critic_update_norm"])
        self._state.critic.constrain()

    def _move(self, optimizer, gradients, variables, norm):
        """Takes the optimiser's step, unless steps that are not finite are to be skipped."""

        def move():
            optimizer.apply_gradients(zip(gradients, variables))
            return True

        if self._config.training.on_nonfinite == "skip":
            tf.cond(tf.math.is_finite(norm), move, lambda: False)
        else:
            move()


def _whole_step_compiled(mode):
    if mode == "auto":
        return bool(tf.config.list_physical_devices("GPU"))
    return mode == "on"
