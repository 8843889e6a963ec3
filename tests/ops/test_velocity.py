"""Scaling and squaring against exponentials that are known in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.ops.flow import compose
from ldr_tf.ops.jacobian import jacobian_determinant
from ldr_tf.ops.velocity import integrate, logarithm

SIZE = 20
INNER = (slice(None),) + (slice(5, -5),) * 3
"""Away from the border, where coordinates are clamped."""


def offsets():
    axes = [np.arange(SIZE) - (SIZE - 1) / 2] * 3
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)[None].astype("float32")


def smooth_velocity(largest=3.0):
    """Sines that vanish on the border, so that nothing is clamped."""
    p = np.pi * (offsets() / (SIZE - 1) + 0.5)
    envelope = np.prod(np.sin(p), axis=-1, keepdims=True)
    waves = np.stack([np.sin(2 * p[..., 1]), np.cos(p[..., 2]), np.sin(p[..., 0])], axis=-1)
    return tf.constant(largest * envelope * waves, tf.float32)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_constant_velocity_is_its_own_flow(compiled):
    velocity = tf.ones([2, 6, 7, 8, 3]) * tf.constant([2.0, -3.0, 0.5])
    np.testing.assert_allclose(integrate(velocity, compiled=compiled), velocity, atol=1e-5)


def test_a_linear_velocity_grows_exponentially():
    # dp/dt = a p has the solution p e^a, by hand; the error of 2^-n steps is a^2 / 2^(n + 1).
    velocity = tf.constant(0.3 * offsets())
    flow = integrate(velocity, squarings=8)
    np.testing.assert_allclose(flow[INNER], ((np.exp(0.3) - 1) * offsets())[INNER], atol=0.01)


def test_minus_the_velocity_gives_the_inverse_and_neither_folds():
    velocity = smooth_velocity()
    there, back = integrate(velocity), integrate(-velocity)
    assert np.abs(there).max() > 2.0
    assert np.abs(compose(there, back)).max() < 0.1
    assert min(tf.reduce_min(jacobian_determinant(f)) for f in (there, back)) > 0.1
    # The same field taken as a flow does fold.
    assert tf.reduce_min(jacobian_determinant(3.0 * velocity)) < 0.0
    assert tf.reduce_min(jacobian_determinant(integrate(3.0 * velocity))) > 0.0


def test_the_logarithm_undoes_the_integration():
    velocity = smooth_velocity(2.0)
    flow = integrate(velocity)
    errors = [np.abs(integrate(logarithm(flow, n)) - flow).max() for n in (0, 1, 10)]
    assert errors[0] > 0.25
    assert errors[1] < 0.6 * errors[0]
    assert errors[2] < 0.02
    assert np.abs(logarithm(flow, 10) - velocity).max() < 0.1


def test_gradient_equals_finite_differences():
    velocity = smooth_velocity(1.5)
    weights = tf.random.stateless_normal(velocity.shape, [1, 2])
    direction = smooth_velocity(1.0)[..., ::-1]

    def value(shift):
        return tf.reduce_sum(weights * integrate(velocity + shift * direction))

    with tf.GradientTape() as tape:
        tape.watch(velocity)
        total = value(0.0)
    slope = tf.reduce_sum(tape.gradient(total, velocity) * direction)
    assert float(slope) == pytest.approx(float(value(1e-2) - value(-1e-2)) / 2e-2, rel=0.02)


def test_what_is_no_flow_is_refused():
    with pytest.raises(ValueError, match="three channels"):
        integrate(tf.zeros([1, 4, 4, 4, 1]))
