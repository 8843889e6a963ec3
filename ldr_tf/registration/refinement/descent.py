"""Refinement of a registration by gradient descent on the pair itself (instance optimisation).

Minimised by Adam over the coefficients c of a cubic B-spline grid:

  unlike(fixed, moving o flow) + regularization * E(c) + fold_weight * F(flow)

unlike is one minus the mean squared local correlation, in narrow windows and, with less weight, in
wide ones of the foreground alone; or, across contrasts, one minus how parallel the edges are
(normalised gradient fields), see `ldr_tf.losses.similarity`. E is half the mean
squared gradient of the spline, and F = mean(max(0, least_jacobian - |J|)^2), with |J| by
differences towards one corner of each voxel, a different one every step. The flow is the spline
itself or, with `diffeomorphic`, the exponential of the velocity field that it describes.

Steps go from coarse to fine: without a flow to start from, the first ones run at half the
resolution; if the volumes are `fine`, all but the last ones run at half their resolution, none of
a few steps from a flow.

Sources: instance optimisation: Balakrishnan et al., "VoxelMorph", IEEE TMI 2019; Siebert et al.,
"Fast 3D registration with accurate optimisation and little learning for Learn2Reg 2021"
(ConvexAdam). Splines: Rueckert et al., IEEE TMI 1999. Velocity fields: see `ldr_tf.ops.velocity`.
"""

import dataclasses
import functools
import threading

import numpy as np
import tensorflow as tf

from ldr_tf.beside import beside
from ldr_tf.conventions import unit_intensity
from ldr_tf.errors import InputError
from ldr_tf.ops.flow import resize, resize_flow
from ldr_tf.ops.warp import spatial_size
from ldr_tf.registration.refinement.level import Level, Scan

SIMILARITIES = ("local_correlation", "gradient_fields")

FINE_STEPS = 4
"""So many steps refine a network's flow most where all of them are fine, and compile least."""

_LEAST_SIDE = 32
"""Smallest side, in voxels, for which steps at half the resolution are worth taking."""


@dataclasses.dataclass(frozen=True)
class RefinementConfig:
    """How a flow is refined.

    Attributes:
      steps: number of Adam's steps; 0 leaves the flow as it is.
      diffeomorphic: whether the flow is the exponential of a velocity field: no folds.
      learning_rate: Adam's, roughly in voxels per step.
      regularization: weight of half the mean squared gradient of the flow (or velocity).
      fold_weight: weight of the penalty on Jacobian determinants below `least_jacobian`.
      least_jacobian: see above; not 0, since |J| can be lower between voxels than at them.
      spacing: voxels between the control points of the spline.
      coarse_spacing: the same for the steps at half the resolution, in voxels of that grid.
      velocity_spacing: as `spacing`, for a velocity field, which is integrated at these points.
      window: side of the local correlation's windows in voxels, odd.
      fine: whether the volumes are twice as fine as the settings above assume. Only the last steps
        then use them as they are, the others at half their resolution.
      fine_share: share of the steps that are these last ones; from a flow at least FINE_STEPS.
      fine_window: as `window`, for these last steps, in voxels of the fine grid.
      wide_window: as `window`, for wide windows: most hold several tissues, and so tell one from
        another where a narrow one holds one of them alone. Of the foreground alone: beside the
        background all tissues are bright, whatever their contrast.
      wide_weight: of wide windows beside the narrow ones; 0 for the last steps, of which they would
        take a tenth more time for little.
      epsilon: see `local_correlation_loss`; small, so that dim structures count too.
      similarity: one of SIMILARITIES.
      edge: see `gradient_fields_loss`; half of it for the last steps.
    """

    steps: int
    diffeomorphic: bool = False
    learning_rate: float = 0.15
    regularization: float = 0.4
    fold_weight: float = 20.0
    least_jacobian: float = 0.15
    spacing: float = 1.0
    coarse_spacing: float = 2.0
    velocity_spacing: float = 1.25
    window: int = 7
    fine: bool = False
    fine_share: float = 0.2
    fine_window: int = 11
    wide_window: int = 21
    wide_weight: float = 0.3
    epsilon: float = 1e-7
    similarity: str = SIMILARITIES[0]
    edge: float = 0.02

    def __post_init__(self):
        if self.steps < 0:
            raise InputError(f"refinement.steps must be 0 or more, not {self.steps}.")
        if not 0 <= self.fine_share <= 1:
            raise InputError(f"refinement.fine_share must be 0 to 1, not {self.fine_share}.")
        if self.similarity not in SIMILARITIES:
            raise InputError(
                f"refinement.similarity must be one of {', '.join(SIMILARITIES)}, "
                f"not {self.similarity!r}."
            )
        for name in ("window", "fine_window", "wide_window"):
            window = getattr(self, name)
            if window < 1 or window % 2 == 0:
                raise InputError(f"refinement.{name} must be an odd number, not {window}.")


