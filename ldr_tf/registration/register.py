"""Registers two scans in physical space: from the scans as they are to a field in mm.

The steps: see which part of the scans counts, bring them roughly onto each other (affine), prepare
both on the working grid, run the model, refine its flow on the pair, carry it to the fixed scan's
grid and compose it with the affine map to one displacement field, unfold that field, resample the
original moving scan once through it, measure.
"""

import dataclasses

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.models import as_model
from ldr_tf.notices import Notices
from ldr_tf.registration import brains, evidence, memory
from ldr_tf.registration.choice import AUTO, AutoModel
from ldr_tf.registration.measuring import Mapping, inverse_figures, measure
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import ScanPair
from ldr_tf.registration.refinement import SIMILARITIES, prepare_refinement, refine_scans
from ldr_tf.registration.result import RegistrationResult
from ldr_tf.registration.stages import stage
from ldr_tf.registration.unfolding import unfold
from ldr_tf.registration.working import Frame, prepare


def register(
    fixed,
    moving,
    model=None,
    moving_labels=None,
    fixed_labels=None,
    *,
    fixed_points=None,
    moving_points=None,
    fixed_mask=None,
    moving_mask=None,
    options=None,
    observer=None,
    notices=None,
    seen=None,
    alignment=None,
    **changes,
):
    """Registers a moving scan to a fixed one.

    Args:
      fixed, moving: 3D scalar SimpleITK images on any grids (see `ldr_tf.imaging.read_scan`).
      model: a RegistrationModel; what `ldr_tf.models.load_model` takes (a run folder, an exported
        model, a server's address); a network as `ldr_tf.load_run` returns it; None or "none"
        for the affine step and refinement alone; or "auto", which chooses by what the scans show
        and tells it in a notice (see `ldr_tf.registration.choice.AutoModel`).
      moving_labels: labels on the moving scan's grid, to be warped along.
      fixed_labels: labels on the fixed scan's grid, for Dice.
      fixed_points, moving_points: landmarks, `ldr_tf.imaging.Points`, matched by name.
      fixed_mask, moving_mask: what of the scans counts, see `RegistrationOptions.brain`: voxels
        other than 0, on their scan's grid.
      options: a RegistrationOptions.
      observer: called as observer(step, steps, loss) after each of the refinement's steps, counted
        from 1; or None.
      notices: Notices, to which what must be said of the answer is added; or None.
      seen: what `brains.see` returned for the pair, where it was called already.
      alignment: what `ldr_tf.imaging.align` returned for what was seen, likewise.
      **changes: fields of RegistrationOptions that differ from `options`: refine_steps=50.

    Returns:
      A `RegistrationResult`.

    Raises:
      InputError: an image that is no scan; labels on another grid than their scan; landmarks
        outside theirs; scans that do not overlap; options that do not go together; more memory
        needed, as is estimated beforehand, than allowed.
    """
    pair = ScanPair(
        fixed,
        moving,
        fixed_labels,
        moving_labels,
        fixed_points,
        moving_points,
        fixed_mask,
        moving_mask,
    )
    pair.check()
    if isinstance(model, str) and model == AUTO:
        model = AutoModel()
    options = dataclasses.replace(options or RegistrationOptions(), **changes)
    notices = Notices() if notices is None else notices
    seconds, fields, refinement = {}, {}, None
    if isinstance(model, AutoModel):
        model.prepare()
    if seen is None:
        with stage(seconds, "brain"):
            seen = brains.see(pair, options.brain, notices)
    fixed, looks = seen.fixed, seen.looks
    if isinstance(model, AutoModel):
        with stage(seconds, "choose"):
            looks = looks or evidence.looks_of(fixed, seen.moving)
            model, reason = model.choose(looks)
            notices.notice("model-chosen", reason)
    model = as_model(model)
    steps = options.steps(alone=model is None)
    frame = Frame.of(fixed, model)
    masks = [mask.image for mask in seen.masks.values()]
    estimated = memory.estimate(pair, frame, model, steps, options, masks)
    memory.check(estimated, options.max_memory)
    if model is not None:
        model.prepare(frame.grid.size)
    if steps:
        prepare_refinement(
            fixed,
            seen.moving,
            model is not None,
            steps,
            diffeomorphic=options.diffeomorphic,
            similarity=SIMILARITIES[0] if options.similarity == "auto" else options.similarity,
            box=frame.box,
        )
    if alignment is None:
        with stage(seconds, "affine"):
            alignment = imaging.align(fixed, seen.moving, options.affine)
    affine = alignment.transform
    with stage(seconds, "prepare"):
        working = prepare(fixed, seen.moving, alignment, model, frame, notices)
        rims = evidence.rims_of(looks or evidence.looks_of(fixed, seen.moving))
        contrast = evidence.contrast_of(working.fixed, working.placed, working.grid.spacing, rims)
        similarity = _similarity(options, contrast, notices) if steps else None
    if model is not None:
        with stage(seconds, "network"):
            flow = model.flow(working.fixed, working.moving)
            fields["network"] = imaging.flow_to_displacement(flow, working.grid)
    if steps:
        with stage(seconds, "refinement"):
            fields["refinement"], refinement = refine_scans(
                fixed,
                seen.moving,
                fields.get("network"),
                steps,
                affine=affine,
                image_config=working.image_config,
                diffeomorphic=options.diffeomorphic,
                similarity=similarity,
                observer=observer,
                box=working.box,
            )
    with stage(seconds, "carry_back"):
        field = list(fields.values())[-1] if fields else _no_displacement(working.grid)
        displacement = imaging.with_affine(field, affine, imaging.grid_of(fixed))
    unfolding = None
    if options.unfold:
        with stage(seconds, "unfold"):
            unfolding = unfold(displacement)
    mapping = Mapping(alignment, fields, displacement, unfolding)
    with stage(seconds, "resample"):
        known = _unknown_in_padding(moving)
        covered = imaging.apply_displacement(
            imaging.as_float32(known), displacement, default=np.nan
        )
        warped_labels = None
        if moving_labels is not None:
            warped_labels = imaging.apply_displacement(moving_labels, displacement, "nearest")
    with stage(seconds, "measure"):
        figures = measure(
            dataclasses.replace(pair, fixed=fixed),
            working,
            mapping,
            contrast,
            similarity,
            known,
            covered,
            warped_labels,
            notices,
        )
    del known
    inverse = residual = None
    if options.inverse:
        with stage(seconds, "inverse"):
            inverse, distances = imaging.invert(field, affine, displacement, moving)
            residual = inverse_figures(distances, moving)
    background = options.background
    if background is None:
        background = imaging.background_value(moving)
    return RegistrationResult(
        warped=_filled(covered, background),
        displacement=displacement,
        model=model,
        alignment=alignment,
        unfolding=unfolding,
        masks=seen.masks,
        background=background,
        warped_labels=warped_labels,
        inverse=inverse,
        inverse_residual=residual,
        refinement=refinement,
        estimated_mb=estimated,
        notices=tuple(notices),
        seconds=seconds,
        **figures,
    )


