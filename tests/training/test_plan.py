"""What a step takes, found from its graph: by hand, and how it grows."""

import dataclasses

import pytest
import tensorflow as tf

from ldr_tf.config import DistillationConfig, NetworkConfig, OptimisationConfig, RunConfig
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.training import plan

KB = 1024


def graph_of(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return tf.function(function, autograph=False).get_concrete_function(*specs).graph


def test_what_is_still_to_be_read_lies_in_memory():
    def chain(x):  # never more than one result and the one before it
        return tf.exp(tf.sin(tf.cos(x)))

    def fork(x):  # the first result waits while the others are made
        first = tf.cos(x)
        return tf.exp(tf.sin(tf.tan(first))) + first

    assert plan.peak_bytes(graph_of(chain, [256])) == 2 * KB
    assert plan.peak_bytes(graph_of(fork, [256])) == 3 * KB


def test_what_nobody_asks_for_and_what_only_looks_different_do_not_count():
    def function(x):
        tf.linalg.matmul(tf.ones([256, 1]), x[None])  # 256 KB that are not run
        return tf.reshape(tf.identity(x), [16, 16])

    assert KB <= plan.peak_bytes(graph_of(function, [256])) < KB + 32  # and the new shape


def test_a_function_counts_while_it_runs():
    @tf.function(autograph=False)
    def inner(x):
        outer = x[:, None] * x[None]
        return tf.reduce_sum(outer, 0)

    size = plan.peak_bytes(graph_of(lambda x: inner(x) + 1.0, [256]))
    assert 256 * KB < size < 260 * KB


def test_multiply_adds_by_hand():
    kernel = tf.Variable(tf.zeros((3, 3, 3, 4, 8)))

    def forward(x):
        return tf.reduce_sum(tf.nn.conv3d(x, kernel, (1, 2, 2, 2, 1), "SAME"))

    def backward(x):
        with tf.GradientTape() as tape:
            value = forward(x)
        return value, tape.gradient(value, kernel)

    once = 8**3 * 3**3 * 4 * 8
    shape = [1, 16, 16, 16, 4]
    assert plan.multiply_adds(graph_of(forward, shape)) == once
    assert plan.multiply_adds(graph_of(backward, shape)) == 2 * once  # none by the volume


def config(**optimisation):
    return RunConfig(
        network=NetworkConfig(image_size=(64, 64, 64), channels=4),
        optimisation=OptimisationConfig(**optimisation),
    )


def test_a_steps_plan():
    one, two = plan.plan_step(config()), plan.plan_step(config(batch_size=2))
    network = CascadeNetwork(config().network)
    assert one.parameters == two.parameters == network.count_params()
    assert one.kept_mb == pytest.approx(12 * one.parameters / 2**20)
    assert two.step_mb == pytest.approx(2 * one.step_mb, rel=0.1)
    assert two.multiply_adds == 2 * one.multiply_adds
    halves = plan.plan_step(config(batch_size=2, accumulate=2))
    assert one.step_mb < halves.step_mb < 0.7 * two.step_mb
    averaged = plan.plan_step(config(average=0.99))
    assert averaged.kept_mb == pytest.approx(16 * one.parameters / 2**20)


def test_a_teacher_and_a_critic_count():
    teacher = CascadeNetwork(NetworkConfig("VTN", image_size=(64, 64, 64), channels=4))
    plain = config()
    taught = dataclasses.replace(plain, distillation=DistillationConfig("aldk", teacher="there"))
    found, alone = plan.plan_step(taught, teacher), plan.plan_step(plain)
    assert found.teacher_parameters == teacher.count_params()
    assert found.parameters > alone.parameters and found.multiply_adds > 2 * alone.multiply_adds
    stored = plan.plan_step(
        dataclasses.replace(plain, distillation=DistillationConfig("flow", teacher_flows="there"))
    )
    assert stored.teacher_parameters == 0 and stored.multiply_adds < found.multiply_adds
