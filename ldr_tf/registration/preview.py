"""One picture of a registration: three orthogonal slices of everything worth a look."""

import dataclasses

import numpy as np
import SimpleITK as sitk
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from ldr_tf.evaluation.scans import jacobian_image
from ldr_tf.files import atomic_path
from ldr_tf.imaging import (
    Grid,
    apply_displacement,
    array_view,
    foreground_threshold,
    grid_of,
    scale_intensity,
    to_array,
)
from ldr_tf.imaging.grid import network_axes

_BACKGROUND = "#101014"
_TEXT = "#e8e8ea"
_GRID = "#7fd4ff"
_JACOBIAN = "Jacobian"
_DEFORMATION = "deformation grid"
_CHECKERS = "checkerboard"
_COLUMNS = (
    "fixed",
    "moving",
    "warped moving",
    "|difference| before",
    "|difference| after",
    _CHECKERS,
    _DEFORMATION,
    _JACOBIAN,
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
_SQUARES = 6
# Inches; a row is never lower than its name is long.
_PANEL, _LEAST = 2.3, 0.8
_LEFT, _RIGHT, _GAP = 0.3, 0.85, 0.06
_TOP, _BOTTOM = 0.4, 0.3
# Least, none, most that the scale of volumes tells apart; folds lie below.
_VOLUME_CHANGE = (1e-6, 1.0, 3.0)
_WRITING = {"color": _TEXT, "fontsize": 12, "ha": "center", "va": "center"}
_TICKS = (1e-6, 0.5, 1.0, 2.0, 3.0)


@dataclasses.dataclass(frozen=True)
class _Slice:
    """The volumes in one view, [across, along], and the shift [across, along, 3] in mm."""

    gray: dict
    shift: np.ndarray
    jacobian: np.ndarray


@dataclasses.dataclass(frozen=True)
class _Panel:
    """Where a slice is drawn: inches on the page, and inches a millimetre."""

    middle: tuple
    width: float
    height: float
    scale: float

    def sides(self):
        """Returns the left and right edge, and the lower and upper one."""
        (x, y), half = self.middle, (self.width / 2, self.height / 2)
        return (x - half[0], x + half[0]), (y - half[1], y + half[1])


def write_preview(path, fixed, moving, result):
    """Writes the picture of a registration as PNG, atomically.

    Rows are the axial, coronal and sagittal slice through the middle of the fixed foreground, as
    a radiologist hangs them (the patient's right on the left, front up, head up; sagittal with
    the front on the left), voxels in proportion. The checkerboard's squares are of the fixed and
    the warped scan in turn; the Jacobian is white where the volume stays, blue where it shrinks,
    red where it grows, black where the mapping folds.

    Args:
      path: a file ending in .png.
      fixed, moving: the scans, SimpleITK images.
      result: the RegistrationResult of the two.
    """
    array, grid = _upright(fixed)
    low, high = _box(array, np.array(grid.spacing))
    extent = (high - low) * grid.spacing
    middle = (low + high) // 2
    windows = [_window(middle, low, high, view) for view in _VIEWS]
    slices = _slices(windows, grid, fixed, moving, result)
    figure, page, panels, scale = _layout(extent)
    direction = np.reshape(grid.direction, (3, 3))
    for row, view in enumerate(_VIEWS):
        page.text(_LEFT / 2, panels[row][0].middle[1], view[0], **_WRITING, rotation=90)
        for panel, name in zip(panels[row], _COLUMNS):
            _draw(page, panel, name, view, slices[row], grid.spacing, direction)
            _letter(page, panel, view)
    for panel, name in zip(panels[0], _COLUMNS):
        page.text(panel.middle[0], figure.get_figheight() - _TOP / 2, name, **_WRITING)
    _scale(figure, scale)
    caption = (
        f"correlation {_number(result.correlation_before)} before, "
        f"{_number(result.correlation_after)} after    folds {result.folds_percent:.3f} %"
    )
    figure.text(0.5, 0.07 / figure.get_figheight(), caption, color=_TEXT, fontsize=10, ha="center")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100, facecolor=_BACKGROUND, pil_kwargs={"compress_level": 1})


