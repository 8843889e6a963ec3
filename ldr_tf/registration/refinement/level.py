"""One grid of a refinement: its splines, its cost and its step; see `descent`."""

import functools

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import AXES
from ldr_tf.losses.similarity import local_correlation_loss
from ldr_tf.ops.bspline import cubic_bspline
from ldr_tf.ops.flow import jacobian_determinant
from ldr_tf.ops.velocity import integrate, logarithm
from ldr_tf.ops.warp import warp, warp_nearest

_BETAS = (0.9, 0.999)
_TINY = 1e-9
_CORNERS = ((1, 1, 1), (0, 0, 0), (1, 0, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (0, 0, 1), (1, 1, 0))
"""The corners towards which |J| takes its differences, one per step in turn: a mapping that does
not fold towards one corner of each voxel may well fold towards another."""
_EQUATIONS = ("bxyzc,ix->biyzc", "bxyzc,iy->bxizc", "bxyzc,iz->bxyic")


class Level:
    """One grid, its splines, and the compiled step on it.

    The spline's control points lie `spacing` voxels apart, the first one before the first voxel. A
    velocity field is integrated at these points, which are fewer than the voxels, and the flow is
    interpolated from there, again by splines.
    """

    def __init__(self, size, config):
        self._config, self._spacing = config, config.spacing
        spacing = config.spacing
        counts = [int((n - 1) // spacing) + 4 for n in size]
        points = [_spline_matrix(np.arange(count), count) for count in counts]
        voxels = [_spline_matrix(np.arange(n) / spacing + 1, c) for n, c in zip(size, counts)]
        inverses = [np.linalg.inv(matrix) for matrix in points]
        self._voxels, self._points = voxels, points
        self._fit = [_fit_matrix(matrix) for matrix in voxels]
        self._fit_points = inverses
        self._interpolate = [a @ b for a, b in zip(voxels, inverses)]
        # A step is fastest as one compiled function, but with the squarings in it compiling would
        # take half a minute; on their own they share one compiled warp.
        self.step, self.cost = _compiled(self._step, not config.diffeomorphic), self._cost
        if config.diffeomorphic:
            self.cost = _compiled(self._cost, True)
        self.flow = _compiled(self._flow, False)
        self._size, self._counts, self._ready = size, counts, False

    def compile(self):
        """Has the step compiled, by running it once on nothing, unless this was done before."""
        if self._ready:
            return
        volume = tf.zeros((1, *self._size, 2))
        coefficients = tf.zeros((1, *self._counts, 3))
        self.step(volume, volume, (coefficients, coefficients, coefficients, tf.constant(0.0)))
        self._ready = True

    def field(self, coefficients):
        """Returns the spline at the voxels: the flow, or the velocity field."""
        return _product(coefficients, self._voxels)

    def coefficients(self, field):
        """Returns the coefficients of the least-squares spline of a field."""
        return _product(field, self._fit)

    def coefficients_of_flow(self, flow):
        """As `coefficients`, but the field is a flow even if the spline is a velocity."""
        coefficients = self.coefficients(flow)
        if not self._config.diffeomorphic:
            return coefficients
        values = _product(coefficients, self._points)
        velocity = self._spacing * logarithm(values / self._spacing)
        return _product(velocity, self._fit_points)

    def _flow(self, coefficients):
        if not self._config.diffeomorphic:
            return self.field(coefficients)
        velocity = _product(coefficients, self._points)
        flow = self._spacing * integrate(velocity / self._spacing)
        return _product(flow, self._interpolate)

    def _cost(self, fixed, moving, flow, coefficients, corner):
        config = self._config
        # A function compiled on its own computes all gradients, wanted or not; this one is not.
        loss = _dissimilarity(fixed, tf.stop_gradient(moving), flow, config)
        loss += config.regularization * _roughness(coefficients) / self._spacing**2
        lacking = tf.nn.relu(config.least_jacobian - jacobian_determinant(flow, corner))
        return loss + config.fold_weight * tf.reduce_mean(tf.square(lacking))

    def _step(self, fixed, moving, state):
        """One step of Adam; the state is (coefficients, both moments, steps taken)."""
        coefficients, first, second, count = state
        with tf.GradientTape() as tape:
            tape.watch(coefficients)
            corner = tf.gather(_CORNERS, tf.cast(count, tf.int32) % len(_CORNERS))
            loss = self.cost(fixed, moving, self._flow(coefficients), coefficients, corner)
        gradient = tape.gradient(loss, coefficients)
        # Keras' Adam keeps its moments in variables, which a compiled step, serving one pair after
        # another, would have to recreate for each. Here they are part of the state.
        count += 1.0
        first = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * second + (1 - _BETAS[1]) * tf.square(gradient)
        mean, variance = (m / (1 - b**count) for m, b in zip((first, second), _BETAS))
        coefficients -= self._config.learning_rate * mean / (tf.sqrt(variance) + _TINY)
        return (coefficients, first, second, count), loss


def _compiled(method, fused):
    """Returns a level's method as a tf.function of its own, see `ldr_tf.ops.compiling`."""
    return tf.function(functools.partial(method), jit_compile=fused, autograph=False)


def _dissimilarity(fixed, moving, flow, config):
    warped = warp(moving[..., :1], flow)
    known = tf.minimum(fixed[..., 1:], warp_nearest(moving[..., 1:], tf.stop_gradient(flow)))
    known = tf.cast(known > 0.99, tf.float32)
    return local_correlation_loss(fixed[..., :1], warped, config.window, config.epsilon, known)[0]


def _roughness(field):
    """As `ldr_tf.losses.regularization.flow_smoothness`, for one field; by slices, faster here."""
    total = 0.0
    for axis in AXES:
        ahead, behind = tf.split(field, [1, -1], axis)[1], tf.split(field, [-1, 1], axis)[0]
        total += tf.reduce_sum(tf.math.squared_difference(ahead, behind)) / 2.0
    return total / float(np.prod(field.shape[1:]))


def _spline_matrix(positions, count):
    """Returns cubic B-splines centred on 0 .. count - 1 at the positions, [positions, count]."""
    return cubic_bspline(np.asarray(positions)[:, None] - np.arange(count))


def _fit_matrix(spline):
    """Returns the [count, positions] least-squares inverse of a spline matrix.

    A slight penalty on curvature keeps the outermost points, which hardly count, in line.
    """
    bend = np.diff(np.eye(spline.shape[1]), 2, axis=0)
    return np.linalg.solve(spline.T @ spline + 1e-3 * bend.T @ bend, spline.T)


def _product(volume, matrices):
    """Multiplies each spatial axis of [batch, x, y, z, channels] by its [new, old] matrix."""
    for equation, matrix in zip(_EQUATIONS, matrices):
        volume = tf.einsum(equation, volume, tf.constant(matrix, tf.float32))
    return volume
