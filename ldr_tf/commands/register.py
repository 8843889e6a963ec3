"""ldr-register: registers a moving scan to a fixed one.

  ldr-register --fixed=F --moving=M --output=DIR
  ldr-register --model=RUN --fixed=F --moving=M --output=DIR
  ldr-register --model=none --refine_steps=100 --fixed=F --moving=M --output=DIR
  ldr-register --model=RUN --pairs=pairs.csv --output=DIR
  ldr-register --model=grpc://HOST:8500/NAME --fixed=F --moving=M --output=DIR

Scans are NIfTI, MHA, NRRD or Analyze files or DICOM folders, on any grids. Written into DIR:
  warped.nii.gz         the moving scan on the fixed scan's grid, float32; outside the moving scan
                        --background
  displacement.nii.gz   ITK displacement field (mm, LPS) on that grid, affine step included, from
                        points of the fixed to points of the moving scan: for ldr-warp, SimpleITK,
                        ANTs, elastix, 3D Slicer
  affine.tfm            the affine step alone, ITK transform, the identity where there was none
  warped_labels.nii.gz  with --moving_labels
  jacobian.nii.gz       with --jacobian: determinant of the mapping, not above 0 where it folds
  fixed_mask.nii.gz, moving_mask.nii.gz  of brains that were extracted, see --brain
  inverse_displacement.nii.gz  with --inverse: from points of the moving to points of the fixed
                        scan, on the moving scan's grid
  summary.json          similarity after each stage, Dice, landmark errors, folds, notices, memory,
                        seconds, versions, and the files written; it comes last
  preview.png           slices before and after, deformation, Jacobian
  view.html             with --view: a page to blend, flip and scroll both scans, see ldr-view

A registration that does not end well leaves the folder as it was; files of an earlier one that this
one does not write are deleted, no others.

Landmarks are CSV files whose first line names the columns name, x, y, z (mm; between them commas,
tabs, or semicolons with decimal commas), 3D Slicer's .fcsv and .mrk.json, or elastix's point lists;
points of both files are matched by name. Coordinates are LPS (ITK, DICOM) unless the file, as
Slicer's do, or --points_space says RAS. Points outside their scan are left out with a warning.

With --pairs, a CSV file with the columns fixed, moving and any of fixed_labels, moving_labels,
fixed_points, moving_points, fixed_mask, moving_mask, output (a folder below DIR; default
MOVING_to_FIXED), every pair gets a folder of its own in DIR. Paths are seen from the CSV file's
folder. Finished pairs are skipped, a pair that fails is named and the rest goes on; results.csv
sums up. --workers=N shares the pairs among processes here, --scheduler=tcp://HOST:8786 among those
of a dask cluster.

With --bids, DIR is a BIDS data set of derivatives, of one pair or of many: files are named after
the scans, whose own names must be BIDS names, and lie in DIR/sub-LABEL/[ses-LABEL/]anat of the
moving scan.

Exit codes: 0; 2 for bad input (with --pairs, at the end); 1 for a failure of ours or an
interruption; 3 with --strict where a warning was given.
"""

import contextlib
import os
from concurrent.futures import FIRST_COMPLETED, wait

from absl import flags
from tqdm import tqdm

from ldr_tf.beside import beside
from ldr_tf.commands import batch, cli, cluster, report, results
from ldr_tf.commands.bids import DataSet
from ldr_tf.commands.folder import held, is_same_place
from ldr_tf.commands.lasting import lasting
from ldr_tf.commands.model_options import ModelOptions
from ldr_tf.commands.pair import FileOptions, ReadPair, SetupSource, check_pair, register_pair
from ldr_tf.commands.screen import Screen, define_flags
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder
from ldr_tf.registration import memory
from ldr_tf.registration.brains import check_choice
from ldr_tf.registration.choice import AUTO, AutoModel
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import SIDES, PairFiles
from ldr_tf.registration.pair_lists import read_pairs
from ldr_tf.registration.stages import stage

FLAGS = cli.new_flags()
_MODEL = flags.DEFINE_string(
    "model",
    AUTO,
    "run folder of a trained or imported network, the name of a model that comes with the package "
    "(brain-t1), a model folder of experiments.export, "
    "grpc://HOST:PORT/NAME for one on a TensorFlow Serving server (grpcs:// for TLS), none: affine "
    "step and refinement alone, or auto: brain-t1 for two brains without skull in T1 or "
    "FLAIR, as their scans show, none for anything else",
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "folder for the results; made where needed", required=True, flag_values=FLAGS
)
_PATHS = {
    name: flags.DEFINE_string(name, None, text, flag_values=FLAGS)
    for name, text in {
        "fixed": "scan that stays: file or DICOM folder",
        "moving": "scan to be warped onto it",
        "fixed_labels": "labels on the fixed scan's grid, for Dice; needs --moving_labels",
        "moving_labels": "labels on the moving scan's grid, warped along",
        "fixed_points": "landmarks of the fixed scan, for their error; needs --moving_points",
        "moving_points": "landmarks of the moving scan",
        "fixed_mask": "what of the fixed scan counts, as --brain says: voxels other than 0",
        "moving_mask": "what of the moving scan counts",
    }.items()
}
_PAIRS = flags.DEFINE_string(
    "pairs", None, "CSV file of many pairs, instead of --fixed and --moving", flag_values=FLAGS
)
cli.define_record(RegistrationOptions, FLAGS)
cli.define_record(FileOptions, FLAGS)
cli.define_record(ModelOptions, FLAGS)
define_flags(FLAGS)
cluster.define_flags(FLAGS, "with --pairs: processes that share the pairs and this machine's cores")


