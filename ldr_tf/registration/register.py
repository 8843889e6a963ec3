"""Registers two scans in physical space: from the scans as they are to a field in mm.

The steps, each a function below: bring the scans roughly onto each other (affine), prepare both on
the working grid, run the network, refine its flow on the pair, carry it to the fixed scan's grid
and compose it with the affine map to one displacement field, resample the original moving scan once
through that field, measure.
"""

import contextlib
import time

import numpy as np
import SimpleITK as sitk
import tensorflow as tf

from ldr_tf import imaging, quality
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError
from ldr_tf.imaging import to_array, to_image
from ldr_tf.models import load_model
from ldr_tf.registration.refinement import refine_scans
from ldr_tf.registration.result import RegistrationResult

REFINE_STEPS_ALONE = 100
"""Steps of refinement where there is no network and nothing else was said."""

_FULL_SHARE = 0.45
_MARGIN_MM = 12.0


def register(
    fixed,
    moving,
    model=None,
    moving_labels=None,
    fixed_labels=None,
    *,
    affine="auto",
    refine_steps=None,
    diffeomorphic=False,
    fixed_points=None,
    moving_points=None,
    inverse=False,
    observer=None,
):
    """Registers a moving scan to a fixed one.

    Args:
      fixed, moving: 3D scalar SimpleITK images on any grids (see `ldr_tf.imaging.read_scan`).
      model: what `ldr_tf.models.load_model` takes (a run folder, an exported model), or a network
        as it or `ldr_tf.load_run` returns it, or None or "none" for the affine step and refinement
        alone.
      moving_labels: labels on the moving scan's grid, to be warped along.
      fixed_labels: labels on the fixed scan's grid, for Dice.
      affine: "auto", "none", "moments" or "full", see `ldr_tf.imaging.align`.
      refine_steps: steps of `refine_scans` after the network; None: 0 with a network, 100 without.
      diffeomorphic: whether the refinement is by a velocity field, without folds.
      fixed_points, moving_points: landmarks, `ldr_tf.imaging.Points`, matched by name.
      inverse: whether to compute the inverse field.
      observer: called as observer(step, loss) after each refinement step, or None.

    Returns:
      A `RegistrationResult`.

    Raises:
      InputError: an image that is no scan; labels on another grid than their scan; landmarks
        outside theirs; scans that do not overlap; `diffeomorphic` without refinement.
    """
    _check(fixed, moving, moving_labels, fixed_labels, fixed_points, moving_points)
    model = model if model is None or callable(model) else load_model(model)
    steps = (REFINE_STEPS_ALONE if model is None else 0) if refine_steps is None else refine_steps
    if diffeomorphic and not steps:
        raise InputError("diffeomorphic: is a kind of refinement and needs refinement steps.")
    seconds, warnings = {}, []
    with _timed(seconds, "affine"):
        alignment = imaging.align(fixed, moving, affine)
    with _timed(seconds, "prepare"):
        grid, config = _working_grid(fixed, model)
        if model is not None:
            warnings += _misfits(fixed, grid, model.run_config)
        volumes = _prepare(fixed, moving, grid, config, alignment.transform)
    fields, refinement = {}, None
    if model is not None:
        with _timed(seconds, "network"):
            tensors = [tf.constant(volume[None, ..., None]) for volume in volumes]
            flow = np.asarray(model(*tensors).flow, np.float32)[0]
            fields["network"] = imaging.flow_to_displacement(flow, grid)
    if steps:
        with _timed(seconds, "refinement"):
            fields["refinement"], refinement = refine_scans(
                fixed,
                moving,
                fields.get("network"),
                steps,
                affine=alignment.transform,
                image_config=config,
                diffeomorphic=diffeomorphic,
                observer=observer,
            )
    with _timed(seconds, "carry_back"):
        field = list(fields.values())[-1] if fields else _no_displacement(grid)
        displacement = imaging.with_affine(field, alignment.transform, imaging.grid_of(fixed))
    with _timed(seconds, "resample"):
        moving = sitk.Cast(moving, sitk.sitkFloat32)
        covered = to_array(imaging.apply_displacement(moving, displacement, default=np.nan))
        warped = to_image(np.nan_to_num(covered), fixed)
        warped_labels = None
        if moving_labels is not None:
            warped_labels = imaging.apply_displacement(moving_labels, displacement, "nearest")
    with _timed(seconds, "measure"):
        unmoved = to_array(imaging.apply_transform(moving, fixed, default=np.nan))
        before, after = quality.foreground_correlation(to_array(fixed), unmoved, covered)
        unaligned = None
        if alignment.method != "none":
            unaligned = imaging.prepare_volume(moving, grid, config)
        stages = _stages(volumes, grid, unaligned, fields)
        if _network_made_worse(stages):
            warnings.append(_WORSE)
        dices = quality.label_dices(fixed, fixed_labels, moving_labels, warped_labels)
        landmarks = quality.landmark_errors(fixed_points, moving_points, displacement)
        determinant = imaging.jacobian_determinant(displacement)
        folds_percent, std_jacobian = quality.folding(determinant)
        jacobian = to_image(np.pad(determinant, [(0, 1)] * 3, mode="edge"), fixed)
    inverse_field = residual = None
    if inverse:
        with _timed(seconds, "inverse"):
            inverse_field, residual = _invert(field, alignment.transform, displacement, moving)
    return RegistrationResult(
        warped=warped,
        displacement=displacement,
        alignment=alignment,
        warped_labels=warped_labels,
        jacobian=jacobian,
        inverse=inverse_field,
        inverse_residual=residual,
        correlation_before=before,
        correlation_after=after,
        stages=stages,
        refinement=refinement,
        dice_before=dices[0],
        dice_after=dices[1],
        landmarks_before=landmarks[0],
        landmarks_after=landmarks[1],
        folds_percent=folds_percent,
        std_jacobian=std_jacobian,
        warnings=tuple(warnings),
        seconds=seconds,
    )


