"""The JSON file that names a data set's volumes, subsets and schemes.

Its form is that of the Recursive Cascaded Networks (RCN) release, so that its published files work
as they are; data/README.md shows one. Fields that we do not know are let pass. One optional field
is ours: `image`, an ImageConfig that says how the scans were brought to the grid.
"""

import dataclasses
import math
import os
from typing import Optional

from ldr_tf import config, files, records
from ldr_tf.errors import InputError

WHOLE_KEY = "/"
"""The file name that takes every key whose prefix names no other file."""

DEFAULT_IMAGE_SIZE = (128, 128, 128)
_LONGEST_SIDE = 4096
_MOST_VOXELS = 1 << 30
_LARGEST_LABEL = (1 << 31) - 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A data set.

    Attributes:
      path: the JSON file.
      files: name -> path of an HDF5 file as the JSON gives it; `file_path` finds the file.
      subsets: name -> keys of scans, "file/group".
      schemes: name -> {subset: fraction}; "1" is for training, "2" for validation.
      image_size: voxels along x, y, z of every volume.
      image_type: "brain", "liver" or any other word; None when absent.
      atlas: key of the scan that is the fixed image of every pair; None without one.
      segmentation_class_value: name -> label value; None when segmentations are 0/255 masks.
      task: what the data are for, as given; "registration" when absent.
      image: how scans were brought to the grid; None when the file does not say.
      allow_external: whether links and values of the HDF5 files may lead to other files; the
        reader's choice, not the file's.
    """

    path: str
    files: dict[str, str]
    subsets: dict[str, tuple[str, ...]]
    schemes: dict[str, dict[str, float]]
    image_size: tuple[int, int, int] = DEFAULT_IMAGE_SIZE
    image_type: Optional[str] = None
    atlas: Optional[str] = None
    segmentation_class_value: Optional[dict[str, int]] = None
    task: tuple[str, ...] = ("registration",)
    image: Optional[config.ImageConfig] = None
    allow_external: bool = False

    def scheme(self, name):
        """Returns {subset: fraction} of the scheme `name`, or of the subset of that name.

        Raises:
          InputError: there is neither; the sentence lists what there is.
        """
        if name in self.schemes:
            return self.schemes[name]
        if name in self.subsets:
            return {name: 1.0}
        raise InputError(
            f"{self.path}: has no scheme or subset {name!r}; schemes: "
            f"{', '.join(self.schemes) or 'none'}; subsets: {', '.join(self.subsets) or 'none'}."
        )

    def locate(self, key):
        """Returns (name of the file, group inside the file) of a scan's key.

        Raises:
          InputError: the key's prefix names no file and there is no file "/".
        """
        prefix, _, group = key.partition("/")
        if prefix in self.files and group:
            return prefix, group
        if WHOLE_KEY in self.files:
            return WHOLE_KEY, key
        raise InputError(
            f"{self.path}: the key {key!r} belongs to no file; files: {', '.join(self.files)}."
        )

    def file_path(self, name):
        """Returns where the file `name` is: beside the JSON, else in the working folder.

        Raises:
          InputError: it is in neither place.
        """
        given = self.files[name]
        beside = os.path.join(os.path.dirname(os.path.abspath(self.path)), given)
        for candidate in (beside, given):
            if os.path.isfile(candidate):
                return candidate
        raise InputError(
            f"{self.path}: its file {name!r} is not at {given}, neither beside the JSON nor in "
            "the working folder."
        )


def scan_id(key):
    """Returns a scan's id: its key with "/" as "_"."""
    return key.replace("/", "_")


def read_manifest(path, allow_external=False):
    """Reads and checks a data set's JSON; the HDF5 files are not opened.

    Args:
      path: the JSON file.
      allow_external: see `Manifest`.

    Raises:
      InputError: the file is missing or no JSON, a field is missing or of another type, a scheme
        names an unknown subset, fractions do not sum to 1, a key belongs to no file.
    """
    path = os.fspath(path)
    content = files.read_json(path)
    _require(isinstance(content, dict), path, "must be a JSON object.")
    manifest = Manifest(
        path=path,
        files=_files(content, path),
        subsets=_subsets(content, path),
        schemes=_schemes(content, path),
        image_size=_image_size(content, path),
        image_type=_image_type(content, path),
        atlas=content.get("atlas"),
        segmentation_class_value=_class_values(content, path),
        task=_task(content, path),
        image=_image(content, path),
        allow_external=allow_external,
    )
    for keys in manifest.subsets.values():
        for key in keys:
            manifest.locate(key)
    if manifest.atlas is not None:
        _require(isinstance(manifest.atlas, str), path, "atlas must be a scan's key.")
        manifest.locate(manifest.atlas)
    return manifest


