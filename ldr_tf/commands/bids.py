"""A BIDS data set of derivatives as the output of ldr-register: places, sidecars, description."""

import dataclasses
import os

import ldr_tf
from ldr_tf.commands import results
from ldr_tf.commands.bids_names import BidsName, names_of
from ldr_tf.commands.folder import naming
from ldr_tf.errors import InputError
from ldr_tf.files import (
    atomic_path,
    check_output_folder,
    check_path_length,
    read_json,
    read_text,
    write_json,
)
from ldr_tf.imaging import scan_stem
from ldr_tf.registration.result_names import ResultNames

_DESCRIPTION, _IGNORE, _README = "dataset_description.json", ".bidsignore", "README"

_IGNORED = ("*_mode-image_*", results.NAME)
"""What BIDS has no names for yet: transforms and what is told of them; the table of all pairs."""

_ABOUT = {
    "Name": "Registered scans",
    "BIDSVersion": "1.10.0",
    "DatasetType": "derivative",
    "GeneratedBy": [
        {
            "Name": "ldr_tf",
            "Version": ldr_tf.__version__,
            "Description": "Deformable registration by ldr-register",
        }
    ],
}
_TEXT = """Scans registered by ldr-register, a command of ldr_tf.

space- and to- name the fixed scan: its entities and suffix in one word, or a template. Files with
_mode-image_ in their names are transforms, called after the way in which images go, and what is
told of them: a picture, a summary. BIDS has no names for them yet; .bidsignore lists them.
"""

_MEANINGS = {
    "warped": "The moving scan on the grid of the fixed scan.",
    "displacement": "ITK's displacement field (mm, LPS), the affine map included: takes points of "
    "the fixed scan to points of the moving scan, and so images from moving to fixed.",
    "affine": "The affine map alone (ITK, mm, LPS), in the same direction as the displacement.",
    "warped_labels": "The labels of the moving scan on the grid of the fixed scan.",
    "jacobian": "Determinant of the mapping on the grid of the fixed scan; not above 0 where it "
    "folds.",
    "inverse_displacement": "ITK's displacement field (mm, LPS) of the inverse: takes points of "
    "the moving scan to points of the fixed scan, and so images from fixed to moving.",
    "fixed_mask": "The brain in the fixed scan, which alone counted.",
    "moving_mask": "The brain in the moving scan, which alone counted.",
}


class DataSet:
    """A folder that is, or will be, a data set of derivatives."""

    def __init__(self, root):
        """Takes the folder, there or not; InputError where it cannot be one."""
        check_output_folder(root)
        self.root = root
        path = os.path.join(root, _DESCRIPTION)
        if not os.path.lexists(path):
            return
        found = read_json(path)
        kind = found.get("DatasetType", "raw") if isinstance(found, dict) else None
        if kind != "derivative":
            raise InputError(
                f'{path}: must say "DatasetType": "derivative"; the results need a folder of their '
                "own, such as DATASET/derivatives/ldr_tf."
            )

    def place(self, pair):
        """Returns a PairFiles with its folder in the data set and the names of its files.

        Raises:
          InputError: a scan's name is none of BIDS, or its sidecar cannot be read.
        """
        fixed, moving = BidsName.of(pair.fixed), BidsName.of(pair.moving)
        moving.check_moving(pair.moving)
        label, files = names_of(fixed, moving)
        names = ResultNames(files, self._sidecars(pair, moving), label)
        output = os.path.join(self.root, moving.folder)
        for name in names.all():
            check_path_length(os.path.join(output, name))
        return dataclasses.replace(pair, output=output, names=names)

    def describe(self):
        """Writes what is missing of dataset_description.json, README and .bidsignore's lines."""
        path = {name: os.path.join(self.root, name) for name in (_DESCRIPTION, _README, _IGNORE)}
        there = {name: os.path.lexists(path[name]) for name in path}
        lines = read_text(path[_IGNORE]).splitlines() if there[_IGNORE] else []
        missing = [line for line in _IGNORED if line not in lines]
        with naming(self.root):
            if not there[_DESCRIPTION]:
                write_json(path[_DESCRIPTION], _ABOUT)
            if not there[_README]:
                _write(path[_README], _TEXT)
            if missing:
                _write(path[_IGNORE], "\n".join([*lines, *missing]) + "\n")

    def _sidecars(self, pair, moving):
        sources = [self._seen(pair.moving), self._seen(pair.fixed)]
        fields = {
            what: {"Description": meaning, "SpatialReference": sources[1], "Sources": sources}
            for what, meaning in _MEANINGS.items()
        }
        for what in ("inverse_displacement", "moving_mask"):
            fields[what]["SpatialReference"] = sources[0]
        fields["warped"]["SkullStripped"] = _stripped(pair.moving, moving)
        if pair.moving_labels:
            fields["warped_labels"]["Sources"] = [self._seen(pair.moving_labels), *sources]
        return fields

    def _seen(self, path):
        """Returns a path as seen from the data set.

        A BIDS URI would need the data set of every scan in dataset_description.json.
        """
        return os.path.relpath(path, self.root).replace(os.sep, "/")


def _write(path, text):
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


def _stripped(path, name):
    """Tells whether a scan is without skull: its sidecar says so, or else desc-brain."""
    folder = os.path.dirname(os.path.normpath(path))
    sidecar = os.path.join(folder, scan_stem(path) + ".json")
    if os.path.exists(sidecar):
        found = read_json(sidecar)
        if isinstance(found, dict) and isinstance(found.get("SkullStripped"), bool):
            return found["SkullStripped"]
    return name.entities.get("desc") == "brain"
