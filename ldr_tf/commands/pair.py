"""One pair of ldr-register: files in, a registration, a folder of results out."""

import dataclasses
import functools
import importlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Optional

from ldr_tf import cache, imaging
from ldr_tf.beside import beside
from ldr_tf.commands import report
from ldr_tf.commands.folder import check_folder, naming, read_summary, results_of
from ldr_tf.commands.lasting import lasting
from ldr_tf.commands.model_options import ModelOptions
from ldr_tf.commands.quiet import quiet_xla
from ldr_tf.errors import InputError
from ldr_tf.files import write_json
from ldr_tf.imaging.dicom import UNEVEN
from ldr_tf.metrics.memory import PeakMemory
from ldr_tf.notices import Notices
from ldr_tf.records import Record, setting
from ldr_tf.registration.brains import Seen, see
from ldr_tf.registration.choice import AUTO, AutoModel
from ldr_tf.registration.memory import leaves_room
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import PairFiles, ScanPair, read_pair
from ldr_tf.registration.stages import since, stage

_PREVIEW = "ldr_tf.registration.preview"


@dataclasses.dataclass(frozen=True)
class FileOptions(Record):
    """How files are read and which are written; each field is a flag of ldr-register."""

    points_space: str = setting(
        "LPS",
        "axes of landmark files that do not say it themselves (3D Slicer's do)",
        choices=imaging.POINT_SPACES,
    )
    series: Optional[str] = setting(
        None,
        "which series of a DICOM folder: its number from 1 on, most slices first, or the end of "
        "its UID; two with a comma between them are the fixed and the moving scan's (default: the "
        "one with most slices)",
    )
    uneven: str = setting(
        "refuse",
        "DICOM slices that lie unevenly, as where one is missing: refuse, or resample them to even "
        "steps",
        choices=UNEVEN,
    )
    jacobian: bool = setting(False, "write jacobian.nii.gz")
    bids: bool = setting(
        False,
        "write a BIDS derivatives data set, its files named after the scans, whose own names must "
        "be BIDS names, such as sub-01_ses-a_T1w.nii.gz",
    )
    view: bool = setting(False, "write view.html, a page to look at the result in a browser")

    def recorded(self):
        """Returns the options on which the content of the files depends, as a dictionary."""
        values = dataclasses.asdict(self)
        del values["bids"]
        return values


