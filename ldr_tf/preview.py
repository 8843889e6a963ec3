"""One picture of a registration: three orthogonal slices of everything worth a look."""

import numpy as np
import SimpleITK as sitk
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ldr_tf.files import atomic_path
from ldr_tf.imaging import (
    foreground_threshold,
    grid_of,
    resample,
    scale_intensity,
    to_array,
)
from ldr_tf.registration import apply_transform, displacement_transform

_BACKGROUND = "#101014"
_TEXT = "#e8e8ea"
_GRID = "#7fd4ff"
_COLUMNS = (
    "fixed",
    "moving",
    "warped moving",
    "|difference| before",
    "|difference| after",
    "deformation grid",
)
# Name, axis cut, axis across, axis down or up, whether that one points up, letters left and right.
# In the order LPS: x points to the patient's left, y to the back, z to the head.
_VIEWS = (
    ("axial", 2, 0, 1, False, "R", "L"),
    ("coronal", 1, 0, 2, True, "R", "L"),
    ("sagittal", 0, 1, 2, True, "A", "P"),
)
_MARGIN = 8.0
_LINES = 24


def write_preview(path, fixed, moving, result):
    """Writes the picture of a registration as PNG, atomically.

    Rows are the axial, coronal and sagittal slice through the middle of the fixed foreground, as
    a radiologist hangs them (the patient's right on the left, front up, head up; sagittal with
    the front on the left), voxels in proportion.

    Args:
      path: a file ending in .png.
      fixed, moving: the scans, SimpleITK images.
      result: the RegistrationResult of the two.
    """
    volumes, spacing, direction = _volumes(fixed, moving, result)
    low, high = _box(volumes["fixed"], spacing)
    extent = (high - low) * spacing
    width = max(extent[0], extent[1])
    heights = [extent[view[3]] for view in _VIEWS]
    panel = 2.6
    figure = Figure(
        figsize=(panel * len(_COLUMNS), panel * sum(heights) / width + 0.9), facecolor=_BACKGROUND
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        len(_VIEWS), len(_COLUMNS), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    top = 1 - 0.45 / figure.get_figheight()
    figure.subplots_adjust(0.03, 0.25 / figure.get_figheight(), 0.995, top, 0.03, 0.03)
    middle = (low + high) // 2
    for row, view in enumerate(_VIEWS):
        for column, name in enumerate(_COLUMNS):
            panel_axes = axes[row][column]
            _dress(panel_axes, view, extent, name if row == 0 else None, column == 0)
            _draw(panel_axes, name, view, volumes, middle, low, high, spacing, direction)
    caption = (
        f"correlation {_number(result.correlation_before)} before, "
        f"{_number(result.correlation_after)} after    folds {result.folds_percent:.3f} %"
    )
    figure.text(0.5, 0.06 / figure.get_figheight(), caption, color=_TEXT, fontsize=10, ha="center")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, facecolor=_BACKGROUND)


def _volumes(fixed, moving, result):
    """Returns the volumes to show, turned to LPS, and their spacing and direction matrix."""
    moving = sitk.Cast(moving, sitk.sitkFloat32)
    # Outside the moving scan its lowest value goes on: 0 would be bright in a CT.
    lowest = float(sitk.GetArrayViewFromImage(moving).min())
    shown = [fixed, resample(moving, grid_of(fixed), default=lowest)]
    transform = displacement_transform(result.displacement)
    shown.append(apply_transform(moving, fixed, transform, default=lowest))
    fixed, *both = [to_array(sitk.DICOMOrient(image, "LPS")) for image in shown]
    both = scale_intensity(np.stack(both), "percentile")
    volumes = {"fixed": scale_intensity(fixed, "percentile")}
    volumes.update(zip(("moving", "warped moving"), both))
    for name, other in (("before", "moving"), ("after", "warped moving")):
        volumes["|difference| " + name] = np.abs(volumes["fixed"] - volumes[other])
    field = sitk.DICOMOrient(result.displacement, "LPS")
    volumes["deformation grid"] = to_array(field)
    return volumes, np.array(field.GetSpacing()), np.reshape(field.GetDirection(), (3, 3))


def _box(array, spacing):
    """Returns the first voxel and the one after the last of the foreground, with a margin."""
    inside = array > foreground_threshold(array)
    low, high = np.zeros(3, int), np.array(array.shape)
    for axis in range(3):
        share = inside.mean(axis=tuple(a for a in range(3) if a != axis))
        found = np.flatnonzero(share > 0.002)
        if found.size:
            margin = int(np.ceil(_MARGIN / spacing[axis]))
            low[axis] = max(0, found[0] - margin)
            high[axis] = min(array.shape[axis], found[-1] + 1 + margin)
    return low, high


def _dress(axes, view, extent, title, first):
    name, _, across, along, up, left, right = view
    axes.set_facecolor(_BACKGROUND)
    axes.set_xlim(0, extent[across])
    axes.set_ylim((0, extent[along]) if up else (extent[along], 0))
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    if title:
        axes.set_title(title, color=_TEXT, fontsize=12, pad=6)
    if first:
        axes.set_ylabel(name, color=_TEXT, fontsize=12)
    for x, letter, side in ((0.02, left, "left"), (0.98, right, "right")):
        axes.text(
            x, 0.5, letter, transform=axes.transAxes, color=_TEXT, fontsize=9, ha=side, va="center"
        )


def _draw(axes, name, view, volumes, middle, low, high, spacing, direction):
    _, cut, across, along, _, _, _ = view
    window = [slice(first, last) for first, last in zip(low, high)]
    window[cut] = middle[cut]
    plane = volumes[name][tuple(window)]
    if name == "deformation grid":
        _draw_grid(axes, plane @ direction, across, along, spacing)
        return
    extent = (high - low) * spacing
    difference = name.startswith("|")
    axes.imshow(
        plane.T,
        cmap="inferno" if difference else "gray",
        vmin=0,
        vmax=160 if difference else 255,
        # Rows run along the axis `along`; the limits of _dress say which end is up.
        origin="lower",
        extent=(0, extent[across], 0, extent[along]),
        interpolation="bilinear",
        aspect="equal",
    )


def _draw_grid(axes, shift, across, along, spacing):
    """Draws the lines of the moving scan's straight grid as they lie on the fixed scan.

    `shift` is [across, along, 3], mm along the axes of the volume.
    """
    size = shift.shape[:2]
    places = np.meshgrid(*[np.arange(n) + 0.5 for n in size], indexing="ij")
    x, y = places[0] * spacing[across], places[1] * spacing[along]
    step = max(size[0] * spacing[across], size[1] * spacing[along]) / _LINES
    for place, axis in ((x, across), (y, along)):
        moved = place + shift[..., axis]
        levels = np.arange(np.floor(moved.min() / step), np.ceil(moved.max() / step) + 1) * step
        axes.contour(x, y, moved, levels=levels, colors=_GRID, linewidths=0.7)


def _number(value):
    return "-" if value is None else f"{value:.3f}"