def refine(fixed, moving, flow, config, observer=None, known=None):
    """Refines the flow that warps a pair's moving volume onto its fixed one.

    Args:
      fixed, moving: [x, y, z] on one grid, intensities 0..255.
      flow: where to start, [x, y, z, 3] in voxels of its own grid, either the volumes' or that of
        `start_size`; None for the identity.
      config: a RefinementConfig.
      observer: called as observer(step, steps, loss) after each step, counted from 1; or None.
      known: two arrays of the volumes' shape, above 0 where the fixed and the moving one are known:
        the end of a scan is not an edge of the body and must not attract the other scan. None if
        all is known.

    Returns:
      The refined flow, float32 [x, y, z, 3], voxels.

    Raises:
      ValueError: shapes do not fit.
      FloatingPointError: the loss is not finite, for example because a volume holds NaN.
    """
    size = np.shape(fixed)
    if len(size) != 3 or np.shape(moving) != size:
        raise ValueError(f"fixed and moving must be [x, y, z], not {size}, {np.shape(moving)}.")
    if flow is not None:
        shapes = dict.fromkeys((*n, 3) for n in (size, start_size(size, config)))
        if np.shape(flow) not in shapes:
            wanted = " or ".join(map(str, shapes))
            raise ValueError(f"flow must be {wanted}, not {np.shape(flow)}.")
    levels = _levels(size, config, coarse=flow is None)
    if known is None:
        known = (np.ones(size, bool),) * 2
    scans = [
        Scan(_tensor(unit_intensity(np.float32(volume))), _tensor(np.asarray(there) > 0))
        for volume, there in zip((fixed, moving), known)
    ]
    flow = np.zeros((*size, 3), np.float32) if flow is None else flow
    if not levels:
        return np.float32(flow)
    return _descend(*scans, tf.constant(flow, tf.float32)[None], levels, observer)[0].numpy()


def start_size(size, config):
    """Returns the size of the grid on which `refine` takes its first step from a given flow.

    Args:
      size: of the volumes.
      config: the RefinementConfig.
    """
    levels = _levels(size, config, coarse=False)
    return levels[0][0] if levels else size


def compile_ahead(size, config, coarse):
    """Starts compiling, beside whatever else is done, what `refine` will run; returns at once.

    Args:
      size: voxels along x, y, z of the volumes to come.
      config: the RefinementConfig to come.
      coarse: whether `refine` will be called without a flow.

    Returns:
      A future, done when all is compiled; nobody needs to wait for it.
    """

    def work():
        for level_size, settings, _ in _levels(size, config, coarse):
            _level(level_size, settings).compile()

    return beside(work)


def _levels(size, config, coarse):
    """Lists (size, settings, steps) of each level, from coarse to fine.

    Args:
      coarse: whether to begin at half the resolution.
    """
    spacing = config.velocity_spacing if config.diffeomorphic else config.spacing
    settings = dataclasses.replace(config, steps=0, spacing=spacing)
    last, steps = [], config.steps
    if config.fine:
        # The same lengths in mm are twice as many voxels.
        fine = dataclasses.replace(
            settings,
            spacing=2 * spacing,
            learning_rate=2 * config.learning_rate,
            window=config.fine_window,
            wide_weight=0.0,
            edge=config.edge / 2,
        )
        fine_steps = round(config.fine_share * steps)
        if not coarse:
            fine_steps = max(fine_steps, min(steps, FINE_STEPS))
        last = [(size, fine, fine_steps)]
        size, steps = _half(size), steps - fine_steps
    levels = [(size, settings, steps)]
    if coarse and min(size) >= _LEAST_SIDE:
        wide = dataclasses.replace(settings, spacing=config.coarse_spacing)
        levels = [(_half(size), wide, steps // 2), (size, settings, steps - steps // 2)]
    return [level for level in levels + last if level[2] > 0]


def _half(size):
    return tuple(n // 2 for n in size)


def _tensor(volume):
    return tf.constant(volume, tf.float32)[None, ..., None]


def _descend(fixed, moving, flow, levels, observer):
    """Returns the flow after the steps of all levels; the first one starts from `flow`."""
    count, total = 0, sum(level[2] for level in levels)
    level = state = None
    for size, settings, steps in levels:
        coarser, level = level, _level(size, settings)
        if coarser is None:
            coefficients = level.coefficients_of_flow(resize_flow(flow, size))
        else:
            coefficients = level.coefficients(resize_flow(coarser.field(state[0]), size))
        scans = _resized(fixed, size), _trusted(_resized(moving, size))
        state = level.start(coefficients)
        flow = coefficients = None  # while the steps need memory
        for _ in range(steps):
            state, cost = level.step(*scans, state)
            count += 1
            if not np.isfinite(cost):
                raise FloatingPointError(f"the loss of refinement step {count} is {float(cost)}.")
            if observer is not None:
                observer(count, total, float(cost))
    return resize_flow(level.flow(state[0]), spatial_size(fixed.intensity))


def _level(size, config):
    """Keeps levels, so that the next pair on the same grid compiles nothing."""
    with _LOCK:
        return _kept_level(size, config)


_LOCK = threading.Lock()
_kept_level = functools.lru_cache(maxsize=24)(Level)


def _resized(scan, size):
    return Scan(resize(scan.intensity, size), resize(scan.known, size))


def _trusted(moving):
    """Keeps as known only moving voxels whose neighbours are known: the gradient needs them."""
    unknown = tf.cast(moving.known < 0.99, tf.float32)
    return Scan(moving.intensity, 1.0 - tf.nn.max_pool3d(unknown, 3, 1, "SAME"))
