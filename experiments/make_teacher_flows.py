"""Makes a store of teacher flows: by running a teacher, or from the authors' release.

    python -m experiments.make_teacher_flows --dataset=X.json --subset=1 --teacher=RUN \\
        --output=flows.h5
    python -m experiments.make_teacher_flows --dataset=X.json --from_pickles=FOLDER \\
        --output=flows.h5

The release's files are *_teacher_deformation_c_*.pkl, dictionaries from "id1-id2" (fixed, moving)
to flows; nothing but arrays is read from them. If interrupted, the same command resumes. With
--refine_steps the teacher's flow of each pair is refined on the pair itself before it is stored.
"""

import functools
import hashlib
import os
import sys

import numpy as np
from absl import flags

from experiments.progress import Progress
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder

FLAGS = cli.new_flags()
_DATASET = flags.DEFINE_string(
    "dataset", None, "JSON of the data set", required=True, flag_values=FLAGS
)
_SUBSET = flags.DEFINE_string(
    "subset", "1", "scheme or subset whose pairs the teacher registers", flag_values=FLAGS
)
_PAIRED = flags.DEFINE_bool("paired", False, "only disjoint neighbours", flag_values=FLAGS)
_ALLOW_EXTERNAL = flags.DEFINE_bool(
    "allow_external",
    False,
    "the data set's HDF5 files may lead to other files",
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string("output", None, "HDF5 file to make", required=True, flag_values=FLAGS)
_TEACHER = flags.DEFINE_string("teacher", None, "the teacher's run folder", flag_values=FLAGS)
_REFINE_STEPS = flags.DEFINE_integer(
    "refine_steps",
    0,
    "steps by which each of the teacher's flows is refined on its pair",
    lower_bound=0,
    flag_values=FLAGS,
)
_PICKLES = flags.DEFINE_string(
    "from_pickles", None, "folder of the release's pickles", flag_values=FLAGS
)


def run():
    if bool(_TEACHER.value) == bool(_PICKLES.value):
        raise InputError("either --teacher or --from_pickles must be given, not both.")
    if _REFINE_STEPS.value and not _TEACHER.value:
        raise InputError("--refine_steps refines what a --teacher finds and needs one.")
    check_output_folder(os.path.dirname(os.path.abspath(_OUTPUT.value)))

    from data.manifest import read_manifest
    from data.pairs import list_pairs
    from experiments.release_pickles import all_ids

    manifest = read_manifest(_DATASET.value, _ALLOW_EXTERNAL.value)
    pairs = list_pairs(manifest, _SUBSET.value, _PAIRED.value)
    ids = all_ids(manifest)
    make = _convert if _PICKLES.value else _predict
    count = make(manifest, pairs, ids)
    print(f"{count} flows, {os.path.getsize(_OUTPUT.value) / 1e6:.1f} MB -> {_OUTPUT.value}")


def _convert(manifest, pairs, ids):
    from data.flows import FlowWriter
    from data.manifest import scan_id
    from experiments import release_pickles

    paths = release_pickles.find_pickles(_PICKLES.value)
    about = {
        "source": "pickles of the release",
        "files": [os.path.basename(path) for path in paths],
        "scans_sha256": _digest_of(ids),
    }
    with FlowWriter(_OUTPUT.value, manifest.image_size, about) as writer:
        try:
            done = _copy(paths, ids, manifest.image_size, writer)
        except InputError:
            writer.discard()  # quickly made again, unlike a network's flows
            raise
    wanted = {(scan_id(fixed), scan_id(moving)) for fixed, moving in pairs}
    there = len(wanted.intersection(done))
    print(f"{there} of the {len(wanted)} pairs of {_SUBSET.value!r} have a flow")
    return len(done)


def _copy(paths, ids, size, writer):
    from experiments import release_pickles

    done = {}  # pair -> the file it came from
    with Progress(len(paths), "file") as progress:
        for path in paths:
            for key, flow in release_pickles.read_pickle(path, size).items():
                pair = release_pickles.split_key(key, ids, path)
                if pair in done:
                    raise InputError(
                        f"{path}: the pair {key!r} is in {done[pair]} too; the folder must hold "
                        "the files of one teacher only."
                    )
                _write(writer, *pair, flow, path)
                done[pair] = path
            progress.advance()
    return done


def _write(writer, fixed, moving, flow, path):
    try:
        writer.write(fixed, moving, flow)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _digest_of(ids):
    return hashlib.sha256("\n".join(sorted(ids)).encode()).hexdigest()


def _predict(manifest, pairs, ids):
    from data.flows import FlowWriter
    from data.manifest import scan_id
    from data.volumes import VolumeReader
    from experiments.refined_teacher import RefinedTeacher

    with VolumeReader(manifest) as reader:
        reader.check(dict.fromkeys(key for pair in pairs for key in pair))
    teacher = RefinedTeacher(_TEACHER.value, manifest, _REFINE_STEPS.value)
    size = manifest.image_size
    about = {
        "source": "network",
        **teacher.about,
        "scans_sha256": _digest_of(ids),
        "subset": _SUBSET.value,
        "paired": _PAIRED.value,
    }
    with FlowWriter(_OUTPUT.value, size, about) as writer, VolumeReader(manifest) as reader:
        keys = {(scan_id(f), scan_id(m)): (f, m) for f, m in pairs}
        left = {names: pair for names, pair in keys.items() if not writer.has(*names)}
        megabytes = len(left) * np.prod(size) * 3 * 2 / 1e6
        print(f"{len(left)} of {len(keys)} pairs to do, at most {megabytes:.0f} MB", flush=True)
        read = functools.lru_cache(maxsize=2)(reader.read_volume)
        digest = functools.lru_cache(maxsize=None)(reader.digest)
        with Progress(len(keys), "pair", len(keys) - len(left)) as progress:
            for names, (fixed, moving) in left.items():
                flow = teacher.flow(read(fixed), read(moving))
                writer.write(*names, flow, (digest(fixed), digest(moving)))
                progress.advance()
    return len(keys)


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
