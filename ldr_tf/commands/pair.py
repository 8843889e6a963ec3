"""One pair of ldr-register: files in, a registration, a folder of results out."""

import contextlib
import dataclasses
import json
import os
import shutil
import tempfile
import time
from typing import Optional

from ldr_tf import imaging
from ldr_tf.commands import report
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder, write_json
from ldr_tf.notices import Notices
from ldr_tf.records import Record, setting
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import read_pair

SUMMARY = "summary.json"
_OPTIONAL = ("warped_labels.nii.gz", "jacobian.nii.gz", "inverse_displacement.nii.gz")


@dataclasses.dataclass(frozen=True)
class FileOptions(Record):
    """How files are read and which are written; each field is a flag of ldr-register."""

    points_space: str = setting("LPS", "axes of the landmark files", choices=imaging.POINT_SPACES)
    jacobian: bool = setting(False, "write jacobian.nii.gz")


@dataclasses.dataclass(frozen=True)
class Setup:
    """How pairs are registered.

    Attributes:
      model: a `ldr_tf.models.RegistrationModel`, None without one.
      options: how.
      files: what is written.
    """

    model: Optional[object]
    options: RegistrationOptions
    files: FileOptions

    def recorded(self, paths, state):
        """Returns what tells one registration from another, as summary.json holds it.

        Args:
          paths: a PairFiles.
          state: of its files, `PairFiles.state`.
        """
        settings = {**dataclasses.asdict(self.options), **dataclasses.asdict(self.files)}
        return {
            "inputs": paths.inputs,
            "input_files": state,
            "settings": settings,
            "model": self.model and report.model_summary(self.model),
        }


def check_pair(paths):
    """Refuses, with InputError and before any work, what cannot go well."""
    check_output_folder(paths.output)
    if paths.fixed_labels and not paths.moving_labels:
        raise InputError("--fixed_labels serves to compute Dice and needs --moving_labels too.")
    if bool(paths.fixed_points) != bool(paths.moving_points):
        raise InputError("--fixed_points and --moving_points serve together only.")


class ReadPair:
    """A pair, checked and read.

    Attributes:
      paths: its PairFiles.
      state: of its files, from before they were read.
      scans: the ScanPair.
      notices: the Notices of what was read.
      seconds: {"read": ...}, to which the seconds of what follows may be added.
    """

    def __init__(self, paths, points_space):
        """Reads; InputError says what does not go well."""
        start = time.perf_counter()
        check_pair(paths)
        self.paths, self.state = paths, paths.state()
        self.notices = Notices()
        self.scans = read_pair(paths, points_space, self.notices)
        self.seconds = {"read": since(start)}


def register_pair(pair, setup, observer=None):
    """Registers a pair and writes its folder.

    Args:
      pair: a ReadPair; the seconds of all stages are added to its own.
      setup: a Setup.
      observer: of the refinement's steps, see `ldr_tf.register`.

    Returns:
      The RegistrationResult and the sorted names of the files written.
    """
    from ldr_tf.registration.register import register

    scans, seconds, output = vars(pair.scans), pair.seconds, os.path.abspath(pair.paths.output)
    result = register(
        **scans,
        model=setup.model,
        options=setup.options,
        observer=observer,
        notices=pair.notices,
    )
    seconds.update(result.seconds)
    with _temporary_folder(output) as folder:
        start = time.perf_counter()
        _write_images(folder, result, setup.files)
        seconds["write"] = since(start)
        _write_preview(folder, pair.scans, result, seconds)
        summary = setup.recorded(pair.paths, pair.state)
        write_json(os.path.join(folder, SUMMARY), {**summary, **report.summary(result, seconds)})
        names = sorted(os.listdir(folder))
        _move(folder, output)
    return result, names


def read_summary(paths):
    """Returns what the summary.json of a pair's folder says, {} where there is none."""
    try:
        with open(os.path.join(paths.output, SUMMARY), encoding="utf-8") as file:
            summary = json.load(file)
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def is_finished(paths, setup):
    """Tells whether the pair's folder holds the result of these very files, model and options."""
    summary = read_summary(paths)
    wanted = json.loads(json.dumps(setup.recorded(paths, paths.state())))
    return all(key in summary and summary[key] == value for key, value in wanted.items())


def since(start):
    """Returns the seconds since a time.perf_counter()."""
    return round(time.perf_counter() - start, 3)


def _write_images(folder, result, options):
    images = {"warped": result.warped, "displacement": result.displacement}
    if result.warped_labels is not None:
        images["warped_labels"] = result.warped_labels
    if options.jacobian:
        images["jacobian"] = result.jacobian
    if result.inverse is not None:
        images["inverse_displacement"] = result.inverse
    for name, image in images.items():
        imaging.write_image(image, os.path.join(folder, f"{name}.nii.gz"))
    imaging.write_transform(result.alignment.transform, os.path.join(folder, "affine.tfm"))


def _write_preview(folder, scans, result, seconds):
    from ldr_tf.registration.preview import write_preview

    start = time.perf_counter()
    write_preview(os.path.join(folder, "preview.png"), scans.fixed, scans.moving, result)
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
