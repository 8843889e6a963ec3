"""Which scans there are to prepare: in a folder, or in a CSV list."""

import csv
import dataclasses
import fnmatch
import io
import os
from typing import Optional

from ldr_tf.errors import InputError
from ldr_tf.files import read_text
from ldr_tf.imaging.endings import SCAN_ENDINGS, VOXELS, scan_stem, split_ending

CSV_COLUMNS = ("image", "labels", "landmarks", "subset", "name", "series")

_LABELS, _LANDMARKS = "_seg", "_landmarks.csv"
# Files with these endings do not make a folder a DICOM series.
_NO_SLICES = (".csv", ".txt", ".json", ".md", ".npz", ".npy", ".png", ".jpg", ".pdf", ".h5")


@dataclasses.dataclass(frozen=True)
class Source:
    """A scan to prepare.

    Attributes:
      name: its key in the data set.
      image: path of the scan, a file or a folder with a DICOM series; None: only labels are there.
      labels: path of its label image, or None.
      subset: the subset it goes to.
      landmarks: path of its landmarks, CSV, or None.
      series: which series of a DICOM folder, see `ldr_tf.imaging.dicom.read_series`; or None.
    """

    name: str
    image: Optional[str]
    labels: Optional[str] = None
    subset: str = "train"
    landmarks: Optional[str] = None
    series: Optional[str] = None

    @property
    def path(self):
        """The scan's path, or its labels' where there are only labels."""
        return self.image or self.labels


def find_sources(path, labels_folder=None, label_maps=None, series=None):
    """Lists the scans of a folder or of a CSV file.

    Folder: every NIfTI, MHA, MHD, NRRD, Analyze or FreeSurfer file in it and in the folders inside,
    sorted, links to folders last and each folder once; a file in a folder inside is called
    FOLDER_FILE. A file with "_seg" in its name is no
    scan but the labels of the scan beside it that is called as its part before "_seg", alone or
    followed by "_" and more (0001_seg35 belongs to 0001_norm); "_landmarks.csv" does the same for
    landmarks. Labels may lie in `labels_folder` instead, under the same rule or under the scan's
    own name. A folder at the end of the tree without any such file is a DICOM series. All go to
    the subset "train".

    CSV: the column image, and where wanted labels, landmarks, subset ("train" when empty), name
    (the file's name when empty) and series; paths are relative to the CSV's folder. A line with
    labels and no image is a label map.

    Args:
      path: the folder or the CSV file.
      labels_folder: folder of label images.
      label_maps: pattern such as "map_*": files of a folder that are label maps without a scan.
      series: which series of DICOM folders, where the CSV does not say.

    Raises:
      InputError: nothing there, columns missing or unknown, two scans of one name or a name with
        "/", labels that belong to no scan or to several.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        sources = _sources_of_folder(path, labels_folder, label_maps)
    elif path.lower().endswith(".csv"):
        sources = _sources_of_csv(path)
    else:
        raise InputError(f"{path}: a folder of scans or a CSV list was expected.")
    seen = {}
    for source in sources:
        if "/" in source.name or source.name in ("", ".", ".."):
            raise InputError(f"{path}: a scan's name must be without '/', not {source.name!r}.")
        if source.name in seen:
            raise InputError(
                f"{path}: two scans are called {source.name!r}: {seen[source.name]} and "
                f"{source.path}."
            )
        seen[source.name] = source.path
    return [dataclasses.replace(source, series=source.series or series) for source in sources]


def passed_over(folder, sources):
    """Returns the paths of a folder's files that belong to no scan and that nothing here reads."""
    folder = os.fspath(folder)
    series = {source.image for source in sources if source.image and os.path.isdir(source.image)}
    found = []
    for place, _, names in _walk(folder):
        for name in sorted(names):
            known = split_ending(name)[1] or name.lower().endswith((_LANDMARKS, *VOXELS))
            if not known and not name.startswith(".") and place not in series:
                found.append(os.path.join(place, name))
    return found


def _walk(folder, without=None):
    """Yields (folder, names of folders in it, names of files) as os.walk does, each folder once.

    Links to folders are followed after all folders that are none, but not those to a folder in
    which `folder` itself lies. Names that begin with a dot, and the folder `without`, are left out.
    """
    root = os.path.realpath(folder)
    seen, starts = set(), [folder]
    while starts:
        start, links = starts.pop(0), []
        for place, folders, names in os.walk(start):
            real = os.path.realpath(place)
            if real in seen or (real != root and os.path.commonpath([real, root]) == real):
                folders[:] = []
                continue
            seen.add(real)
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".") and not _is_same(os.path.join(place, name), without)
            )
            yield place, list(folders), names
            paths = [os.path.join(place, name) for name in folders]
            links += [path for path in paths if os.path.islink(path)]
        starts += links


def _images(folder, names, prefix=""):
    """Returns stem -> path of the image files of a folder, refusing two of one stem."""
    found = {}
    for name in sorted(names):
        stem, ending = split_ending(name)
        path = os.path.join(folder, name)
        if ending and not name.startswith("."):
            stem = prefix + stem
            if stem in found:
                raise InputError(f"{folder}: two scans are called {stem!r}: {found[stem]}, {path}.")
            found[stem] = path
    return found


