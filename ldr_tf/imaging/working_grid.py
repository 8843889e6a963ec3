"""The grid on which a scan is worked on: a network's, or one for work without a network."""

import numpy as np

from ldr_tf.imaging.arrays import to_array
from ldr_tf.imaging.foreground import crop_box, foreground_box
from ldr_tf.imaging.grid import Grid, grid_of, network_axes, straight_axes
from ldr_tf.imaging.resampling import resample

_STEP = 16
_COARSE = 4.0  # mm, at which an oblique scan is looked at along straight axes
_WORK_SPACING = 2.0
_WORK_EDGE = 112
_WORK_STEP = 8
_FINER = 0.75


def network_grid(fixed, image_config, size, free_size=False, labelled=None, box=None):
    """Returns the grid on which a network sees a fixed scan.

    With `image_config.spacing` its axes point exactly as `image_config.orientation` says, so that
    a head looks the same to the network however obliquely it was scanned or stored. Without it
    they are the scan's own, exchanged and turned round until they point so.

    The region that matters is what `image_config.crop` says. With `image_config.spacing` the grid
    has this spacing and is centred on the region; where that is the whole scan, along each axis
    on the scan if its field of view fits to within a voxel a side, else on the foreground's
    bounding box. Without it the region is fitted onto `size` voxels as `image_config.fit` says.

    Args:
      fixed: the scan, a SimpleITK image.
      image_config: an ImageConfig.
      size: voxels along the grid's axes.
      free_size: whether the network takes any size; with a spacing, a side on which the
        foreground does not fit then grows by a multiple of 32.
      labelled: first and last index of the box around the scan's labels, for the crop "labels".
      box: what `foreground_box` says of the scan, where that is known already.
    """
    source = grid_of(fixed)
    _, direction = network_axes(source, image_config.orientation)
    if image_config.spacing is not None:
        direction = straight_axes(image_config.orientation)
    # How much of the grid's axes a box along the scan's axes takes: no more than an exchange of
    # sides unless it is oblique.
    taken = np.abs(direction.T @ np.reshape(source.direction, (3, 3))).round(12)
    extent, centre, size = taken @ source.extent, source.centre, np.array(size)
    if image_config.crop == "labels" and labelled is not None:
        low, high = crop_box(fixed, "labels", labelled)
        extent = taken @ ((high - low + 1) * source.spacing)
        centre = source.points((low + high) / 2)
    elif image_config.crop != "none":
        centre, extent = _foreground_region(fixed, direction, box)
    if image_config.spacing is None:
        spacing = extent / size
        if image_config.fit == "isotropic":
            spacing = np.full(3, spacing.max())
    elif image_config.crop != "none":
        spacing = np.array(image_config.spacing)
        if free_size:
            size = _grown(size, extent / spacing)
    else:
        spacing = np.array(image_config.spacing)
        # The scan's centre and the box's differ by this much along the grid's axes.
        offset, needed = np.zeros(3), extent
        cut = extent > (size + 2) * spacing
        if cut.any():
            middle, needed = _foreground_region(fixed, direction, box)
            offset = direction.T @ (middle - source.centre)
        if free_size:
            size = np.where(cut, _grown(size, needed / spacing), size)
        centre = centre + direction @ np.where(cut, offset, 0.0)
    origin = centre - direction @ ((size - 1) / 2 * spacing)
    return Grid(
        tuple(int(n) for n in size),
        tuple(float(s) for s in spacing),
        tuple(float(o) for o in origin),
        tuple(float(d) for d in direction.ravel()),
    )


def foreground_grid(fixed, box=None):
    """Returns a grid for work without a network: over the fixed scan's foreground.

    Its axes are the scan's own, turned towards L, P, S. The spacing is 2 mm, coarser where that
    would make more than some 1.4 million voxels, finer for things so small that it would make less
    than 64 voxels a side, never finer than the scan. Sides are multiples of 8, so that scans of a
    kind share few sizes, for each of which functions are compiled.

    Args:
      fixed: the scan, a SimpleITK image.
      box: what `foreground_box` says of it, where that is known already.
    """
    source = grid_of(fixed)
    order, direction = network_axes(source, "LPS")
    low, high = foreground_box(fixed) if box is None else box
    extent = ((high - low + 1) * source.spacing)[order]
    spacing = _work_spacing(extent, source)
    size = (np.ceil(extent / spacing / _WORK_STEP - 1e-6) * _WORK_STEP).astype(int)
    origin = source.points((low + high) / 2) - direction @ ((size - 1) / 2 * spacing)
    return Grid(
        tuple(int(n) for n in size),
        (spacing,) * 3,
        tuple(float(o) for o in origin),
        tuple(float(d) for d in direction.ravel()),
    )


def refinement_grid(fixed, moving, box=None):
    """Returns the grid on which two scans are refined.

    That of `foreground_grid`; where the voxels of both scans are smaller than that (the cube roots
    of their volumes at most three quarters of its spacing), with each of its voxels cut in eight.

    Args:
      fixed, moving: the scans, SimpleITK images.
      box: what `foreground_box` says of the fixed scan, where that is known already.
    """
    grid = foreground_grid(fixed, box)
    if max(_edge(scan.GetSpacing()) for scan in (fixed, moving)) > _FINER * grid.spacing[0]:
        return grid
    return grid.resized([2 * size for size in grid.size])


def is_fine(grid, fixed, box=None):
    """Whether a grid's voxels are finer than the spacing with which work on a scan begins.

    At most three quarters of that of `foreground_grid`, whose arguments the others are.
    """
    low, high = foreground_box(fixed) if box is None else box
    source = grid_of(fixed)
    extent = (high - low + 1) * source.spacing
    return bool(_edge(grid.spacing) <= _FINER * _work_spacing(extent, source))


def _work_spacing(extent, source):
    """Returns the spacing, mm, for a region of some extent along the axes of a scan's grid."""
    edge = _edge(extent)
    return max(min(_WORK_SPACING, edge / 64), edge / _WORK_EDGE, min(source.spacing))


def _edge(sides):
    """Returns the side of the cube that is as large as a box."""
    return float(np.prod(sides) ** (1 / 3))


def _grown(size, needed):
    """Returns the sizes, those that are below what is needed enlarged by multiples of 32.

    Half of 32 on either side: what lies in the middle stays where it was to strided layers, which
    tell places by their remainder of 16.
    """
    step = 2 * _STEP
    missing = np.maximum(needed - size, 0)
    return size + (np.ceil(missing / step - 1e-6) * step).astype(int)


def _foreground_region(image, direction, box=None):
    """Returns the box around head or body along the columns of `direction`, a 3x3 matrix.

    `box` is what `foreground_box` says of the image, where that is known already.

    Returns:
      Its centre (mm, LPS) and its sides (mm). Of an oblique scan it is the box around what is seen
      along those axes, not around the scan's own box, which would be larger.
    """
    grid = grid_of(image)
    taken = np.abs(direction.T @ np.reshape(grid.direction, (3, 3))).round(12)
    if not np.isin(taken, (0.0, 1.0)).all():
        size = np.ceil(taken @ grid.extent / _COARSE)
        origin = grid.centre - direction @ ((size - 1) / 2 * _COARSE)
        straight = Grid(
            tuple(int(n) for n in size), (_COARSE,) * 3, tuple(origin), tuple(direction.ravel())
        )
        image = resample(image, straight, default=float(to_array(image).min()))
        grid, taken, box = grid_of(image), np.eye(3), None
    low, high = foreground_box(image) if box is None else box
    return grid.points((low + high) / 2), taken @ ((high - low + 1) * grid.spacing)
