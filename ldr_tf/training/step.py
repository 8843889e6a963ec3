"""One optimiser step: the only place that decides which loss moves which weights."""

import tensorflow as tf

from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.losses.adversarial import adversarial_loss, loss_weights
from ldr_tf.losses.distillation import end_point_error
from ldr_tf.losses.reconstruction import Labels, reconstruction_loss
from ldr_tf.training.augment import TrainingPair, augment
from ldr_tf.training.discrimination import CriticGame, regression


class TrainingStep:
    """The custom training step of teacher and student.

    `reconstruction(batch)` moves the network by l_rec. `full(batch, gamma=None)` adds the
    distillation that the config names: "flow" regresses the network's flow to the teacher's;
    "aldk" plays the critic's game, in which student and critic learn from the same pass over the
    flows. Both are traced once, take a batch as the pipeline yields it ("fixed", "moving" uint8,
    "example", "teacher_flow" if flows are stored, "fixed_labels" and "moving_labels" if
    segmentations count), and return a dictionary of scalar tensors, means over the batch and all
    devices; neither does any I/O. The teacher stays frozen. Each kind of step names its objective:
    "reconstruction", or "full_loss" for the full step.
    """

    def __init__(self, state, teacher=None, classes=0):
        """Binds a step to what it moves.

        Args:
          state: `ldr_tf.training.state.TrainingState`.
          teacher: the frozen network whose flows are distilled; `full` needs it unless the batches
            hold the flows.
          classes: number of label classes in the batches.
        """
        self._state = state
        self._teacher = teacher
        self._classes = classes
        self._config = state.config
        self._distill = regression
        if state.critic is not None:
            self._distill = CriticGame(state.critic, state.config.distillation.critic)
        self.reconstruction = self._on_all_devices(self._reconstruction_step)
        self.full = self._on_all_devices(self._full_step)

    def look(self, batch):
        """Returns (fixed, moving, registration, teacher's flow or None) for one device's batch."""
        pair = self._prepare(batch)
        phi_t = pair.flow
        if phi_t is None and self._teacher is not None:
            phi_t = self._teacher(pair.fixed, pair.moving).flow
        return pair.fixed, pair.moving, self._state.network(pair.fixed, pair.moving), phi_t

    def _on_all_devices(self, step):
        """Returns a one-device step as a tf.function that runs on all devices."""
        strategy = self._state.strategy
        compiled = _whole_step_compiled(self._config.optimisation.xla)
        if strategy.num_replicas_in_sync == 1:
            return tf.function(step, autograph=False, jit_compile=compiled)

        def run(batch, gamma=None):
            arguments = (batch,) if gamma is None else (batch, gamma)
            scalars = strategy.run(compute, args=arguments)
            return {name: strategy.experimental_local_results(v)[0] for name, v in scalars.items()}

        compute = tf.function(step, autograph=False, jit_compile=True) if compiled else step
        return tf.function(run, autograph=False)

    def _reconstruction_step(self, batch):
        """Moves the network by l_rec alone, and the critic too if the config says so."""
        if self._state.critic is not None and self._critic_config.on_reconstruction_steps:
            scalars = self._full_step(batch, gamma=1.0)
            del scalars["full_loss"]
            return scalars
        gradients, scalars = self._over_parts(self._reconstruction_gradients, batch)
        scalars = _mean_over_devices(scalars)
        self._move_network(gradients, scalars)
        return scalars

    def _full_step(self, batch, gamma=None):
        """Moves the network by the full loss and, with "aldk", the critic by its own.

        `gamma`, a number or scalar tensor, overrides the config's weights.
        """
        distillation = self._config.distillation
        weights = loss_weights(distillation.gamma, distillation.weight)
        if gamma is not None:
            weights = loss_weights(gamma)

        def of_part(part):
            return self._full_gradients(part, weights)

        gradients, critic_gradients, flows, scalars = self._over_parts(of_part, batch)
        scalars = _mean_over_devices(scalars)
        self._move_network(gradients, scalars)
        if critic_gradients:
            self._move_critic(critic_gradients, scalars)
            for _ in range(self._critic_config.steps - 1):
                self._move_critic(self._distill(*flows).critic_gradients, scalars)
        return scalars

    @property
    def _critic_config(self):
        return self._config.distillation.critic

    def _over_parts(self, function, batch):
        """Returns the mean of `function(part)` over a batch's parts, taken one after the other."""
        parts = self._config.optimisation.accumulate
        if parts == 1:
            return function(batch)
        pieces = tf.nest.map_structure(
            lambda tensor: tf.reshape(tensor, [parts, -1, *tensor.shape[1:]]), batch
        )

        def of_piece(index):
            return function(tf.nest.map_structure(lambda tensor: tensor[index], pieces))

        def add(index, total):
            return index + 1, tf.nest.map_structure(tf.add, total, of_piece(index))

        start = (tf.constant(1), of_piece(0))
        _, total = tf.while_loop(lambda i, _: i < parts, add, start, parallel_iterations=1)
        return tf.nest.map_structure(lambda tensor: tensor / parts, total)

    def _reconstruction_gradients(self, batch):
        pair = self._prepare(batch)
        with tf.GradientTape() as tape:
            _, scalars = self._reconstruct(pair, batch["example"])
        return self._gradients(tape, [scalars["reconstruction"]], [1.0]), scalars

    def _full_gradients(self, batch, weights):
        """Returns the network's gradients, the critic's, both flows and the scalars of a part."""
        pair = self._prepare(batch)
        phi_t = pair.flow
        if phi_t is None:
            phi_t = self._teacher(pair.fixed, pair.moving).flow
        with tf.GradientTape() as tape:
            phi_s, scalars = self._reconstruct(pair, batch["example"])
        distilled = self._distill(phi_s, phi_t)
        gradients = self._gradients(
            tape,
            [scalars["reconstruction"], phi_s],
            [weights[0], weights[1] * distilled.gradient],
        )
        scalars.update(
            distilled.scalars,
            discrimination=distilled.value,
            full_loss=adversarial_loss(scalars["reconstruction"], distilled.value, weights),
            discrimination_gradient_norm=tf.norm(distilled.gradient),
            discrimination_towards_teacher=_cosine(distilled.gradient, phi_s - phi_t),
            teacher_end_point_error=tf.reduce_mean(end_point_error(phi_s, phi_t)),
        )
        # Only a second critic step needs the flows again; there is none when accumulating parts.
        flows = (phi_s, phi_t) if self._critic_config.steps > 1 else ()
        return gradients, distilled.critic_gradients, flows, scalars

    def _prepare(self, batch):
        """Returns the augmented pair, images in 0..1; its flow is the stored one, if any."""
        config = self._config
        flow = batch.get("teacher_flow")
        labels = tuple(batch[name] for name in ("fixed_labels", "moving_labels") if name in batch)
        pair = TrainingPair(
            fixed=tf.cast(batch["fixed"], tf.float32) / INTENSITY_MAX,
            moving=tf.cast(batch["moving"], tf.float32) / INTENSITY_MAX,
            flow=None if flow is None else tf.cast(flow, tf.float32),
            labels=labels or None,
        )
        return augment(pair, config.augmentation, config.optimisation.seed, batch["example"])

    def _reconstruct(self, pair, example):
        config = self._config
        registration = self._state.network(pair.fixed, pair.moving)
        labels = pair.labels and Labels(*pair.labels, self._draw_classes(pair.labels, example))
        rep = 1 if config.network.descents else config.network.rep
        terms = reconstruction_loss(pair.fixed, registration, config.loss, rep, labels)
        return registration.flow, {name: tf.reduce_mean(value) for name, value in terms.items()}

    def _draw_classes(self, labels, example):
        """Returns the classes whose overlap counts for a part of the batch.

        Those on both of its sides come first, whichever pair has them, in random order.
        """
        drawn = self._config.loss.label_classes
        if not 0 < drawn < self._classes:
            return tf.range(1, self._classes + 1)
        seed = tf.stack([self._config.optimisation.seed, tf.cast(example[0], tf.int32)])
        order = tf.random.stateless_uniform([self._classes], seed, alg="philox")
        for side in labels:
            flat = tf.reshape(tf.cast(side, tf.int32), [-1])
            seen = tf.math.unsorted_segment_max(tf.ones_like(flat), flat, self._classes + 1)
            order += tf.cast(seen[1:] > 0, tf.float32)
        return 1 + tf.math.top_k(order, drawn).indices

    def _gradients(self, tape, targets, weights):
        """Returns the network's gradient of `sum(weight * target)`, times the loss scale."""
        scale = self._state.loss_scale()
        weights = [scale * tf.convert_to_tensor(weight, tf.float32) for weight in weights]
        variables = self._state.network.trainable_variables
        return tape.gradient(targets, variables, output_gradients=weights)

    def _move_network(self, gradients, scalars):
        """Takes the network's step, or skips it if the scaled loss overflows."""
        state = self._state
        gradients = _mean_over_devices(gradients)
        scale = state.loss_scale()
        norm = tf.linalg.global_norm(gradients) / scale
        if state.scales_loss:
            scalars["loss_scale"] = scale
            scalars["overflow"] = tf.cast(~tf.math.is_finite(norm), tf.float32)
            norm = tf.where(tf.math.is_finite(norm), norm, 0.0)
            gradients = state.optimizer.get_unscaled_gradients(gradients)
        scalars["gradient_norm"] = norm
        longest = self._config.optimisation.clip_norm
        if longest > 0:
            gradients, _ = tf.clip_by_global_norm(gradients, longest, use_norm=norm)
        self._move(state.optimizer, gradients, state.network.trainable_variables, norm)

    def _move_critic(self, gradients, scalars):
        state = self._state
        gradients = _mean_over_devices(gradients)
        norm = scalars["critic_update_norm"] = tf.linalg.global_norm(gradients)
        self._move(state.critic_optimizer, gradients, state.critic.trainable_variables, norm)
        state.critic.constrain()

    def _move(self, optimizer, gradients, variables, norm):
        """Takes the optimiser's step, unless it is not finite and the config says to skip those."""

        def apply(gradients):
            # The gradients are already averaged over the devices.
            optimizer.apply_gradients(zip(gradients, variables), skip_gradients_aggregation=True)

        def unless_broken(strategy, gradients, norm):
            finite = tf.math.is_finite(strategy.experimental_local_results(norm)[0])

            def on_each_device():
                strategy.extended.call_for_each_replica(apply, args=(gradients,))
                return True

            return tf.cond(finite, on_each_device, lambda: False)

        if self._config.optimisation.on_nonfinite == "skip":
            context = tf.distribute.get_replica_context()
            context.merge_call(unless_broken, args=(gradients, norm))
        else:
            apply(gradients)


def _cosine(first, second):
    """Cosine of the angle between two tensors taken as vectors; 0 if either is zero."""
    product = tf.norm(first) * tf.norm(second)
    return tf.math.divide_no_nan(tf.reduce_sum(first * second), product)


def _mean_over_devices(tensors):
    """Returns the mean over devices of a structure of tensors; every device gets the same.

    Devices have equal shares of the batch, so this is the mean over the global batch.
    """
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return tensors
    total = context.all_reduce(tf.distribute.ReduceOp.SUM, tensors)
    return tf.nest.map_structure(lambda tensor: tensor / context.num_replicas_in_sync, total)


def _whole_step_compiled(mode):
    if mode == "auto":
        return bool(tf.config.list_physical_devices("GPU"))
    return mode == "on"
