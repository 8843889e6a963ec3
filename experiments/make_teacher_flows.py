"""Makes a store of teacher flows: by running a teacher, or from the authors' release.

    python -m experiments.make_teacher_flows --dataset=X.json --subset=1 --teacher=RUN \\
        --output=flows.h5
    python -m experiments.make_teacher_flows --dataset=X.json --from_pickles=FOLDER \\
        --output=flows.h5

The release's files are *_teacher_deformation_c_*.pkl, dictionaries from "id1-id2" (fixed, moving)
to flows; nothing but arrays is let out of them. The same command goes on where it stopped.
"""

import functools
import hashlib
import json
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
_OUTPUT = flags.DEFINE_string("output", None, "HDF5 file to make", required=True, flag_values=FLAGS)
_TEACHER = flags.DEFINE_string("teacher", None, "the teacher's run folder", flag_values=FLAGS)
_PICKLES = flags.DEFINE_string(
    "from_pickles", None, "folder of the release's pickles", flag_values=FLAGS
)


def run():
    if (_TEACHER.value is None) == (_PICKLES.value is None):
        raise InputError("either --teacher or --from_pickles must be given, not both.")
    check_output_folder(os.path.dirname(os.path.abspath(_OUTPUT.value)))

    from data.manifest import read_manifest

    manifest = read_manifest(_DATASET.value)
    count = _convert(manifest) if _PICKLES.value else _predict(manifest)
    print(f"{count} flows, {os.path.getsize(_OUTPUT.value) / 1e6:.1f} MB -> {_OUTPUT.value}")


def _convert(manifest):
    from data.flows import FlowWriter
    from experiments import release_pickles

    paths = release_pickles.find_pickles(_PICKLES.value)
    ids = release_pickles.all_ids(manifest)
    about = {"source": "pickles of the release", "files": [os.path.basename(p) for p in paths]}
    with FlowWriter(_OUTPUT.value, manifest.image_size, about) as writer:
        try:
            return _copy(paths, ids, writer)
        except InputError:
            writer.discard()  # quickly made again, unlike a network's flows
            raise


def _copy(paths, ids, writer):
    from experiments import release_pickles

    count = 0
    with Progress(len(paths), "file") as progress:
        for path in paths:
            for key, flow in release_pickles.read_pickle(path).items():
                _write(writer, *release_pickles.split_key(key, ids, path), flow, path)
                count += 1
            progress.advance()
    return count


def _write(writer, fixed, moving, flow, path):
    try:
        writer.write(fixed, moving, flow)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _predict(manifest):
    from data.flows import FlowWriter
    from data.manifest import scan_id
    from data.pairs import list_pairs
    from data.volumes import VolumeReader
    from ldr_tf import config
    from ldr_tf.checkpoints import load_run
    from ldr_tf.evaluation import Predictor

    teacher = load_run(_TEACHER.value)
    size = teacher.config.network.image_size
    if tuple(size) != tuple(manifest.image_size):
        raise InputError(
            f"{_TEACHER.value}: was trained at {size}, the data set holds {manifest.image_size}."
        )
    pairs = list_pairs(manifest, _SUBSET.value, _PAIRED.value)
    described = json.dumps(config.to_dict(teacher.config), sort_keys=True).encode()
    digest = hashlib.sha256(described)
    for value in teacher.get_weights():
        digest.update(np.ascontiguousarray(value))
    about = {
        "source": "network",
        "teacher_sha256": digest.hexdigest(),
        "subset": _SUBSET.value,
        "paired": _PAIRED.value,
    }
    predict = Predictor(teacher)
    with FlowWriter(_OUTPUT.value, size, about) as writer, VolumeReader(manifest) as reader:
        keys = {(scan_id(f), scan_id(m)): (f, m) for f, m in pairs}
        left = {ids: pair for ids, pair in keys.items() if not writer.has(*ids)}
        megabytes = len(left) * np.prod(size) * 3 * 2 / 1e6
        print(f"{len(left)} of {len(keys)} pairs to do, at most {megabytes:.0f} MB", flush=True)
        read = functools.lru_cache(maxsize=2)(reader.read_volume)
        with Progress(len(keys), "pair", len(keys) - len(left)) as progress:
            for ids, (fixed, moving) in left.items():
                writer.write(*ids, predict(read(fixed), read(moving)).flow)
                progress.advance()
    return len(keys)


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