def run():
    """Registers the pair or the pairs; returns the exit code."""
    screen = Screen(FLAGS)
    options = cli.read_record(RegistrationOptions, FLAGS)
    files = cli.read_record(FileOptions, FLAGS)
    options.steps(alone=_MODEL.value == "none")  # before any work
    given = {name: flag.value for name, flag in _PATHS.items() if flag.value}
    if _PAIRS.value:
        return _run_pairs(options, files, given, screen)
    if cluster.wanted(FLAGS):
        raise InputError("--workers and --scheduler share out a list of pairs: --pairs is needed.")
    for name in SIDES:
        if name not in given:
            raise InputError(f"--{name} is needed (or --pairs for a list of pairs).")
    check_choice(options.brain, any(f"{side}_mask" in given for side in SIDES))
    return _run_pair(options, files, PairFiles(output=_OUTPUT.value, **given), screen)


def _run_pairs(options, files, given, screen):
    if given:
        raise InputError(f"--pairs has its own columns; --{next(iter(given))} must not be given.")
    output = _OUTPUT.value
    check_output_folder(output)
    if is_same_place(_PAIRS.value, os.path.join(output, results.NAME)):
        raise InputError(f"{_PAIRS.value}: lies where {results.NAME} will be written.")
    data_set = DataSet(output) if files.bids else None
    pairs = read_pairs(_PAIRS.value, output, data_set and data_set.place)
    check_choice(options.brain, any(pair.fixed_mask or pair.moving_mask for pair in pairs))
    source = _source(options, files)
    with held(output):
        if data_set:
            data_set.describe()
        if cluster.wanted(FLAGS):
            with cluster.opened(FLAGS) as workers:
                outcomes = batch.on_cluster(pairs, source, workers)
                return batch.run_pairs(pairs, outcomes, output, screen)
        with batch.start_reader() as reader:
            outcomes = batch.one_by_one(pairs, source.load(), reader, screen.native)
            return batch.run_pairs(pairs, outcomes, output, screen)


def _run_pair(options, files, paths, screen):
    data_set = DataSet(paths.output) if files.bids else None
    paths = data_set.place(paths) if data_set else paths
    check_pair(paths)
    with held(paths.output, paths.names):
        with screen.native():
            pair = ReadPair.read(paths, files)
            memory.spare(pair.scans)
            # TensorFlow takes seconds to import: bad scans have been refused by now.
            loading = beside(_loaded, _source(options, files))
            try:
                pair.see(options.brain)
                aligning = beside(pair.align, options.affine)
                wait([loading, aligning], return_when=FIRST_COMPLETED)
                if loading.done():
                    loading.result()  # without such a model nobody waits for the affine step
                aligning.result()
            finally:  # TensorFlow, too, keeps the screen to itself meanwhile
                with stage(pair.seconds, "load_model"):
                    setup = loading.result()
        with _Bar(screen) as bar:
            registered = register_pair(pair, setup, bar.on_step)
        names, result = registered.write(screen.native), registered.result
        if data_set:
            data_set.describe()
    screen.tell(result.notices)
    screen.say("written:", *[f"  {os.path.join(paths.output, name)}" for name in names])
    screen.say(*report.lines(result, pair.seconds))
    return screen.code(any(notice.level == "warning" for notice in result.notices))


def _loaded(source):
    """Imports TensorFlow; returns the Setup of a SetupSource, its model about to be loaded."""
    with lasting():
        import tensorflow  # noqa: F401

    setup = source.load()
    if isinstance(setup.model, AutoModel):
        setup.model.prepare()
    return setup


class _Bar(contextlib.ExitStack):
    """Shows the refinement's steps from the first one on: only then it is known how many."""

    def __init__(self, screen):
        super().__init__()
        self._draws, self._bar = screen.draws, None

    def on_step(self, step, steps, loss):
        if self._bar is None:
            bar = tqdm(total=steps, unit="step", leave=False, disable=not self._draws)
            self._bar = self.enter_context(bar)
        self._bar.update()


def _source(options, files):
    return SetupSource(_MODEL.value, cli.read_record(ModelOptions, FLAGS), options, files)


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


def command():
    """The console's entry point: runs the command and ends the process."""
    cli.leave(main())


if __name__ == "__main__":
    command()
