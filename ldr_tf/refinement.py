"""Refinement of a registration by gradient descent on the pair itself (instance optimisation).

Minimised by Adam over the coefficients c of a cubic B-spline grid:

  (1 - LCC(fixed, moving o flow)) + regularization * E(c) + fold_weight * F(flow)

LCC is the mean squared local correlation, E half the mean squared gradient of the spline, and
F = mean(max(0, least_jacobian - |J|)^2). The flow is the spline itself or, with `diffeomorphic`,
the exponential of the velocity field that it describes. Without a flow to start from, the first
half of the steps goes at half the resolution.

Sources: instance optimisation: Balakrishnan et al., "VoxelMorph", IEEE TMI 2019; Siebert et al.,
"Fast 3D registration with accurate optimisation and little learning for Learn2Reg 2021"
(ConvexAdam). Splines: Rueckert et al., IEEE TMI 1999. Velocity fields: see `ldr_tf.ops.velocity`.
"""

import dataclasses
import functools
import time

import numpy as np
import tensorflow as tf

from ldr_tf.conventions import AXES
from ldr_tf.errors import InputError
from ldr_tf.losses.similarity import local_correlation_loss
from ldr_tf.ops.flow import jacobian_determinant, resize, resize_flow
from ldr_tf.ops.velocity import integrate, logarithm
from ldr_tf.ops.warp import warp

_BETAS = (0.9, 0.999)
_TINY = 1e-9
_LEAST_SIDE = 32
"""Voxels a side from which on a half resolution is worth its steps."""
_EQUATIONS = ("bxyzc,ix->biyzc", "bxyzc,iy->bxizc", "bxyzc,iz->bxyic")


@dataclasses.dataclass(frozen=True)
class RefinementConfig:
    """How a flow is refined.

    Attributes:
      steps: steps of Adam in all; 0 leaves the flow as it is.
      diffeomorphic: whether the flow is the exponential of a velocity field: no folds.
      learning_rate: of Adam, in voxels a step, about.
      regularization: weight of half the mean squared gradient of the flow (or velocity).
      fold_weight: weight of the penalty on Jacobian determinants below `least_jacobian`.
      least_jacobian: see there; above 0, since between voxels |J| can be lower than at them.
      spacing: voxels between the control points of the spline.
      coarse_spacing: the same for the steps at half the resolution, in voxels of that grid.
      velocity_spacing: as `spacing`, for a velocity field, which is integrated on that grid.
      window: voxels a side of the local correlation, odd.
      epsilon: see `local_correlation_loss`; small, so that dim structures count too.
    """

    steps: int
    diffeomorphic: bool = False
    learning_rate: float = 0.1
    regularization: float = 0.4
    fold_weight: float = 10.0
    least_jacobian: float = 0.15
    spacing: float = 1.0
    coarse_spacing: float = 2.0
    velocity_spacing: float = 1.25
    window: int = 7
    epsilon: float = 1e-7

    def __post_init__(self):
        if self.steps < 0:
            raise InputError(f"refinement.steps must be 0 or more, not {self.steps}.")
        if self.window < 1 or self.window % 2 == 0:
            raise InputError(f"refinement.window must be an odd number, not {self.window}.")


CT = {"learning_rate": 0.15, "regularization": 2.0, "spacing": 3.0, "coarse_spacing": 4.0}
"""Settings for CT of the body, where the spline would follow the noise of fine structures: organs
move as wholes, while a brain's folds differ from head to head."""


@dataclasses.dataclass(frozen=True)
class Refinement:
    """What a refinement found.

    Attributes:
      flow: float32 [x, y, z, 3], voxels.
      similarity_before, similarity_after: mean squared local correlation of the fixed and the
        warped volume, 0..1, by the flow at the start and by the refined one.
      seconds: of the whole refinement, compilation included.
    """

    flow: np.ndarray
    similarity_before: float
    similarity_after: float
    seconds: float


