"""Distance between a flow and the true one, where the truth is known (optical flow's EPE)."""

import numpy as np


def endpoint_error(flow, truth, spacing=(1.0, 1.0, 1.0)):
    """Returns the mean over voxels of |spacing * (flow - truth)|, mm; NaN without any voxel.

    Source: Otte and Nagel, "Optical flow estimation: advances and comparisons", ECCV 1994.

    Args:
      flow: [x, y, z, 3], voxels.
      truth: the same; voxels where any component is NaN are left out.
      spacing: mm per voxel along x, y, z.

    Raises:
      ValueError: the shapes differ.
    """
    if np.shape(flow) != np.shape(truth):
        raise ValueError(f"flow and truth must have one shape, not {flow.shape}, {truth.shape}.")
    difference = (np.asarray(flow, np.float64) - truth) * np.asarray(spacing)
    errors = np.linalg.norm(difference, axis=-1)
    known = ~np.isnan(truth).any(axis=-1)
    return float(errors[known].mean()) if known.any() else np.nan
