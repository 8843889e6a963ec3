"""One grid of a refinement: its splines, its cost and its step; see `descent`."""

import dataclasses
import functools
import math
import threading
import typing

import numpy as np
import tensorflow as tf

from ldr_tf.graphs import kept_function
from ldr_tf.losses.regularization import smoothness_gradient
from ldr_tf.losses.similarity import gradient_fields_loss, local_correlation_loss
from ldr_tf.ops.bspline import cubic_bspline, spline_at_voxels
from ldr_tf.ops.compiling import compiled_by_shape
from ldr_tf.ops.jacobian import add_jacobian_gradient, jacobian_determinant
from ldr_tf.ops.velocity import integrate, logarithm
from ldr_tf.ops.warp import warp, warp_gradient, warp_nearest

_BETAS = (0.9, 0.999)
_TINY = 1e-9
_CORNERS = ((1, 1, 1), (0, 0, 0), (1, 0, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (0, 0, 1), (1, 1, 0))
"""The corners towards which |J| takes its differences, one per step in turn: a mapping that does
not fold towards one corner of each voxel may well fold towards another."""
_SHOWN = 0.02
"""Darker voxels are background: above what is left of a CT's air or a stripped skull."""
_EQUATIONS = ("bxyzc,ix->biyzc", "bxyzc,iy->bxizc", "bxyzc,iz->bxyic")


class Level:
    """One grid, its splines, and the step on it.

    The spline's control points lie `spacing` voxels apart, the first one before the first voxel. A
    velocity field is integrated at these points, which are fewer than the voxels, and the flow is
    interpolated from there, again by splines.

    A step is a graph of small compiled functions, its gradient put together by hand. In one
    function XLA computes the warped volume anew wherever a window's sum reads it, and everything in
    between lies in memory at once: a step takes a quarter longer, and twice the memory.
    Functions that do not need each other run side by side.
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
        # With the squarings in it compiling would take half a minute; on their own they share one
        # compiled warp.
        self.flow = _compiled(self._flow, not config.diffeomorphic)
        self._unlike = _compiled(_with_gradient(self._dissimilarity))
        self._folds = _compiled(self._fold_penalty)
        self._update = _compiled(self._adam)
        self._size, self._counts, self._ready = size, counts, False
        self._lock, self._graph = threading.Lock(), None

    def start(self, coefficients):
        """Returns the state of no steps: (coefficients, both moments of Adam, steps taken)."""
        return coefficients, tf.zeros_like(coefficients), tf.zeros_like(coefficients), 0

    def compile(self):
        """Has the step compiled, by running it once on nothing, unless this was done before."""
        if self._ready:
            return
        scan = Scan(*[tf.zeros((1, *self._size, 1))] * 2)
        self.step(scan, scan, self.start(tf.zeros((1, *self._counts, 3))))
        self._ready = True

    def field(self, coefficients):
        """Returns the spline at the voxels: the flow, or the velocity field."""
        if self._spacing == int(self._spacing):
            return spline_at_voxels(coefficients, self._size, int(self._spacing))
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

    def step(self, fixed, moving, state):
        """Takes a step of Adam.

        Args:
          fixed, moving: each a Scan on this grid.
          state: of `start` or of the step before.

        Returns:
          The new state, and the cost before the step.
        """
        count = state[-1]
        corner = tf.constant(_CORNERS[count % len(_CORNERS)], tf.float32)
        tensors = *fixed, *moving, *state[:-1], corner, tf.constant(count + 1.0)
        *moved, cost = self._traced_step()(*tensors)
        return (*moved, count + 1), cost

    def _traced_step(self):
        with self._lock:  # what is compiled ahead goes on in another thread
            if self._graph is None:
                volume = tf.TensorSpec((1, *self._size, 1), tf.float32)
                coefficients = tf.TensorSpec((1, *self._counts, 3), tf.float32)
                specs = [*[volume] * 4, *[coefficients] * 3, *map(tf.TensorSpec, ((3,), ()))]
                about = {"refinement": dataclasses.asdict(self._config), "size": self._size}
                self._graph = kept_function(self._step, specs, about)
            return self._graph

    def _step(
        self, fixed, fixed_known, moving, moving_known, coefficients, first, second, corner, count
    ):
        with tf.GradientTape() as tape:
            tape.watch(coefficients)
            flow = self.flow(coefficients)
        scans = Scan(fixed, fixed_known), Scan(moving, moving_known)
        cost, upstream = self.cost(*scans, flow, corner)
        gradient = tape.gradient(flow, coefficients, upstream)
        *moved, roughness = self._update(coefficients, first, second, gradient, count)
        return [*moved, cost + roughness]

    def cost(self, fixed, moving, flow, corner):
        """Returns the cost of a flow, without the roughness of its spline, and its gradient.

        Args:
          fixed, moving: each a Scan on this grid.
          flow: [1, x, y, z, 3], voxels.
          corner: towards which |J| takes its differences, [3], 0 or 1.
        """
        folds, shrinking = self._folds(flow, corner)
        warped = warp(moving.intensity, flow)
        known = _both_known(fixed.known, moving.known, flow)
        unlike, upstream = self._unlike(warped, fixed.intensity, known)
        gradient = warp_gradient(moving.intensity, flow, upstream)
        return unlike + folds, add_jacobian_gradient(gradient, flow, corner, shrinking)

    def _flow(self, coefficients):
        if not self._config.diffeomorphic:
            return self.field(coefficients)
        velocity = _product(coefficients, self._points)
        flow = self._spacing * integrate(velocity / self._spacing)
        return _product(flow, self._interpolate)

    def _dissimilarity(self, warped, fixed, known):
        config = self._config
        if config.similarity == "gradient_fields":
            return gradient_fields_loss(fixed, warped, config.edge, known)[0]
        narrow = local_correlation_loss(fixed, warped, config.window, config.epsilon, known)[0]
        if not config.wide_weight:
            return narrow
        shown = known * tf.cast(tf.minimum(fixed, warped) > _SHOWN, tf.float32)
        wide = local_correlation_loss(fixed, warped, config.wide_window, config.epsilon, shown)[0]
        return narrow + config.wide_weight * wide

    def _fold_penalty(self, flow, corner):
        """Returns the penalty and its gradient by the determinants, zero where nothing folds."""
        lacking = tf.nn.relu(self._config.least_jacobian - jacobian_determinant(flow, corner))
        share = self._config.fold_weight / math.prod(lacking.shape[1:])
        return share * tf.reduce_sum(tf.square(lacking)), -2.0 * share * lacking

    def _adam(self, coefficients, first, second, gradient, count):
        # Keras' Adam keeps its moments in variables, which a compiled step, serving one pair after
        # another, would have to recreate for each. Here they are part of the state.
        weight = self._config.regularization / self._spacing**2
        upstream = weight * smoothness_gradient(coefficients)
        roughness = tf.reduce_sum(coefficients * upstream) / 2.0
        gradient += upstream
        first = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * second + (1 - _BETAS[1]) * tf.square(gradient)
        mean, variance = (m / (1 - b**count) for m, b in zip((first, second), _BETAS))
        moved = coefficients - self._config.learning_rate * mean / (tf.sqrt(variance) + _TINY)
        return moved, first, second, roughness


class Scan(typing.NamedTuple):
    """One of two scans on a level's grid.

    Attributes:
      intensity: [1, x, y, z, 1], 0..1.
      known: the same shape, 1 where the scan is known, else 0.
    """

    intensity: tf.Tensor
    known: tf.Tensor


def _compiled(function, fused=True):
    """Returns a tf.function of its own, see `ldr_tf.ops.compiling`."""
    return tf.function(functools.partial(function), jit_compile=fused, autograph=False)


def _with_gradient(function):
    """Returns a function that returns the value of one and its gradient by the first argument."""

    def both(first, *others):
        with tf.GradientTape() as tape:
            tape.watch(first)
            value = function(first, *others)
        return value, tape.gradient(value, first)

    return both


@compiled_by_shape
def _both_known(fixed, moving, flow):
    """Returns 1 where both scans are known, the moving one as the flow carries it, else 0."""
    return tf.cast(tf.minimum(fixed, warp_nearest(moving, flow)) > 0.99, tf.float32)


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