def _upright(image):
    """Returns the voxels of an image as a view whose axes point towards L, P, S, and its Grid."""
    source = grid_of(image)
    order, direction = network_axes(source, "LPS")
    array, corner = array_view(image).transpose(order), np.zeros(3)
    for axis, old in enumerate(order):
        if direction[:, axis] @ np.reshape(source.direction, (3, 3))[:, old] < 0:
            array, corner[old] = np.flip(array, axis), source.size[old] - 1
    spacing = tuple(source.spacing[old] for old in order)
    origin = tuple(map(float, source.points(corner)))
    return array, Grid(array.shape, spacing, origin, tuple(map(float, direction.ravel())))


def _layout(extent):
    """Returns the figure, axes in inches over all of it, panels [row][column], the scale's axes.

    One pair of axes for all slices: each further one would cost more than what it shows.
    """
    width = max(extent[0], extent[1])
    heights = [max(_LEAST, _PANEL * extent[view[3]] / width) for view in _VIEWS]
    total = _TOP + sum(heights) + 2 * _GAP + _BOTTOM
    across = _LEFT + len(_COLUMNS) * (_PANEL + _GAP) + _RIGHT
    figure = Figure(figsize=(across, total), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    page = figure.add_axes((0, 0, 1, 1), xlim=(0, across), ylim=(0, total))
    page.set_axis_off()
    panels, top = [], total - _TOP
    for height, view in zip(heights, _VIEWS):
        scale = min(_PANEL / extent[view[2]], height / extent[view[3]])
        row = []
        for column in range(len(_COLUMNS)):
            middle = (_LEFT + column * (_PANEL + _GAP) + _PANEL / 2, top - height / 2)
            row.append(_Panel(middle, extent[view[2]] * scale, extent[view[3]] * scale, scale))
        panels.append(row)
        top -= height + _GAP
    inner = total - _TOP - _BOTTOM
    place = (across - _RIGHT + 0.2, _BOTTOM + 0.15 * inner, 0.12, 0.7 * inner)
    scale = figure.add_axes(np.divide(place, (across, total, across, total)))
    return figure, page, panels, scale


def _window(middle, low, high, view):
    """Returns the voxels of a view, a slice an axis, of which one is a single voxel wide."""
    return tuple(
        slice(int(middle[axis]), int(middle[axis]) + 1)
        if axis == view[1]
        else slice(int(low[axis]), int(high[axis]))
        for axis in range(3)
    )


def _slices(windows, grid, fixed, moving, result):
    """Returns the three views; only their voxels are looked up."""
    # Outside the moving scan its lowest value goes on: 0 would be bright in a CT.
    lowest = float(sitk.GetArrayViewFromImage(moving).min())
    found = []
    for window in windows:
        size = tuple(part.stop - part.start for part in window)
        origin = grid.points([part.start for part in window])
        place = Grid(size, grid.spacing, tuple(origin), grid.direction)
        # The planes lie on voxels of the fixed grid: the nearest one is the one.
        field = _look_up(result.displacement, place, sitk.sitkNearestNeighbor)
        planes = [
            _look_up(fixed, place, sitk.sitkNearestNeighbor),
            _look_up(moving, place, sitk.sitkLinear, lowest),
            apply_displacement(moving, field, default=lowest),
            field,
            _look_up(_jacobian_about(result.displacement, place), place, sitk.sitkNearestNeighbor),
        ]
        found.append([to_array(plane) for plane in planes])
    # One scaling for the three slices of a scan; the warped scan has the moving one's.
    scaled = []
    for scans in ([planes[0] for planes in found], [p for planes in found for p in planes[1:3]]):
        values = scale_intensity(np.concatenate([plane.ravel() for plane in scans]), "percentile")
        ends = np.cumsum([plane.size for plane in scans])[:-1]
        parts = np.split(values, ends)
        scaled.append([part.reshape(plane.shape) for part, plane in zip(parts, scans)])
    slices = []
    for row, planes in enumerate(found):
        gray = dict(zip(("moving", "warped moving"), scaled[1][2 * row : 2 * row + 2]))
        gray["fixed"] = scaled[0][row]
        for name, other in (("before", "moving"), ("after", "warped moving")):
            gray["|difference| " + name] = np.abs(gray["fixed"] - gray[other])
        gray[_CHECKERS] = _checkerboard(gray["fixed"], gray["warped moving"], grid.spacing)
        gray = {name: plane.squeeze(_VIEWS[row][1]) for name, plane in gray.items()}
        slices.append(
            _Slice(gray, planes[3].squeeze(_VIEWS[row][1]), planes[4].squeeze(_VIEWS[row][1]))
        )
    return slices


def _jacobian_about(field, place):
    """Returns the Jacobian determinant at the voxels of a field that lie in a plane."""
    grid = grid_of(field)
    ends = grid.indices(place.points([[0, 0, 0], np.array(place.size) - 1]))
    # The next voxels take part; at the last plane there are none, and the one before stands for it.
    last = np.array(grid.size) - 1
    high = np.minimum(np.rint(ends.max(axis=0)).astype(int) + 1, last)
    low = np.minimum(np.rint(ends.min(axis=0)).astype(int), last - 1)
    return jacobian_image(field[tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high))])