def _similarity(options, contrast, notices):
    """Returns what the refinement compares, and tells why where that is not local correlation."""
    if options.similarity != "auto":
        return options.similarity
    sign = contrast.sign()
    # Reversed contrasts change a local correlation's sign, and it is squared.
    if sign is None or contrast.reversed():
        return "local_correlation"
    notices.notice(
        "similarity-chosen",
        f"{sign}: the refinement compares edges (gradient_fields) instead of grey values.",
    )
    return "gradient_fields"


def _no_displacement(grid):
    return imaging.flow_to_displacement(np.zeros((*grid.size, 3), np.float32), grid)


def _unknown_in_padding(scan):
    """Returns a scan as it is, or where it has padding as float32, NaN there."""
    padded = imaging.is_padding(scan)
    if padded is None or padded.all():
        return scan
    scan = imaging.as_float32(scan)
    array = sitk.GetArrayFromImage(scan)
    array[padded] = np.nan
    result = sitk.GetImageFromArray(array)
    result.CopyInformation(scan)
    return result


def _filled(image, value):
    """Puts a value for NaN, in place; returns the image."""
    whole = imaging.grid_of(image)
    for start, stop in imaging.slabs(whole):
        piece = sitk.GetArrayFromImage(image[:, :, start:stop])
        np.nan_to_num(piece, copy=False, nan=value)
        image[:, :, start:stop] = sitk.GetImageFromArray(piece)
    return image