def write_manifest(path, *content, **others):
    """Writes a data set's JSON, atomically, and returns it as read back.

    Args:
      path: the JSON file.
      *content, **others: see `manifest_content`.
    """
    files.write_json(path, manifest_content(*content, **others))
    return read_manifest(path)


def manifest_content(file_paths, subsets, schemes, image_size, image=None, **others):
    """Returns the content of a data set's JSON.

    Args:
      file_paths: name -> path of an HDF5 file, relative to the JSON's folder.
      subsets: name -> list of keys.
      schemes: name -> {subset: fraction}.
      image_size: voxels along x, y, z.
      image: the ImageConfig by which the scans were prepared, if any.
      **others: further fields of the form, such as image_type, atlas, segmentation_class_value.
    """
    content = {
        "files": {name: {"type": "HDF5", "path": file} for name, file in file_paths.items()},
        "image_size": [int(side) for side in image_size],
        "schemes": schemes,
        "subsets": {name: list(keys) for name, keys in subsets.items()},
    }
    content.update({name: value for name, value in others.items() if value is not None})
    if image is not None:
        content["image"] = records.to_dict(image)
    return content


def _require(condition, path, sentence):
    if not condition:
        raise InputError(f"{path}: {sentence}")


def _object(content, field, path):
    _require(field in content, path, f"the field {field!r} is missing.")
    _require(isinstance(content[field], dict), path, f"{field} must be an object.")
    return content[field]


def _files(content, path):
    found = {}
    for name, entry in _object(content, "files", path).items():
        _require(
            isinstance(entry, dict) and isinstance(entry.get("path"), str),
            path,
            f'files.{name} must be an object such as {{"type": "HDF5", "path": "volumes.h5"}}.',
        )
        kind = entry.get("type", "HDF5")
        _require(
            str(kind).upper() == "HDF5", path, f"files.{name}.type must be HDF5, not {kind!r}."
        )
        found[name] = entry["path"]
    return found


def _subsets(content, path):
    found = {}
    for name, keys in _object(content, "subsets", path).items():
        _require(
            isinstance(keys, list) and all(isinstance(key, str) for key in keys),
            path,
            f"subsets.{name} must be a list of scans' keys.",
        )
        found[name] = tuple(dict.fromkeys(keys))
    return found


def _schemes(content, path):
    subsets, found = content["subsets"], {}
    for name, scheme in _object(content, "schemes", path).items():
        _require(
            isinstance(scheme, dict) and scheme,
            path,
            f"schemes.{name} must be an object of subsets and their fractions.",
        )
        for subset, fraction in scheme.items():
            _require(
                subset in subsets,
                path,
                f"schemes.{name} names the unknown subset {subset!r}; known: {', '.join(subsets)}.",
            )
            _require(
                isinstance(fraction, (int, float))
                and not isinstance(fraction, bool)
                and 0 <= fraction <= 1,
                path,
                f"schemes.{name}.{subset} must be a fraction in 0..1, not {fraction!r}.",
            )
        total = math.fsum(scheme.values())
        _require(
            abs(total - 1) < 1e-6,
            path,
            f"the fractions of schemes.{name} must sum to 1, not {total:g}.",
        )
        found[name] = {subset: float(fraction) for subset, fraction in scheme.items()}
    return found


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _image_size(content, path):
    size = content.get("image_size", list(DEFAULT_IMAGE_SIZE))
    _require(
        isinstance(size, list) and len(size) == 3 and all(_is_count(s) and s > 0 for s in size),
        path,
        f"image_size must be three numbers of voxels, not {size!r}.",
    )
    _require(
        max(size) <= _LONGEST_SIDE and math.prod(size) <= _MOST_VOXELS,
        path,
        f"image_size must have sides up to {_LONGEST_SIDE} and {_MOST_VOXELS} voxels in all at "
        f"most, not {size!r}.",
    )
    return tuple(size)


def _image_type(content, path):
    word = content.get("image_type")
    _require(word is None or isinstance(word, str), path, "image_type must be a word.")
    return word


def _class_values(content, path):
    values = content.get("segmentation_class_value")
    _require(
        values is None or (isinstance(values, dict) and all(map(_is_count, values.values()))),
        path,
        "segmentation_class_value must be an object of names and whole label values.",
    )
    _require(
        all(abs(value) <= _LARGEST_LABEL for value in (values or {}).values()),
        path,
        "segmentation_class_value must hold label values of 32 bits.",
    )
    return values


def _task(content, path):
    task = content.get("task") or "registration"
    task = [task] if isinstance(task, str) else task
    _require(
        isinstance(task, list) and all(isinstance(word, str) for word in task),
        path,
        "task must be a word or a list of words.",
    )
    return tuple(task)


def _image(content, path):
    if content.get("image") is None:
        return None
    try:
        return records.from_dict(config.ImageConfig, content["image"], "image.")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
