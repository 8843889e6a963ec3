"""One scan as it comes from a scanner or a study, brought to the data set's grid.

Each step is one of ldr_tf.imaging's, as in registration, so that training and use see the same:
reading, the grid (orientation, crop, spacing), resampling, intensities to whole numbers 0..255.
Attributes say how to go back; data/restoring.py does.
"""

import dataclasses
import hashlib
import json
import os
from typing import Optional

import numpy as np

from ldr_tf import config, imaging
from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.errors import InputError
from ldr_tf.notices import Notices

_VERSION = 2
"""To be raised when the same settings make something else."""
_BLOCK = 1 << 20
_TAIL = 0.05


@dataclasses.dataclass(frozen=True)
class Settings:
    """How scans are prepared, alike for all of a data set.

    Attributes:
      size: voxels along x, y, z.
      image: an ImageConfig, recorded in the data set's JSON.
      uneven: see `ldr_tf.imaging.dicom.read_series`.
      largest_label: label values above it become 0; None for none.
      points_space: "LPS" or "RAS", of the landmark files.
      grid: an imaging.Grid on which all are put, for scans that are aligned to each other; None
        puts each where its own region of `image.crop` is.
    """

    size: tuple[int, int, int]
    image: config.ImageConfig
    uneven: str = "refuse"
    largest_label: Optional[int] = None
    points_space: str = "LPS"
    grid: Optional[imaging.Grid] = None


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A scan on the data set's grid.

    Attributes:
      volume: uint8 [x, y, z].
      labels: integers [x, y, z], or None.
      points: name -> landmark in voxels, [3], negative where it lies outside the grid.
      attributes: name -> value, see `prepare_scan`.
    """

    volume: np.ndarray
    labels: Optional[np.ndarray]
    points: dict
    attributes: dict


def prepare_scan(source, settings):
    """Brings one scan, its labels and its landmarks to the grid.

    Where there are only labels, the volume shows them: their ranks as shades of gray.

    Args:
      source: a Source.
      settings: Settings.

    Returns:
      a Prepared. Its attributes: size, spacing, origin, direction of the grid (mm, LPS); the same
      with `source_` before it of the source; `crop`, first and last source index of the region
      that matters; `scaling`, the intensities that became 0 and 255; `source`, the file's name;
      `source_sha256`, of its content; `notices`, JSON of what the reading had to decide or assume,
      a list of {code, text, level}.

    Raises:
      InputError: as ldr_tf.imaging's reading; labels on another grid than the scan; no landmark
        inside the scan.
    """
    image, notices = None, Notices()
    if source.image is not None:
        image = imaging.read_scan(source.image, source.series, settings.uneven, notices)
    label_image, box = _read_labels(source, settings, image, notices)
    shown = label_image if image is None else image
    grid = settings.grid
    if grid is None:
        grid = imaging.network_grid(shown, settings.image, settings.size, labelled=box)
    labels = None
    if label_image is not None:
        labels = imaging.to_array(imaging.resample(label_image, grid, "nearest"))
        labels = _smallest_type(labels, source.labels)
    if image is None:
        volume, scaling = _ranks(labels), (0.0, INTENSITY_MAX)
    else:
        moved, method = imaging.resample_scan(image, grid), settings.image.intensity
        volume = imaging.scale_intensity(moved, method).astype(np.uint8)
        scaling = imaging.intensity_range(moved, method)
    points = _points(source, settings, shown, grid, notices)
    attributes = {
        "source": os.path.basename(os.path.normpath(source.path)),
        "source_sha256": content_digest(source.path),
        "crop": np.array(imaging.crop_box(shown, settings.image.crop, box)),
        "scaling": np.array(scaling, float),
        "painted": image is None,
        "notices": json.dumps([dataclasses.asdict(notice) for notice in notices]),
    }
    for prefix, where in (("", grid), ("source_", imaging.grid_of(shown))):
        for field in ("size", "spacing", "origin", "direction"):
            attributes[prefix + field] = getattr(where, field)
    return Prepared(volume, labels, points, attributes)


def content_digest(path):
    """Returns the SHA-256 of a file, or of the sorted files of a folder, in hexadecimal."""
    digest = hashlib.sha256()
    paths = [path]
    if os.path.isdir(path):
        names = sorted(os.listdir(path))
        paths = [os.path.join(path, n) for n in names if os.path.isfile(os.path.join(path, n))]
    for one in paths:
        with open(one, "rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                digest.update(block)
    return digest.hexdigest()


def fingerprint(source, settings):
    """Returns a digest of what a scan is made from, without reading it: settings and file dates."""
    about = [_VERSION, dataclasses.asdict(source), dataclasses.asdict(settings)]
    for path in filter(None, (source.image, source.labels, source.landmarks)):
        state = os.stat(path) if os.path.exists(path) else None
        about.append(state and [state.st_size, state.st_mtime_ns])
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _read_labels(source, settings, image, notices):
    """Returns the label image and the box around the labels, (first, last index); None, None."""
    if source.labels is None:
        return None, None
    label_image = imaging.read_labels(source.labels, notices=notices)
    if image is not None and not imaging.same_grid(image, label_image):
        raise InputError(f"{source.labels}: lies on another grid than {source.image}.")
    array = imaging.to_array(label_image)
    if settings.largest_label is not None:
        array = np.where(array > settings.largest_label, 0, array)
        label_image = imaging.to_image(array, label_image)
    inside = array != 0
    if not inside.any():
        raise InputError(f"{source.labels}: holds no label but 0.")
    return label_image, _label_box(inside)


def _label_box(inside):
    """Returns the box around labels, (first, last index); thin tails do not count.

    A slice counts from a twentieth of the fullest one's labels on: the box of a brain is not that
    of the brain and the spinal cord.
    """
    box = []
    for axis in range(3):
        filled = np.count_nonzero(inside, axis=tuple(other for other in range(3) if other != axis))
        box.append(np.flatnonzero(filled >= _TAIL * filled.max())[[0, -1]])
    return tuple(np.transpose(box))


def _points(source, settings, image, grid, notices):
    if source.landmarks is None:
        return {}
    points = imaging.read_points(source.landmarks, settings.points_space, notices)
    points = imaging.only_inside(points, image, source.landmarks, source.path, notices)
    voxels = grid.indices(points.positions)
    outside = ((voxels < 0) | (voxels > np.array(grid.size) - 1)).any(axis=1)
    voxels[outside] = -1.0
    return dict(zip(points.names, voxels))


def _ranks(labels):
    """Returns label values as shades of gray by rank, uint8, 0 staying 0."""
    values, places = np.unique(labels, return_inverse=True)
    shades = np.linspace(INTENSITY_MAX / 4, INTENSITY_MAX, len(values))
    shades[values == 0] = 0.0
    return np.rint(shades)[places].reshape(labels.shape).astype(np.uint8)


def _smallest_type(labels, path):
    """Returns labels as uint8 or uint16 where they fit, as int32 otherwise."""
    low, high = int(labels.min()), int(labels.max())
    for kind in (np.uint8, np.uint16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return labels.astype(kind)
    raise InputError(f"{path}: labels must fit 32 bits, not lie in {low}..{high}.")
