"""Refines the registration of two scans in physical space, see `descent`."""

import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.registration.refinement.descent import RefinementConfig, refine

CT = {"learning_rate": 0.15, "regularization": 2.0, "spacing": 3.0, "coarse_spacing": 4.0}
"""Settings for CT of the body, where the spline would follow the noise of fine structures: organs
move as wholes, while a brain's folds differ from head to head."""


def refine_scans(
    fixed, moving, field, steps, *, affine, image_config, diffeomorphic=False, observer=None
):
    """Refines a displacement field on the pair itself, on `ldr_tf.imaging.refinement_grid`.

    Args:
      fixed, moving: SimpleITK images.
      field: a displacement field, mm, LPS, on any grid, from which to start; None for none.
      steps: of the refinement, above 0.
      affine: the sitk.AffineTransform that follows the field.
      image_config: an ImageConfig; says how intensities are scaled.
      diffeomorphic, observer: see `RefinementConfig` and `refine`.

    Returns:
      The refined displacement field, and the RefinementConfig that led to it.
    """
    grid, fine = imaging.refinement_grid(fixed, moving)
    both_ct = all(imaging.is_ct(sitk.GetArrayViewFromImage(scan)) for scan in (fixed, moving))
    settings = CT if both_ct else {}
    config = RefinementConfig(steps=steps, diffeomorphic=diffeomorphic, fine=fine, **settings)
    scans = [(fixed, None), (moving, affine)]
    volumes = [imaging.prepare_volume(scan, grid, image_config, map_) for scan, map_ in scans]
    known = [imaging.inside_scan(scan, grid, map_) for scan, map_ in scans]
    flow = None
    if field is not None:
        flow = imaging.displacement_to_flow(imaging.displacement_on(field, grid))
    flow = refine(*volumes, flow, config, observer, known)
    return imaging.flow_to_displacement(flow, grid), config