def _files(folder):
    return [name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))]


def _sources_of_folder(folder, labels_folder, label_maps):
    if labels_folder is not None and not os.path.isdir(labels_folder):
        raise InputError(f"{labels_folder}: is no folder of label images.")
    sources = []
    for place, folders, names in _walk(folder, labels_folder):
        inside = os.path.relpath(place, folder)
        prefix = "" if inside == "." else inside.replace(os.sep, "_") + "_"
        found = _sources_of_one_folder(place, names, prefix, label_maps)
        if not found and not folders and any(_may_be_slice(name) for name in names):
            found = [Source(prefix[:-1] or os.path.basename(os.path.abspath(folder)), place)]
        sources += found
    if not sources:
        raise InputError(
            f"{folder}: holds no scan; files ending in {', '.join(SCAN_ENDINGS)} or DICOM series "
            "were expected."
        )
    if labels_folder is not None:
        labels = _images(labels_folder, _files(labels_folder))
        sources = _with(sources, "labels", labels, _LABELS)
    return sources


def _is_same(folder, other):
    return other is not None and os.path.samefile(folder, other)


def _may_be_slice(name):
    return not name.startswith(".") and not name.lower().endswith(_NO_SLICES)


def _sources_of_one_folder(folder, names, prefix, label_maps):
    images = _images(folder, names, prefix)
    maps = {
        stem
        for stem, path in images.items()
        if label_maps and fnmatch.fnmatch(os.path.basename(path), label_maps + "*")
    }
    sources = [
        Source(stem, None, path) if stem in maps else Source(stem, path)
        for stem, path in images.items()
        if stem in maps or _LABELS not in stem[len(prefix) :]
    ]
    labels = {
        stem: path
        for stem, path in images.items()
        if stem not in maps and _LABELS in stem[len(prefix) :]
    }
    landmarks = {
        prefix + name[: -len(".csv")]: os.path.join(folder, name)
        for name in sorted(names)
        if name.lower().endswith(_LANDMARKS) and not name.startswith(".")
    }
    sources = _with(sources, "labels", labels, _LABELS)
    return _with(sources, "landmarks", landmarks, _LANDMARKS[: -len(".csv")])


def _with(sources, field, files, mark):
    """Gives each file, stem -> path, to the source to which it belongs."""
    scans = {source.name: source for source in sources if source.image is not None}
    for stem, path in files.items():
        owner = _owner(stem, path, scans, mark)
        earlier = getattr(scans[owner], field)
        if earlier is not None:
            raise InputError(f"{path}: the scan {owner!r} already has the {field} {earlier}.")
        scans[owner] = dataclasses.replace(scans[owner], **{field: path})
    return [scans.get(source.name, source) for source in sources]


def _owner(stem, path, scans, mark):
    """Returns the name of the scan to which the file `stem` belongs."""
    base = stem.split(mark)[0]
    for exact in (stem, base):
        if exact in scans:
            return exact
    matching = [name for name in scans if name.startswith(base + "_")]
    if len(matching) != 1:
        kind = "labels" if mark == _LABELS else "landmarks"
        raise InputError(
            f"{path}: these {kind} belong to {len(matching) or 'no'} scans; one called "
            f"{base!r} or beginning with {base + '_'!r} was expected."
        )
    return matching[0]


def _sources_of_csv(path):
    folder = os.path.dirname(os.path.abspath(path))
    text = read_text(path)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as a CSV file ({error}).") from error
    if not rows:
        raise InputError(f"{path}: lists no scan.")
    columns = reader.fieldnames
    known = all(column in CSV_COLUMNS for column in columns)
    if "image" not in columns or not known or len(set(columns)) < len(columns):
        raise InputError(
            f"{path}: its first line must name the column image and may name "
            f"{', '.join(CSV_COLUMNS[1:])}, each once; it has {', '.join(columns)}."
        )
    return [_source_of_row(path, folder, number, row) for number, row in rows]


def _source_of_row(path, folder, number, row):
    if any(row.pop(None, [])):
        raise InputError(f"{path}: line {number} has more values than the first line has columns.")
    value = {column: (row.get(column) or "").strip() for column in CSV_COLUMNS}
    if any("\0" in text for text in value.values()):
        raise InputError(f"{path}: line {number} holds the character 0.")
    if not value["image"] and not value["labels"]:
        raise InputError(f"{path}: line {number} names no image.")
    image, labels, landmarks = (
        os.path.join(folder, value[field]) if value[field] else None
        for field in ("image", "labels", "landmarks")
    )
    return Source(
        name=value["name"] or _name_of(value["image"] or value["labels"]),
        image=image,
        labels=labels,
        subset=value["subset"] or "train",
        landmarks=landmarks,
        series=value["series"] or None,
    )


def _name_of(path):
    return scan_stem(path)
