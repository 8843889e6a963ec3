"""Which scans there are to prepare: in a folder, or in a CSV list."""

import csv
import dataclasses
import os
from typing import Optional

from ldr_tf.errors import InputError

SCAN_ENDINGS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
CSV_COLUMNS = ("image", "labels", "subset", "name")


@dataclasses.dataclass(frozen=True)
class Source:
    """A scan to prepare.

    Attributes:
      name: its key in the data set.
      image: path of the scan, a file or a folder with a DICOM series.
      labels: path of its label image, or None.
      subset: the subset it goes to.
    """

    name: str
    image: str
    labels: Optional[str] = None
    subset: str = "train"


def find_sources(path, labels_folder=None):
    """Lists the scans of a folder or of a CSV file.

    Folder: every NIfTI, MHA, MHD or NRRD file in it, sorted by name. A file with "_seg" in its
    name is no scan but the labels of the scan that is called as its part before "_seg", alone or
    followed by "_" and more (0001_seg35 belongs to 0001_norm). Labels may lie in `labels_folder`
    instead, under the same rule or under the scan's own name. A folder without any such file is
    a DICOM series, or holds one series in each of its folders. All go to the subset "train".

    CSV: the column image, and where wanted labels, subset ("train" when empty) and name (the
    file's name when empty); paths are relative to the CSV's folder.

    Raises:
      InputError: nothing there, columns missing or unknown, two scans of one name or a name with
        "/", labels that belong to no scan or to several.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        sources = _sources_of_folder(path, labels_folder)
    elif path.lower().endswith(".csv"):
        sources = _sources_of_csv(path)
    else:
        raise InputError(f"{path}: a folder of scans or a CSV list was expected.")
    seen = {}
    for source in sources:
        if "/" in source.name:
            raise InputError(f"{path}: a scan's name must be without '/', not {source.name!r}.")
        if source.name in seen:
            raise InputError(
                f"{path}: two scans are called {source.name!r}: {seen[source.name]} and "
                f"{source.image}."
            )
        seen[source.name] = source.image
    return sources


def _split_ending(name):
    """Returns (stem, ending) of a scan's file name; the ending is "" for other files."""
    for ending in SCAN_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)], ending
    return name, ""


def _images(folder):
    """Returns stem -> path of the image files of a folder, refusing two of one stem."""
    found = {}
    for name in sorted(os.listdir(folder)):
        stem, ending = _split_ending(name)
        path = os.path.join(folder, name)
        if ending and not name.startswith(".") and os.path.isfile(path):
            if stem in found:
                raise InputError(f"{folder}: two scans are called {stem!r}: {found[stem]}, {path}.")
            found[stem] = path
    return found


def _dicom_folders(folder):
    """Returns name -> path of the folders in a folder; of the folder itself if it has none."""
    inside = [entry for entry in sorted(os.listdir(folder)) if not entry.startswith(".")]
    folders = {name: os.path.join(folder, name) for name in inside}
    folders = {name: path for name, path in folders.items() if os.path.isdir(path)}
    if inside and not folders:
        return {os.path.basename(os.path.abspath(folder)): folder}
    return folders


def _sources_of_folder(folder, labels_folder):
    images = _images(folder) or _dicom_folders(folder)
    scans = {stem: path for stem, path in images.items() if "_seg" not in stem}
    labels = {stem: path for stem, path in images.items() if "_seg" in stem}
    if labels_folder is not None:
        if not os.path.isdir(labels_folder):
            raise InputError(f"{labels_folder}: is no folder of label images.")
        labels.update(_images(labels_folder))
    if not scans:
        raise InputError(
            f"{folder}: holds no scan; files ending in {', '.join(SCAN_ENDINGS)} or DICOM series "
            "were expected."
        )
    owned = {}
    for stem, path in labels.items():
        owner = _owner(stem, path, scans)
        if owner in owned:
            raise InputError(f"{path}: the scan {owner!r} already has the labels {owned[owner]}.")
        owned[owner] = path
    return [Source(stem, path, owned.get(stem)) for stem, path in scans.items()]


def _owner(stem, path, scans):
    """Returns the name of the scan to which the label image `stem` belongs."""
    base = stem.split("_seg")[0]
    for exact in (stem, base):
        if exact in scans:
            return exact
    matching = [name for name in scans if name.startswith(base + "_")]
    if len(matching) != 1:
        raise InputError(
            f"{path}: these labels belong to {len(matching) or 'no'} scans; one called "
            f"{base!r} or beginning with {base + '_'!r} was expected."
        )
    return matching[0]


def _sources_of_csv(path):
    folder = os.path.dirname(os.path.abspath(path))
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, restkey="", restval=""))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a CSV file ({error}).") from error
    if not rows:
        raise InputError(f"{path}: lists no scan.")
    columns = list(rows[0])
    unknown = [column for column in columns if column not in CSV_COLUMNS]
    if "image" not in columns or unknown:
        raise InputError(
            f"{path}: its first line must name the column image and may name labels, subset and "
            f"name; it has {', '.join(columns)}."
        )
    sources = []
    for number, row in enumerate(rows, start=2):
        image = row["image"].strip()
        if not image:
            raise InputError(f"{path}: line {number} names no image.")
        labels = (row.get("labels") or "").strip()
        sources.append(
            Source(
                name=(row.get("name") or "").strip() or _name_of(image),
                image=os.path.join(folder, image),
                labels=os.path.join(folder, labels) if labels else None,
                subset=(row.get("subset") or "").strip() or "train",
            )
        )
    return sources


def _name_of(path):
    return _split_ending(os.path.basename(os.path.normpath(path)))[0]
