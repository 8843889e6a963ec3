"""Overview of a prepared data set: a table, and a picture of middle slices."""

import csv

import h5py
import numpy as np
import SimpleITK as sitk
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from data.restoring import prepared_grid, source_grid
from ldr_tf import imaging
from ldr_tf.files import atomic_path

COLUMNS = (
    "name",
    "subset",
    "problem",
    "source",
    "source_size",
    "source_spacing",
    "source_orientation",
    "spacing",
    "scaling",
    "mean",
    "foreground_percent",
    "labels",
    "landmarks",
    "seconds",
)
SHOWN = 120
"""Most scans in a picture; of larger data sets every n-th scan is shown."""

# Axis cut, axis across, axis down or up, whether that one points up; in the order LPS.
_VIEWS = ((2, 0, 1, False), (1, 0, 2, True), (0, 1, 2, True))
_TILE = 128
_BACKGROUND, _TEXT = "#101014", "#e8e8ea"


def write_summary(path, outcomes, volumes):
    """Writes one line per scan as CSV; for scans that were left out it tells the problem.

    Args:
      path: the CSV file.
      outcomes: `data.assembly.Outcome` of each scan.
      volumes: the HDF5 file.
    """
    rows = []
    with h5py.File(volumes, "r") as file:
        for outcome in outcomes:
            row = {
                "name": outcome.source.name,
                "subset": outcome.source.subset,
                "problem": outcome.problem or "",
                "seconds": f"{outcome.seconds:.2f}",
            }
            rows.append(row if outcome.problem else {**row, **_facts(file[outcome.source.name])})
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def _facts(group):
    volume, attributes = group["volume"][()], group.attrs
    source = source_grid(attributes)
    row = {
        "source": attributes["source"],
        "source_size": "x".join(map(str, source.size)),
        "source_spacing": _numbers(source.spacing),
        "source_orientation": imaging.orientation_of(source.direction),
        "spacing": _numbers(attributes["spacing"]),
        "scaling": _numbers(attributes["scaling"]),
        "mean": f"{volume.mean():.1f}",
        "foreground_percent": f"{100 * np.count_nonzero(volume) / volume.size:.1f}",
    }
    if "segmentation" in group:
        row["labels"] = np.count_nonzero(np.unique(group["segmentation"]))
    if "point" in group:
        row["landmarks"] = int(np.count_nonzero((group["point"][()] >= 0).all(axis=1)))
    return row


def _numbers(values):
    return " ".join(f"{value:.4g}" for value in values)


def write_contact_sheet(path, names, volumes):
    """Draws the axial, coronal and sagittal middle slice of each scan in radiological orientation.

    The patient's right is on the left, front or head up; sagittal slices have the front on the
    left. Voxels are in proportion, the borders of labels coloured.

    Args:
      path: a file ending in .png.
      names: of the scans.
      volumes: the HDF5 file.
    """
    names = list(names)
    step = max(1, int(np.ceil(len(names) / SHOWN)))
    shown = names[::step]
    columns = int(np.ceil(np.sqrt(len(shown) / 2)))
    rows = int(np.ceil(len(shown) / columns))
    figure = Figure(figsize=(columns * 4.0, rows * 1.55), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    with h5py.File(volumes, "r") as file:
        for index, name in enumerate(shown):
            panel = figure.add_subplot(rows, columns, index + 1)
            panel.imshow(np.hstack(_slices(file[name])), interpolation="nearest")
            panel.set_title(name, color=_TEXT, fontsize=7, pad=2)
            panel.axis("off")
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.2 / (rows * 1.55), wspace=0.02, hspace=0.16)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, facecolor=_BACKGROUND)


def _slices(group):
    """Returns the three slices as square tiles of the same scale, RGB 0..1."""
    grid = prepared_grid(group.attrs)
    volume = _upright(group["volume"][()], grid)
    labels = _upright(group["segmentation"][()], grid) if "segmentation" in group else None
    array, extent = imaging.to_array(volume), np.array(imaging.grid_of(volume).extent)
    tiles = []
    for cut, across, along, upwards in _VIEWS:
        plane = _plane(array, cut, across, along, upwards, extent)
        tile = np.repeat(plane[..., None] / 255.0, 3, axis=-1)
        if labels is not None:
            marks = _plane(imaging.to_array(labels), cut, across, along, upwards, extent)
            border = np.zeros(marks.shape, bool)
            border[1:] |= marks[1:] != marks[:-1]
            border[:, 1:] |= marks[:, 1:] != marks[:, :-1]
            colours = colormaps["hsv"]((marks.astype(int) * 37 % 256) / 255.0)[..., :3]
            tile[border] = 0.5 * tile[border] + 0.5 * colours[border]
        tiles.append(tile)
    return tiles


def _upright(array, grid):
    return sitk.DICOMOrient(imaging.to_image(array, grid), "LPS")


def _plane(array, cut, across, along, upwards, extent):
    """Returns the middle slice [down, across], a tile as wide as the scan's longest extent."""
    plane = np.take(array, array.shape[cut] // 2, axis=cut).T
    plane = plane[::-1] if upwards else plane
    scale = extent.max() / _TILE
    rows, columns = (
        np.floor((np.arange(_TILE) - _TILE / 2 + 0.5) * scale / (mm / count) + count / 2)
        for mm, count in ((extent[along], plane.shape[0]), (extent[across], plane.shape[1]))
    )
    inside = np.outer(
        (rows >= 0) & (rows < plane.shape[0]), (columns >= 0) & (columns < plane.shape[1])
    )
    rows = np.clip(rows, 0, plane.shape[0] - 1).astype(int)
    columns = np.clip(columns, 0, plane.shape[1] - 1).astype(int)
    return np.where(inside, plane[np.ix_(rows, columns)], 0)
