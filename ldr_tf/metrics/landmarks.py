"""Distance between corresponding landmarks after registration, in voxels or mm.

The flow carries a landmark from the fixed to the moving image: its error is the distance from
p + flow(p) to the moving image's landmark (target registration error, TRE: Fitzpatrick et
al., IEEE TMI 1998). A negative coordinate marks an absent landmark.
"""

import numpy as np
import tensorflow as tf

from ldr_tf.ops.warp import sample, sample_zero_border


def landmark_distances(flow, fixed_points, moving_points, spacing=(1.0, 1.0, 1.0), present=None):
    """Returns the error of every landmark, NaN where it is absent on either side.

    Args:
      flow: [x, y, z, 3], voxels, array or tensor; sampled trilinearly, clamped to the volume.
      fixed_points, moving_points: [n, 3], voxels.
      spacing: mm per voxel along x, y, z; ones give voxels.
      present: booleans [n]; None: a landmark with a negative coordinate is absent.

    Returns:
      float64 array [n], in the unit of `spacing`.
    """
    fixed_points, moving_points = np.asarray(fixed_points), np.asarray(moving_points)
    present = _present(fixed_points, moving_points, present)
    carried = fixed_points + _at_points(sample, flow, np.where(present[:, None], fixed_points, 0))
    errors = np.linalg.norm((carried - moving_points) * np.asarray(spacing), axis=-1)
    return np.where(present, errors, np.nan)


def landmark_distance(flow, fixed_points, moving_points, spacing=(1.0, 1.0, 1.0), present=None):
    """Returns the mean error over the landmarks that both sides have, NaN where there is none.

    Arguments as for `landmark_distances`.
    """
    present = _present(np.asarray(fixed_points), np.asarray(moving_points), present)
    if not present.any():
        return np.nan
    errors = landmark_distances(flow, fixed_points, moving_points, spacing, present)
    return float(np.mean(errors[present]))


def original_landmark_distance(flow, fixed_points, moving_points):
    """Returns the mean error as the originals (RCN, LDR_ALDK) measure it.

    Fixed points are clamped at 0 from below, the flow is 0 outside the volume, absent points take
    part like any other; 0 only where one side has no point at all. Arguments as for
    `landmark_distances`.
    """
    fixed_points, moving_points = np.asarray(fixed_points), np.asarray(moving_points)
    if not (np.any(fixed_points >= 0) and np.any(moving_points >= 0)):
        return 0.0
    fixed_points = np.maximum(fixed_points, 0)
    carried = fixed_points + _at_points(sample_zero_border, flow, fixed_points)
    return float(np.mean(np.linalg.norm(carried - moving_points, axis=-1)))


def _present(fixed_points, moving_points, given):
    if given is not None:
        return np.asarray(given, bool)
    return np.all(fixed_points >= 0, axis=-1) & np.all(moving_points >= 0, axis=-1)


def _at_points(sampler, flow, points):
    flow, points = [tf.cast(array, tf.float32)[tf.newaxis] for array in (flow, points)]
    return sampler(flow, points, compiled=False).numpy()[0].astype(np.float64)
