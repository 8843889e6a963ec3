"""Gives scans without labels those of a few that have them, carried over by a teacher.

    python -m experiments.propagate_labels --dataset=X.json --subset=1 --teacher=MODEL \\
        --atlas=KEY --atlas=KEY --refine_steps=25 --output=FOLDER

The teacher registers every atlas, a scan of the data set with a segmentation, to every other scan
of the subset, whether that has labels or not; the atlases' labels, warped, vote at each voxel, and
where the votes are equal the atlas counts that is named first. Labels of a scan on which the
atlases agree too little (--least_agreement) are left out. Writes FOLDER/dataset.json, the same data
set with these scans labelled, beside one HDF5 file for each of them. A student learns from it with
`train --set=loss.label_weight=1`. If interrupted, the same command resumes.
"""

import hashlib
import os
import sys

import h5py
import numpy as np
from absl import flags

from data.manifest import read_manifest, scan_id, write_manifest
from data.volumes import VolumeReader, write_scan
from experiments.progress import Progress
from experiments.refined_teacher import RefinedTeacher
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, check_output_folder, read_json, write_json

FLAGS = cli.new_flags()
_DATASET = flags.DEFINE_string(
    "dataset", None, "JSON of the data set", required=True, flag_values=FLAGS
)
_SUBSET = flags.DEFINE_string(
    "subset", "1", "scheme or subset whose scans get labels", flag_values=FLAGS
)
_TEACHER = flags.DEFINE_string(
    "teacher", None, "run folder or shipped model", required=True, flag_values=FLAGS
)
_ATLAS = flags.DEFINE_multi_string(
    "atlas", None, "key of a labelled scan, several times", required=True, flag_values=FLAGS
)
_REFINE_STEPS = flags.DEFINE_integer(
    "refine_steps",
    0,
    "steps by which the teacher's flow is refined on each pair",
    lower_bound=0,
    flag_values=FLAGS,
)
_LEAST_AGREEMENT = flags.DEFINE_float(
    "least_agreement",
    0.0,
    "a scan's label is left out where the atlases' votes for it, averaged over its voxels, are a "
    "smaller share",
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string("output", None, "folder to make", required=True, flag_values=FLAGS)

_ABOUT_NAME, _GROUP, _AGREEMENT = "propagation.json", "scan", "agreement"


def run():
    manifest = read_manifest(_DATASET.value)
    subsets = manifest.scheme(_SUBSET.value)
    keys = list(dict.fromkeys(key for name in subsets for key in manifest.subsets[name]))
    output, target = os.path.abspath(_OUTPUT.value), os.path.join(_OUTPUT.value, "dataset.json")
    if os.path.realpath(target) == os.path.realpath(_DATASET.value):
        raise InputError(f"{_OUTPUT.value}: holds the data set itself; choose another folder.")
    with VolumeReader(manifest) as reader:
        _check_atlases(manifest, reader, keys)
        check_output_folder(output)
        teacher = RefinedTeacher(_TEACHER.value, manifest, _REFINE_STEPS.value)
        _begin(teacher, [reader.digest(key) for key in [*keys, *_ATLAS.value]])
        atlases = {key: reader.read(key) for key in _ATLAS.value}
        files = {
            name: os.path.relpath(os.path.abspath(manifest.file_path(name)), output)
            for name in manifest.files
        }
        renamed = {}
        with Progress(len(keys), "scan") as progress:
            for key in keys:
                name = f"{scan_id(key)}_propagated"
                path = os.path.join(output, f"{name}.h5")
                if not os.path.exists(path):
                    _label(key, path, reader, atlases, teacher)
                files[name], renamed[key] = os.path.basename(path), f"{name}/{_GROUP}"
                progress.advance(key)
    write_manifest(
        target,
        file_paths=files,
        subsets={
            name: [renamed[key] for key in found] if name in subsets else found
            for name, found in manifest.subsets.items()
        },
        schemes=manifest.schemes,
        image_size=manifest.image_size,
        image=manifest.image,
        image_type=manifest.image_type,
        atlas=manifest.atlas,
        task=list(manifest.task),
        segmentation_class_value=manifest.segmentation_class_value,
    )
    print(f"labelled: {len(keys)} scans -> {target}")


def _check_atlases(manifest, reader, keys):
    if len(set(_ATLAS.value)) < len(_ATLAS.value):
        raise InputError("--atlas: a scan is named twice.")
    known = {key for found in manifest.subsets.values() for key in found}
    for atlas in _ATLAS.value:
        if atlas not in known:
            raise InputError(f"--atlas: {_DATASET.value} has no scan {atlas!r} in its subsets.")
    reader.check([*keys, *_ATLAS.value])
    reader.check_labels(set(_ATLAS.value))


def _begin(teacher, digests):
    """Makes the folder, or refuses one in which something else was begun."""
    about = {
        **teacher.about,
        "scans_sha256": hashlib.sha256("".join(digests).encode()).hexdigest(),
        "atlases": _ATLAS.value,
        "least_agreement": _LEAST_AGREEMENT.value,
    }
    path = os.path.join(_OUTPUT.value, _ABOUT_NAME)
    os.makedirs(_OUTPUT.value, exist_ok=True)
    if not os.path.exists(path):
        write_json(path, about)
    elif read_json(path) != about:
        raise InputError(
            f"{_OUTPUT.value}: was begun with other scans or atlases, another teacher, other steps."
        )


def _label(key, path, reader, atlases, teacher):
    """Writes a scan with its labels: an atlas' own, else what the atlases give it."""
    scan = reader.read(key)
    if key in atlases:
        labels, agreement = scan.segmentation, {}
    else:
        labels, agreement = vote(
            [
                _warped(atlas.segmentation, teacher.flow(scan.volume, atlas.volume))
                for atlas in atlases.values()
            ]
        )
        for label, share in agreement.items():
            if share < _LEAST_AGREEMENT.value:
                labels[labels == label] = 0
    painted = {"painted": True} if reader.is_label_map(key) else None
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        write_scan(file, _GROUP, scan.volume, labels.astype(np.uint16), scan.point, painted)
        rows = np.array([*agreement.items()], np.float32).reshape(-1, 2)
        file[_GROUP].create_dataset(_AGREEMENT, data=rows)  # label, share


def _warped(labels, flow):
    import tensorflow as tf

    from ldr_tf.ops.warp import warp_nearest

    labels = tf.constant(labels.astype(np.int32)[None, ..., None])
    return warp_nearest(labels, tf.constant(flow[None])).numpy()[0, ..., 0]


def vote(maps):
    """Fuses label maps.

    Args:
      maps: integers [x, y, z], several.

    Returns:
      At each voxel the label that most of them have, the earliest map's where several have as many;
      and {label: the share of the maps that voted for it, averaged over its voxels}.
    """
    votes = np.stack([sum(one == other for other in maps) for one in maps])
    first = np.argmax(votes, axis=0)[None]
    labels = np.take_along_axis(np.stack(maps), first, axis=0)[0]
    shares = np.take_along_axis(votes, first, axis=0)[0] / len(maps)
    return labels, {
        int(label): float(shares[labels == label].mean()) for label in np.unique(labels) if label
    }


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