def _look_up(image, place, kind, default=0.0):
    return sitk.Resample(
        image,
        place.size,
        sitk.Transform(),
        kind,
        place.origin,
        place.spacing,
        place.direction,
        default,
    )


def _checkerboard(first, second, spacing):
    """Returns two volumes in turn, in squares of a sixth of the longest side."""
    square = max(np.multiply(first.shape, spacing)) / _SQUARES
    index = np.indices(first.shape) * np.reshape(spacing, (3, 1, 1, 1)) // square
    return np.where(index.sum(axis=0) % 2 == 0, first, second)


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


def _letter(page, panel, view):
    """Writes the patient's sides at the left and right edge of a panel."""
    x, y = panel.middle
    inset = 0.48 * panel.width
    for place, letter, side in ((x - inset, view[5], "left"), (x + inset, view[6], "right")):
        page.text(place, y, letter, color=_TEXT, fontsize=9, ha=side, va="center")


def _draw(page, panel, name, view, found, spacing, direction):
    _, _, across, along, up, _, _ = view
    if name == _DEFORMATION:
        _draw_grid(page, panel, found.shift @ direction, across, along, up, spacing)
        return
    if name == _JACOBIAN:
        look = {"cmap": _colours(), "norm": _change_norm()}
        plane = found.jacobian
    else:
        difference = name.startswith("|")
        look = {
            "cmap": "inferno" if difference else "gray",
            "vmin": 0,
            "vmax": 160 if difference else 255,
        }
        plane = found.gray[name]
    (left, right), (bottom, top) = panel.sides()
    page.imshow(
        plane.T if up else plane.T[::-1],
        origin="lower",
        extent=(left, right, bottom, top),
        interpolation="nearest" if name in (_JACOBIAN, _CHECKERS) else "bilinear",
        aspect="auto",
        **look,
    )


def _change_norm():
    low, middle, high = _VOLUME_CHANGE
    return TwoSlopeNorm(middle, low, high)


def _colours():
    """Returns the diverging map; folds, at or below its lower end, are black."""
    return colormaps["RdBu_r"].with_extremes(under="black")


def _scale(figure, place):
    """Draws the scale of the Jacobian at the right edge."""
    colours = ScalarMappable(_change_norm(), _colours())
    bar = figure.colorbar(colours, cax=place, extend="min", ticks=_TICKS)
    bar.ax.set_yticklabels([f"{tick:.1f}" for tick in _TICKS])
    bar.ax.tick_params(colors=_TEXT, labelsize=9, length=2)
    bar.outline.set_visible(False)
    bar.ax.set_title("volume\nchange", color=_TEXT, fontsize=9, pad=6)
    bar.ax.set_xlabel("fold", color=_TEXT, fontsize=9)


def _draw_grid(page, panel, shift, across, along, up, spacing):
    """Draws the lines of the moving scan's straight grid as they lie on the fixed scan.

    `shift` is [across, along, 3], mm along the axes of the volume.
    """
    size = shift.shape[:2]
    places = np.meshgrid(*[np.arange(n) + 0.5 for n in size], indexing="ij")
    x, y = places[0] * spacing[across], places[1] * spacing[along]
    (left, _), (bottom, top) = panel.sides()
    columns = left + x * panel.scale
    rows = bottom + y * panel.scale if up else top - y * panel.scale
    step = max(size[0] * spacing[across], size[1] * spacing[along]) / _LINES
    for place, axis in ((x, across), (y, along)):
        moved = place + shift[..., axis]
        levels = np.arange(np.floor(moved.min() / step), np.ceil(moved.max() / step) + 1) * step
        page.contour(columns, rows, moved, levels=levels, colors=_GRID, linewidths=0.7)


def _number(value):
    return "-" if value is None else f"{value:.3f}"