def refine(fixed, moving, flow, config, observer=None, known=None):
    """Refines a flow for one pair; the moving volume is warped onto the fixed one.

    Args:
      fixed, moving: float32 [x, y, z] on one grid, intensities 0..1.
      flow: [x, y, z, 3] in voxels, from which to start, or None for the identity.
      config: a RefinementConfig.
      observer: called as observer(step, loss) after each step, counted from 1; or None.
      known: two arrays like the volumes, above 0 where the fixed and the moving one are known: a
        scan's end is no edge of the body, and what lies beyond it must not draw the other scan.
        None where all is known.

    Returns:
      A `Refinement`.

    Raises:
      ValueError: shapes do not fit.
      FloatingPointError: the loss is not a finite number, as after NaN in a volume.
    """
    begun = time.perf_counter()
    size = np.shape(fixed)
    if len(size) != 3 or np.shape(moving) != size:
        raise ValueError(f"fixed and moving must be [x, y, z], not {size}, {np.shape(moving)}.")
    if flow is not None and np.shape(flow) != (*size, 3):
        raise ValueError(f"flow must be {(*size, 3)}, not {np.shape(flow)}.")
    if known is None:
        known = (np.ones(size), np.ones(size))
    fixed, moving = (
        tf.constant(np.stack([volume, there > 0], -1), tf.float32)[None]
        for volume, there in zip((fixed, moving), known)
    )
    found = np.zeros((*size, 3)) if flow is None else flow
    found = tf.constant(found, tf.float32)[None]
    before = after = _similarity(fixed, moving, found, config)
    if config.steps > 0:
        levels = _levels(size, config, coarse=flow is None)
        found = _descend(fixed, moving, found, levels, config, observer)
        after = _similarity(fixed, moving, found, config)
    return Refinement(found[0].numpy(), before, after, time.perf_counter() - begun)