@dataclasses.dataclass(frozen=True)
class Setup:
    """How pairs are registered.

    Attributes:
      model: a `ldr_tf.models.RegistrationModel`, None without one, or an AutoModel.
      options: how.
      files: what is read and written.
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
        settings = {**self.options.recorded(), **self.files.recorded()}
        recorded = {"inputs": paths.inputs, "input_files": state}
        if isinstance(self.model, AutoModel):  # which one, the scans will tell
            return {**recorded, "settings": {**settings, "model": AUTO}}
        return {**recorded, "settings": settings, "model": report.model_summary(self.model)}

    def may_have_used(self, model):
        """Tells whether what summary.json says of a model is of one that would be used again."""
        if not isinstance(self.model, AutoModel) or model is None:
            return True
        return model == _as_read(report.model_summary(self.model.brain))


@dataclasses.dataclass(frozen=True)
class SetupSource:
    """What a Setup is made of, in values that go from process to process.

    Attributes:
      model: what `ldr_tf.models.load_model` takes, or "auto".
      running: how it is run.
      options, files: of the Setup.
    """

    model: str
    running: ModelOptions
    options: RegistrationOptions
    files: FileOptions

    def load(self):
        """Returns the Setup; InputError where there is no such model."""
        cache.use(self.running.cache_folder)
        with lasting():
            quiet_xla()
            _leave_graphs_as_they_are()
            return Setup(self._model(), self.options, self.files)

    def _model(self):
        from ldr_tf.models import load_model
        from ldr_tf.models.server import Connection

        if self.model == AUTO:
            return AutoModel(self.running.precision)
        connection = Connection(self.running.timeout, self.running.retries, self.running.tls_ca)
        return load_model(self.model, self.running.precision, connection)


def _leave_graphs_as_they_are():
    """Saves TensorFlow's rewriting of graphs: half a second at a network's first call.

    Later calls take as long as with it.
    """
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def check_pair(paths):
    """Refuses, with InputError and before any work, what cannot go well."""
    inputs = [path for path in paths.inputs.values() if path]
    check_folder(paths.output, inputs, paths.names)
    if paths.fixed_labels and not paths.moving_labels:
        raise InputError("--fixed_labels serves to compute Dice and needs --moving_labels too.")
    if bool(paths.fixed_points) != bool(paths.moving_points):
        raise InputError("--fixed_points and --moving_points serve together only.")


@dataclasses.dataclass
class ReadPair:
    """A pair, checked and read.

    Attributes:
      paths: its PairFiles.
      state: of its files, from before they were read.
      scans: the ScanPair.
      notices: the Notices of what was read.
      seconds: {"read": ...}, to which the seconds of what follows may be added.
      seen: what the registration is to see of it, once `see` was called.
      alignment: its affine step, once `align` was called.
    """

    paths: PairFiles
    state: dict
    scans: ScanPair
    notices: Notices
    seconds: dict
    seen: Optional[Seen] = None
    alignment: Optional[imaging.Alignment] = None

    @classmethod
    def read(cls, paths, files):
        """Reads a PairFiles as FileOptions say; InputError says what does not go well."""
        start, notices = time.perf_counter(), Notices()
        check_pair(paths)
        state = paths.state()
        scans = read_pair(paths, files.points_space, files.series, files.uneven, notices)
        return cls(paths, state, scans, notices, {"read": since(start)})

    def see(self, brain):
        """Finds out, without TensorFlow, what of the scans counts; see `brains.see`."""
        with stage(self.seconds, "brain"):
            self.seen = see(self.scans, brain, self.notices)

    def align(self, method):
        """Finds, without TensorFlow, the affine map of what `see` saw; see `imaging.align`."""
        with stage(self.seconds, "affine"):
            self.alignment = imaging.align(self.seen.fixed, self.seen.moving, method)


def register_pair(pair, setup, observer=None):
    """Registers a pair; the seconds of the stages are added to its own.

    Args:
      pair: a ReadPair.
      setup: a Setup.
      observer: of the refinement's steps, see `ldr_tf.register`.

    Returns:
      A RegisteredPair.
    """
    from ldr_tf.registration.register import register

    beside(importlib.import_module, _PREVIEW)  # and matplotlib, which takes its time
    with PeakMemory() as memory:
        result = register(
            **vars(pair.scans),
            model=setup.model,
            options=setup.options,
            observer=observer,
            notices=pair.notices,
            seen=pair.seen,
            alignment=pair.alignment,
        )
    pair.seconds.update(result.seconds)
    return RegisteredPair(pair, setup, result, memory)


@dataclasses.dataclass
class RegisteredPair:
    """A pair whose results are to be written.

    Attributes:
      pair: its ReadPair.
      setup: the Setup.
      result: the RegistrationResult.
      memory: the PeakMemory that began with the registration.
    """

    pair: ReadPair
    setup: Setup
    result: object
    memory: PeakMemory

    def write(self, native):
        """Writes the pair's folder, which must be held (see `commands.folder.held`); once.

        Args:
          native: returns a context in which libraries are quiet, or not: `Screen.native`.

        Returns:
          The sorted names of the files written.
        """
        pair, result, files = self.pair, self.result, self.setup.files
        output, names, seconds = os.path.abspath(pair.paths.output), pair.paths.names, pair.seconds
        with results_of(output, names) as folder:
            content = None
            if files.view:
                with stage(seconds, "view"):
                    content = _content(pair.scans, result)
            images = _images(result, files)
            with native(), ThreadPoolExecutor(1) as executor:
                write = functools.partial(
                    executor.submit, _write_images, folder, images, result, names
                )
                # ITK needs memory to write: where that is short, only once the scans are gone.
                roomy = leaves_room(result.estimated_mb, self.setup.options.max_memory)
                writing = write() if roomy else None
                with stage(seconds, "preview"):
                    _write_preview(os.path.join(folder, names.files["preview"]), pair.scans, result)
                pair.scans = pair.seen = None
                with stage(seconds, "write"):
                    (writing or write()).result()
                    _write_sidecars(folder, names)
            summary = {
                "finished": True,
                **self.setup.recorded(pair.paths, pair.state),
                **report.summary(result, seconds, self.memory.so_far()),
            }
            if content is not None:
                _write_view(os.path.join(folder, names.files["view"]), content, summary)
            written = sorted([*os.listdir(folder), names.summary])
            path = os.path.join(folder, names.summary)
            with naming(path):
                write_json(path, {**summary, "files": written})
        return written


def is_finished(paths, setup):
    """Tells whether the pair's folder holds the result of these very files, model and options."""
    summary = read_summary(paths.output, paths.names)
    wanted = _as_read(setup.recorded(paths, paths.state()))
    names = summary.get("files")
    return (
        all(key in summary and summary[key] == value for key, value in wanted.items())
        and setup.may_have_used(summary.get("model"))
        and isinstance(names, list)
        and summary.get("finished") is True
        and all(os.path.isfile(os.path.join(paths.output, str(name))) for name in names)
    )


def _as_read(content):
    """Returns content as it is once written as JSON and read again."""
    return json.loads(json.dumps(content))


def _images(result, options):
    """Returns what -> image of all that is to be written; computes what was not yet."""
    images = {"warped": result.warped, "displacement": result.displacement}
    if result.warped_labels is not None:
        images["warped_labels"] = result.warped_labels
    if options.jacobian:
        images["jacobian"] = result.jacobian
    if result.inverse is not None:
        images["inverse_displacement"] = result.inverse
    for side, mask in result.masks.items():
        if mask.source == "extracted":
            images[f"{side}_mask"] = mask.image
    return images


def _write_images(folder, images, result, names):
    for what, image in images.items():
        imaging.write_image(image, os.path.join(folder, names.files[what]))
    path = os.path.join(folder, names.files["affine"])
    imaging.write_transform(result.alignment.transform, path)


def _write_sidecars(folder, names):
    for what, content in names.sidecars.items():
        if os.path.exists(os.path.join(folder, names.files[what])):
            path = os.path.join(folder, names.sidecar(what))
            with naming(path):
                write_json(path, content)


def _content(scans, result):
    from ldr_tf.viewing import collect

    return collect(
        scans,
        result.displacement,
        result.warped,
        result.warped_labels,
        result.alignment.transform,
    )


def _write_view(path, content, summary):
    from ldr_tf.viewing import write_page

    with naming(path):
        write_page(path, content, summary)


def _write_preview(path, scans, result):
    preview = importlib.import_module(_PREVIEW)
    with naming(path):
        preview.write_preview(path, scans.fixed, scans.moving, result)