_WORSE = (
    "the scans are less alike after the network than before it; it may have been trained for "
    "another anatomy or another kind of image."
)


@contextlib.contextmanager
def _timed(seconds, stage):
    start = time.perf_counter()
    yield
    seconds[stage] = round(time.perf_counter() - start, 3)


def _check(fixed, moving, moving_labels, fixed_labels, fixed_points, moving_points):
    for scan, name in ((fixed, "the fixed scan"), (moving, "the moving scan")):
        if scan.GetDimension() != 3 or scan.GetNumberOfComponentsPerPixel() != 1:
            raise InputError(
                f"{name}: must be 3D with one number a voxel, not {scan.GetDimension()}D with "
                f"{scan.GetNumberOfComponentsPerPixel()}."
            )
        if not np.isfinite(sitk.GetArrayViewFromImage(scan)).all():
            raise InputError(f"{name}: holds NaN or infinite voxels; all must be finite.")
    quality.check_labels(fixed, fixed_labels, "the fixed labels", "the fixed scan")
    quality.check_labels(moving, moving_labels, "the moving labels", "the moving scan")
    if (fixed_points is None) != (moving_points is None):
        raise InputError("landmarks are needed of both scans or of neither.")
    if fixed_points is not None:
        imaging.check_inside(fixed_points, fixed, "the fixed landmarks", "the fixed scan")
        imaging.check_inside(moving_points, moving, "the moving landmarks", "the moving scan")
        imaging.match_points(fixed_points, moving_points)


def _working_grid(fixed, model):
    """Returns the grid of the network, or one for work without it, and its ImageConfig."""
    if model is None:
        return imaging.foreground_grid(fixed), ImageConfig()
    network, config = model.run_config.network, model.run_config.image
    free_size = getattr(model, "free_size", network.affine_stem == "none")
    return imaging.network_grid(fixed, config, network.image_size, free_size), config


def _misfits(fixed, grid, config):
    """Lists warnings where a scan is of another size than those that a network knows."""
    low, high = imaging.foreground_box(fixed)
    source = imaging.grid_of(fixed)
    across = np.abs(np.reshape(source.direction, (3, 3)).T @ np.reshape(grid.direction, (3, 3)))
    extent = ((high - low + 1) * source.spacing) @ np.rint(across)
    if config.image.spacing is None:
        spacing = np.array(grid.spacing)
        if spacing.max() > 3 * spacing.min():
            return [
                "the model stretches any scan onto its grid; voxels of "
                f"{_by(spacing, '.1f')} mm are far from those of a whole head or body."
            ]
        return []
    known = np.multiply(config.network.image_size, config.image.spacing)
    if (extent > known + _MARGIN_MM).any() or (extent < _FULL_SHARE * known).all():
        return [
            f"the fixed scan's head or body takes {_by(extent)} mm, the model was trained on "
            f"{_by(known)} mm: it may be for another anatomy."
        ]
    return []


def _by(numbers, form=".0f"):
    return "x".join(format(float(number), form) for number in numbers)


def _prepare(fixed, moving, grid, config, affine):
    """Returns both scans on the working grid, float32 [x, y, z] in 0..1."""
    volumes = [
        imaging.prepare_volume(fixed, grid, config),
        imaging.prepare_volume(moving, grid, config, affine),
    ]
    for volume, name in zip(volumes, ("fixed", "moving")):
        if volume.min() == volume.max():
            raise InputError(
                f"the {name} scan shows nothing where the fixed scan lies in physical space; "
                "the two scans must overlap; --affine=moments brings their centres together."
            )
    return volumes


def _no_displacement(grid):
    return imaging.flow_to_displacement(np.zeros((*grid.size, 3), np.float32), grid)


def _stages(volumes, grid, unaligned, fields):
    """Returns the correlation after each stage, on the working grid."""
    fixed, moving = volumes
    seen = {"before": moving}
    if unaligned is not None:
        seen = {"before": unaligned, "affine": moving}
    for name, field in fields.items():
        field = imaging.displacement_on(field, grid)
        seen[name] = to_array(
            imaging.apply_displacement(to_image(moving, grid), field, default=np.nan)
        )
    return dict(zip(seen, quality.foreground_correlation(fixed, *seen.values())))


def _network_made_worse(stages):
    after, before = stages.get("network"), stages.get("affine", stages["before"])
    return after is not None and before is not None and after < before - 0.01


def _invert(field, affine, displacement, moving):
    inverse, residual = imaging.invert(field, affine, displacement, moving)
    array = to_array(moving)
    inside = array > imaging.foreground_threshold(array)
    found = residual[inside]
    known = found[np.isfinite(found)]
    if not known.size:
        return inverse, {"mean": None, "percentile_95": None, "max": None, "lost": 100.0}
    return inverse, {
        "mean": float(known.mean()),
        "percentile_95": float(np.percentile(known, 95)),
        "max": float(known.max()),
        "lost": 100.0 * (1 - known.size / found.size),
    }
