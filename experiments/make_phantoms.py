"""Makes a data set of labelled phantoms whose true deformation is known.

    python -m experiments.make_phantoms --output=phantoms --count=40 --size=64 --seed=1

They are trunks, or with --kind=brain made-up brains with FreeSurfer's numbers.
Writes DIR/phantoms.h5 and DIR/phantoms.json: the first --train subjects form scheme 1, the next
--validation ones scheme 2, the rest the subset "test". With --nifti=N the last N subjects are also
written as DIR/nifti/NAME.nii.gz and NAME_seg.nii.gz, for ldr-register. The same flags give the
same bytes.
"""

import concurrent.futures
import functools
import multiprocessing
import os
import sys

import h5py
from absl import flags

from data import phantoms
from data.manifest import write_manifest
from data.volumes import write_scan
from experiments.grid_flags import parse_size
from experiments.progress import Progress
from ldr_tf import files
from ldr_tf.commands import cli
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError

FLAGS = cli.new_flags()
_OUTPUT = flags.DEFINE_string("output", None, "folder to write", required=True, flag_values=FLAGS)
_COUNT = flags.DEFINE_integer("count", 40, "subjects", lower_bound=2, flag_values=FLAGS)
_KIND = flags.DEFINE_enum(
    "kind", "trunk", list(phantoms.ANATOMIES), "what the phantoms show", flag_values=FLAGS
)
_SIZE = flags.DEFINE_list("size", ["64"], "voxels a side, or along x, y, z", flag_values=FLAGS)
_SEED = flags.DEFINE_integer(
    "seed", 1, "seed of template and subjects", lower_bound=0, flag_values=FLAGS
)
_TRAIN = flags.DEFINE_integer(
    "train", None, "subjects to train on; 70 percent by default", lower_bound=0, flag_values=FLAGS
)
_VALIDATION = flags.DEFINE_integer(
    "validation",
    None,
    "subjects to validate on; 10 percent by default",
    lower_bound=0,
    flag_values=FLAGS,
)
_NIFTI = flags.DEFINE_integer(
    "nifti", 0, "how many of the last subjects to write as NIfTI", lower_bound=0, flag_values=FLAGS
)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "processes; as many as cores by default", lower_bound=1, flag_values=FLAGS
)

# The NIfTI files' axes, and what takes them to the network's grid: the whole scan, as it is.
_RAS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
_IMAGE = ImageConfig(orientation="RAS", spacing=None, intensity="none")


def split(count, train=None, validation=None):
    """Returns subset -> subjects' names; train and validation are numbers of subjects."""
    train = round(0.7 * count) if train is None else train
    validation = round(0.1 * count) if validation is None else validation
    if train + validation > count:
        raise InputError(
            f"train ({train}) and validation ({validation}) must not exceed count ({count})."
        )
    names = [f"{index:03d}" for index in range(count)]
    ends = (train, train + validation)
    parts = {
        "train": names[: ends[0]],
        "validation": names[ends[0] : ends[1]],
        "test": names[ends[1] :],
    }
    return {subset: members for subset, members in parts.items() if members}


def run():
    size = parse_size(_SIZE.value)
    subsets = split(_COUNT.value, _TRAIN.value, _VALIDATION.value)
    names = [name for members in subsets.values() for name in members]
    try:
        os.makedirs(_OUTPUT.value, exist_ok=True)
    except OSError as error:
        raise InputError(f"{_OUTPUT.value}: cannot be made ({error.strerror}).") from error
    subjects = _subjects(len(names), _SEED.value, size, _KIND.value)
    volumes = os.path.join(_OUTPUT.value, "phantoms.h5")
    with files.atomic_path(volumes) as temporary, Progress(len(names), "phantom") as progress:
        _write(temporary, names, subjects, progress)
    path = os.path.join(_OUTPUT.value, "phantoms.json")
    write_manifest(path, **manifest_fields("phantoms.h5", subsets, size, _KIND.value))
    told = ", ".join(f"{len(members)} {subset}" for subset, members in subsets.items())
    print(f"{len(names)} phantoms of {'x'.join(map(str, size))} ({told}) -> {path}")


def _write(path, names, subjects, progress):
    """Writes the HDF5 file, and the NIfTI files of the last subjects."""
    with h5py.File(path, "w") as file:
        for index, (name, phantom) in enumerate(zip(names, subjects)):
            seeds = {"template_seed": _SEED.value, "subject_seed": index}
            write_scan(file, name, phantom.volume, phantom.labels, phantom.points, seeds)
            if index >= len(names) - _NIFTI.value:
                _write_nifti(name, phantom)
            progress.advance()


def manifest_fields(volumes, subsets, size, kind="trunk"):
    """Returns the fields of the phantoms' JSON, for data.manifest.write_manifest."""
    schemes = {"1": "train", "2": "validation", "test": "test"}
    return {
        "file_paths": {"phantoms": volumes},
        "subsets": {
            subset: [f"phantoms/{name}" for name in members] for subset, members in subsets.items()
        },
        "schemes": {name: {subset: 1.0} for name, subset in schemes.items() if subset in subsets},
        "image_size": size,
        "image": _IMAGE,
        "image_type": "phantom",
        "task": "registration",
        "segmentation_class_value": phantoms.ANATOMIES[kind].LABELS,
    }


def _subjects(count, seed, size, kind):
    """Yields the phantoms in order, made by several processes where that pays."""
    make = functools.partial(phantoms.make_subject, seed, size=size, kind=kind)
    workers = min(_WORKERS.value or os.cpu_count() or 1, count)
    if workers == 1 or count < 8:
        yield from map(make, range(count))
        return
    # Spawned, not forked: a process with running threads must not be forked.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(workers, mp_context=context) as pool:
        # A few at a time, so that waiting results do not pile up in memory.
        for first in range(0, count, 4 * workers):
            yield from pool.map(make, range(first, min(count, first + 4 * workers)))


def _write_nifti(name, phantom):
    from ldr_tf import imaging

    folder = os.path.join(_OUTPUT.value, "nifti")
    os.makedirs(folder, exist_ok=True)
    size = phantom.volume.shape
    spacing = phantoms.ANATOMIES[_KIND.value].spacing(size)
    grid = imaging.Grid(size, spacing, (0.0, 0.0, 0.0), _RAS)
    for ending, array in (("", phantom.volume), ("_seg", phantom.labels)):
        image = imaging.to_image(array, grid)
        imaging.write_image(image, os.path.join(folder, f"{name}{ending}.nii.gz"))


def main(argv=None):
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
