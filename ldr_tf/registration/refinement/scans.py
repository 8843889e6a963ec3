"""Refines the registration of two scans, or of two volumes of a data set, see `descent`.

Both go by the same settings: what is fine, and what is stiff, is said here alone.
"""

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.registration.refinement.descent import RefinementConfig, refine

CT = {"learning_rate": 0.15, "regularization": 2.0, "spacing": 3.0, "coarse_spacing": 4.0}
"""Settings for CT of the body, where the spline would follow the noise of fine structures: organs
move as wholes, while a brain's folds differ from head to head."""


def refine_scans(
    fixed,
    moving,
    field,
    steps,
    *,
    affine,
    image_config,
    diffeomorphic=False,
    observer=None,
    box=None,
):
    """Refines a displacement field on the pair itself, on `ldr_tf.imaging.refinement_grid`.

    Args:
      fixed, moving: SimpleITK images.
      field: a displacement field, mm, LPS, on any grid, from which to start; None for none.
      steps: of the refinement, above 0.
      affine: the sitk.AffineTransform that follows the field.
      image_config: an ImageConfig; says how intensities are scaled.
      diffeomorphic, observer: see `RefinementConfig` and `refine`.
      box: what `ldr_tf.imaging.foreground_box` says of the fixed scan, where it is known.

    Returns:
      The refined displacement field, and the RefinementConfig that led to it.
    """
    grid = imaging.refinement_grid(fixed, moving, box)
    both_ct = all(imaging.is_ct(sitk.GetArrayViewFromImage(scan)) for scan in (fixed, moving))
    config = _settings(steps, both_ct, imaging.is_fine(grid, fixed, box), diffeomorphic)
    scans = [(fixed, None), (moving, affine)]
    volumes = [imaging.prepare_image(scan, grid, image_config, map_) for scan, map_ in scans]
    known = [imaging.inside_scan(scan, grid, map_) for scan, map_ in scans]
    flow = None
    if field is not None:
        flow = imaging.displacement_to_flow(imaging.displacement_on(field, grid))
    flow = refine(*volumes, flow, config, observer, known)
    # The flow is float32, and so is the field: in float64 a fine grid's would only be larger.
    return sitk.Cast(imaging.flow_to_displacement(flow, grid), sitk.sitkVectorFloat32), config


def refine_volumes(fixed, moving, flow, steps, *, spacing=None, ct=False):
    """Refines a flow on the pair itself, on the grid of the pair: that of a data set.

    Args:
      fixed, moving: [x, y, z], intensities 0..255.
      flow: [x, y, z, 3], voxels, from which to start.
      steps: of the refinement.
      spacing: mm a voxel; None where it is not known, as if it were 1 mm.
      ct: whether both are CT: the intensities, scaled already, do not tell.

    Returns:
      The refined flow, float32 [x, y, z, 3], voxels, and the RefinementConfig that led to it.
    """
    grid = imaging.Grid(
        np.shape(fixed), spacing or (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel())
    )
    image = imaging.to_image(np.asarray(fixed), grid)
    config = _settings(steps, ct, imaging.is_fine(grid, image), False)
    return refine(fixed, moving, flow, config), config


def _settings(steps, ct, fine, diffeomorphic):
    """Returns the RefinementConfig for a kind of scans on a grid that is fine or not."""
    return RefinementConfig(steps, diffeomorphic, fine=fine, **(CT if ct else {}))
