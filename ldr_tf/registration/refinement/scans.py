"""Refines the registration of two scans, or of two volumes of a data set, see `descent`.

Only this module decides what counts as fine and how stiff the spline is, for both alike.
"""

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.registration.refinement.descent import (
    SIMILARITIES,
    RefinementConfig,
    compile_ahead,
    refine,
    start_size,
)

CT = {"regularization": 2.0, "spacing": 3.0, "coarse_spacing": 4.0}
"""Stiffer settings for CT of the body: organs move as wholes, while a brain's folds differ from
head to head, and a spline as flexible as that would follow the noise."""

_FEW, _LONG_STEPS = 20, {"learning_rate": 0.2}
"""Up to so many steps get further where each is longer; more end up higher with shorter ones."""

_AHEAD_VOXELS = 10_000_000
"""Up to so many voxels, compiling takes longer than the step that is run for it."""


def prepare_refinement(
    fixed, moving, started, steps, *, diffeomorphic=False, similarity=SIMILARITIES[0], box=None
):
    """Starts compiling for `refine_scans`, whose arguments the others are, and returns at once.

    Args:
      started: whether there will be a field to start from.
    """
    grid, config = _plan(fixed, moving, steps, diffeomorphic, similarity, box)
    if np.prod(grid.size) <= _AHEAD_VOXELS:
        compile_ahead(grid.size, config, coarse=not started)


def refine_scans(
    fixed,
    moving,
    field,
    steps,
    *,
    affine,
    image_config,
    diffeomorphic=False,
    similarity=SIMILARITIES[0],
    observer=None,
    box=None,
):
    """Refines a displacement field on the pair itself, on `ldr_tf.imaging.refinement_grid`.

    Args:
      fixed, moving: SimpleITK images.
      field: the displacement field to start from, mm, LPS, on any grid; or None.
      steps: number of steps, above 0.
      affine: the sitk.AffineTransform that follows the field.
      image_config: an ImageConfig, for the scaling of intensities.
      diffeomorphic, similarity, observer: see `RefinementConfig` and `refine`.
      box: `ldr_tf.imaging.foreground_box` of the fixed scan, if already known.

    Returns:
      The refined displacement field, and the RefinementConfig that was used.
    """
    grid, config = _plan(fixed, moving, steps, diffeomorphic, similarity, box)
    scans = [(fixed, None), (moving, affine)]
    volumes = [imaging.prepare_image(scan, grid, image_config, map_) for scan, map_ in scans]
    known = [imaging.inside_scan(scan, grid, map_) for scan, map_ in scans]
    flow = None
    if field is not None:
        start = grid.resized(start_size(grid.size, config))
        # In float64 a fine grid's vectors would take twice the memory, and most of a second.
        field = sitk.Cast(field, sitk.sitkVectorFloat32)
        flow = imaging.displacement_to_flow(imaging.displacement_on(field, start))
    flow = refine(*volumes, flow, config, observer, known)
    # The flow is float32, and so is the field: in float64 a fine grid's would only be larger.
    return imaging.flow_to_displacement(flow, grid, np.float32), config


def refine_volumes(fixed, moving, flow, steps, *, spacing=None, ct=False):
    """Refines a flow on the pair itself, on the pair's own grid, that of a data set.

    Args:
      fixed, moving: [x, y, z], intensities 0..255.
      flow: the flow to start from, [x, y, z, 3], voxels.
      steps: number of steps.
      spacing: mm per voxel along x, y, z; None (unknown) counts as 1 mm.
      ct: whether both are CT, which scaled intensities no longer show.

    Returns:
      The refined flow, float32 [x, y, z, 3], voxels, and the RefinementConfig that was used.
    """
    grid = imaging.Grid(
        np.shape(fixed), spacing or (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel())
    )
    image = imaging.to_image(np.asarray(fixed), grid)
    config = _settings(steps, ct, fine=imaging.is_fine(grid, image))
    return refine(fixed, moving, flow, config), config


def _plan(fixed, moving, steps, diffeomorphic, similarity, box):
    """Returns the grid of a refinement and its RefinementConfig."""
    grid = imaging.refinement_grid(fixed, moving, box)
    both_ct = all(imaging.is_ct(sitk.GetArrayViewFromImage(scan)) for scan in (fixed, moving))
    fine = imaging.is_fine(grid, fixed, box)
    chosen = {"diffeomorphic": diffeomorphic, "similarity": similarity}
    return grid, _settings(steps, both_ct, fine=fine, **chosen)


def _settings(steps, ct, **chosen):
    """Returns the RefinementConfig for CT or other scans, with what else was chosen."""
    length = _LONG_STEPS if steps <= _FEW else {}
    return RefinementConfig(steps, **chosen, **length, **(CT if ct else {}))
