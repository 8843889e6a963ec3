"""One pair of ldr-register: files in, a registration, a folder of results out."""

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from typing import Optional

from ldr_tf import imaging
from ldr_tf.commands import report
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder, write_json

SUMMARY = "summary.json"
_SIDES = ("fixed", "moving")
_OPTIONAL = ("warped_labels.nii.gz", "jacobian.nii.gz", "inverse_displacement.nii.gz")


@dataclasses.dataclass(frozen=True)
class Pair:
    """Paths of what belongs to one registration; None where not given."""

    fixed: str
    moving: str
    output: str
    fixed_labels: Optional[str] = None
    moving_labels: Optional[str] = None
    fixed_points: Optional[str] = None
    moving_points: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Settings:
    """How pairs are registered; see the flags of ldr-register."""

    model: str
    affine: str = "auto"
    refine_steps: Optional[int] = None
    diffeomorphic: bool = False
    jacobian: bool = False
    inverse: bool = False
    points_space: str = "LPS"
    fast: str = "none"


def check_pair(pair):
    """Refuses, with InputError and before any work, what cannot go well."""
    check_output_folder(pair.output)
    if pair.fixed_labels and not pair.moving_labels:
        raise InputError("--fixed_labels serves to compute Dice and needs --moving_labels too.")
    if bool(pair.fixed_points) != bool(pair.moving_points):
        raise InputError("--fixed_points and --moving_points serve together only.")


def read_pair(pair, settings, notices=None):
    """Returns what the pair's files hold, by name, None where absent; all checked.

    Args:
      pair, settings: the Pair and the Settings.
      notices: a Notices that is told what was done or assumed, or None.
    """
    data = {side: imaging.read_scan(getattr(pair, side), notices=notices) for side in _SIDES}
    for side in _SIDES:
        scan, labels = getattr(pair, side), getattr(pair, f"{side}_labels")
        points = getattr(pair, f"{side}_points")
        data[f"{side}_labels"] = imaging.read_labels(labels, notices=notices) if labels else None
        if labels and not imaging.same_grid(data[f"{side}_labels"], data[side]):
            raise InputError(f"{labels}: labels must lie on the grid of their scan {scan}.")
        space = settings.points_space
        data[f"{side}_points"] = imaging.read_points(points, space, notices) if points else None
    if pair.fixed_points and pair.moving_points:
        landmarks = [data[f"{side}_points"] for side in _SIDES]
        scans = [data[side] for side in _SIDES]
        kept = imaging.keep_inside(*landmarks, *scans, notices)
        data["fixed_points"], data["moving_points"] = kept
    return data


def register_pair(pair, settings, data, model, seconds, observer=None):
    """Registers what `read_pair` returned and writes the pair's folder.

    Args:
      pair, settings: the Pair and the Settings.
      data: of `read_pair`.
      model: a network or None.
      seconds: of what was done before, by name; those of all stages are added.
      observer: of the refinement's steps, see `ldr_tf.register`.

    Returns:
      The RegistrationResult and the sorted names of the files written.
    """
    from ldr_tf.registration.register import register

    result = register(
        model=model,
        affine=settings.affine,
        refine_steps=settings.refine_steps,
        diffeomorphic=settings.diffeomorphic,
        inverse=settings.inverse,
        observer=observer,
        **data,
    )
    seconds.update(result.seconds)
    with _temporary_folder(os.path.abspath(pair.output)) as folder:
        start = time.perf_counter()
        _write_images(folder, result, settings)
        seconds["write"] = since(start)
        _write_preview(folder, data, result, seconds)
        summary = recorded(pair, settings)
        summary.update(report.summary(model, result, seconds))
        write_json(os.path.join(folder, SUMMARY), summary)
        names = sorted(os.listdir(folder))
        _move(folder, os.path.abspath(pair.output))
    return result, names


def recorded(pair, settings):
    """Returns what tells one registration from another: its files and settings."""
    inputs = dataclasses.asdict(pair)
    del inputs["output"]
    return {"inputs": inputs, "settings": dataclasses.asdict(settings)}


def since(start):
    """Returns the seconds since a time.perf_counter()."""
    return round(time.perf_counter() - start, 3)


def _write_images(folder, result, settings):
    images = {"warped": result.warped, "displacement": result.displacement}
    if result.warped_labels is not None:
        images["warped_labels"] = result.warped_labels
    if settings.jacobian:
        images["jacobian"] = result.jacobian
    if result.inverse is not None:
        images["inverse_displacement"] = result.inverse
    for name, image in images.items():
        imaging.write_image(image, os.path.join(folder, f"{name}.nii.gz"))
    imaging.write_transform(result.alignment.transform, os.path.join(folder, "affine.tfm"))


def _write_preview(folder, data, result, seconds):
    from ldr_tf.registration.preview import write_preview

    start = time.perf_counter()
    write_preview(os.path.join(folder, "preview.png"), data["fixed"], data["moving"], result)
    seconds["preview"] = since(start)


@contextlib.contextmanager
def _temporary_folder(output):
    """Yields an empty folder beside `output`, which is gone afterwards, Ctrl-C or not."""
    parent = os.path.dirname(output)
    try:
        os.makedirs(parent, exist_ok=True)
        holder = tempfile.mkdtemp(prefix=".writing-", dir=parent)
    except OSError as error:
        raise InputError(f"{parent}: cannot be written ({error.strerror}).") from error
    try:
        folder = os.path.join(holder, "result")
        os.mkdir(folder)  # mkdtemp's own folder is closed to others
        yield folder
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _move(folder, output):
    """Moves the files to `output`; the summary, which says that all are there, goes last."""
    if not os.path.isdir(output):
        os.replace(folder, output)
        return
    names = sorted(os.listdir(folder), key=lambda name: (name == SUMMARY, name))
    # Files of an earlier registration would belie this one.
    for stale in (SUMMARY, *_OPTIONAL):
        if os.path.exists(os.path.join(output, stale)):
            os.remove(os.path.join(output, stale))
    for name in names:
        os.replace(os.path.join(folder, name), os.path.join(output, name))