def _levels(size, config, coarse):
    """Lists (size, spacing of the control points, steps) of each level."""
    spacing = config.velocity_spacing if config.diffeomorphic else config.spacing
    if not coarse or min(size) < _LEAST_SIDE:
        return [(size, spacing, config.steps)]
    half = tuple(n // 2 for n in size)
    steps = config.steps // 2
    return [(half, config.coarse_spacing, steps), (size, spacing, config.steps - steps)]


def _descend(fixed, moving, flow, levels, config, observer):
    """Returns the flow after the steps of all levels; `flow` is where the first one starts."""
    count, field = 0, None
    for size, spacing, steps in levels:
        if steps == 0:
            continue
        level = _level(size, spacing, dataclasses.replace(config, steps=0))
        if field is None:
            coefficients = level.coefficients_of_flow(resize_flow(flow, size))
        else:
            coefficients = level.coefficients(resize_flow(field, size))
        volumes = [resize(fixed, size), _trusted(resize(moving, size))]
        zeros = tf.zeros_like(coefficients)
        state = (coefficients, zeros, zeros, tf.constant(0.0))
        for _ in range(steps):
            state, loss = level.step(*volumes, state)
            count += 1
            if not np.isfinite(loss):
                raise FloatingPointError(f"the loss of refinement step {count} is {float(loss)}.")
            if observer is not None:
                observer(count, float(loss))
        field, flow = level.field(state[0]), level.flow(state[0])
    return flow


@functools.lru_cache(maxsize=8)
def _level(size, spacing, config):
    """Keeps levels, so that a further pair on the same grid compiles nothing."""
    return _Level(size, spacing, config)


class _Level:
    """One grid, its splines, and the compiled step on it.

    The spline's control points lie at every `spacing`-th voxel, from one before the first voxel
    on. A velocity field is integrated on their grid, which is smaller than the volume's, and the
    flow is interpolated from there by splines again.
    """

    def __init__(self, size, spacing, config):
        self._config, self._spacing = config, spacing
        counts = [int((n - 1) // spacing) + 4 for n in size]
        points = [_spline_matrix(np.arange(count), count) for count in counts]
        voxels = [_spline_matrix(np.arange(n) / spacing + 1, c) for n, c in zip(size, counts)]
        inverses = [np.linalg.inv(matrix) for matrix in points]
        self._voxels, self._points = voxels, points
        self._fit = [_fit_matrix(matrix) for matrix in voxels]
        self._fit_points = inverses
        self._interpolate = [a @ b for a, b in zip(voxels, inverses)]
        # All in one function a step is fastest, but the squarings would take half a minute to
        # compile; by themselves they share one compiled warp.
        self.step, self.cost = _compiled(self._step, not config.diffeomorphic), self._cost
        if config.diffeomorphic:
            self.cost = _compiled(self._cost, True)
        self.flow = _compiled(self._flow, False)

    def field(self, coefficients):
        """Returns the spline at the voxels: the flow, or the velocity field."""
        return _product(coefficients, self._voxels)

    def coefficients(self, field):
        """Returns the spline that comes nearest to a field in the least squares."""
        return _product(field, self._fit)

    def coefficients_of_flow(self, flow):
        """As `coefficients`, but the field is a flow even where the spline is a velocity."""
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

    def _cost(self, fixed, moving, flow, coefficients):
        config = self._config
        # Of a function compiled by itself all gradients are computed; this one is not wanted.
        loss = _dissimilarity(fixed, warp(tf.stop_gradient(moving), flow), config)
        loss += config.regularization * _roughness(coefficients) / self._spacing**2
        lacking = tf.nn.relu(config.least_jacobian - jacobian_determinant(flow))
        return loss + config.fold_weight * tf.reduce_mean(tf.square(lacking))

    def _step(self, fixed, moving, state):
        """One step of Adam; the state is (coefficients, both moments, steps taken)."""
        coefficients, first, second, count = state
        with tf.GradientTape() as tape:
            tape.watch(coefficients)
            loss = self.cost(fixed, moving, self._flow(coefficients), coefficients)
        gradient = tape.gradient(loss, coefficients)
        count += 1.0
        first = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * second + (1 - _BETAS[1]) * tf.square(gradient)
        mean, variance = (m / (1 - b**count) for m, b in zip((first, second), _BETAS))
        coefficients -= self._config.learning_rate * mean / (tf.sqrt(variance) + _TINY)
        return (coefficients, first, second, count), loss


def _trusted(moving):
    """Returns the moving volume known only where its neighbours are: its slope needs them."""
    unknown = tf.cast(moving[..., 1:] < 0.99, tf.float32)
    known = 1.0 - tf.nn.max_pool3d(unknown, 3, 1, "SAME")
    return tf.concat([moving[..., :1], known], -1)


def _compiled(method, fused):
    """Returns a level's method as a function of its own, see `ldr_tf.ops.compiling`."""
    return tf.function(functools.partial(method), jit_compile=fused, autograph=False)


def _similarity(fixed, moving, flow, config):
    return 1.0 - float(_dissimilarity(fixed, warp(moving, flow), config))


def _dissimilarity(fixed, warped, config):
    known = tf.cast(tf.minimum(fixed[..., 1:], warped[..., 1:]) > 0.99, tf.float32)
    return local_correlation_loss(
        fixed[..., :1], warped[..., :1], config.window, config.epsilon, known
    )[0]


def _roughness(field):
    """As `ldr_tf.losses.regularization.flow_smoothness`, of one field, by slices: faster here."""
    total = 0.0
    for axis in AXES:
        ahead, behind = tf.split(field, [1, -1], axis)[1], tf.split(field, [-1, 1], axis)[0]
        total += tf.reduce_sum(tf.math.squared_difference(ahead, behind)) / 2.0
    return total / float(np.prod(field.shape[1:]))


def _spline_matrix(positions, count):
    """Returns [positions, count]: cubic B-splines about 0, 1, ... count - 1 at the positions."""
    t = np.abs(np.asarray(positions)[:, None] - np.arange(count))
    near, far = 2 / 3 - t**2 + t**3 / 2, (2 - t) ** 3 / 6
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def _fit_matrix(spline):
    """Returns the [count, positions] least-squares inverse of a spline matrix.

    A trace of curvature's penalty keeps the outermost points, which hardly weigh, in line.
    """
    bend = np.diff(np.eye(spline.shape[1]), 2, axis=0)
    return np.linalg.solve(spline.T @ spline + 1e-3 * bend.T @ bend, spline.T)


def _product(volume, matrices):
    """Multiplies each spatial axis of [batch, x, y, z, channels] by its [new, old] matrix."""
    for equation, matrix in zip(_EQUATIONS, matrices):
        volume = tf.einsum(equation, volume, tf.constant(matrix, tf.float32))
    return volume
