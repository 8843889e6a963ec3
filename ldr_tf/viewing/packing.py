"""Volumes as a page holds them: on coarser grids, as texts of base64 around packed NIfTI files."""

import base64
import gzip

import nibabel
import numpy as np

from ldr_tf.imaging import Grid
from ldr_tf.imaging.grid import network_axes

_TO_RAS = np.diag([-1.0, -1.0, 1.0])
_PACKING = 6


def reduced_grid(grid, longest):
    """Returns a Grid over the same space with axes that point about to R, A and S.

    Args:
      grid: the Grid of a scan.
      longest: voxels that the longest side may have; axes whose voxels are large already keep them.
        A side has two voxels at least.
    """
    order, direction = network_axes(grid, "RAS")
    extent, spacing = grid.extent[order], np.array(grid.spacing)[order]
    size = np.rint(extent / np.maximum(spacing, extent.max() / longest)).astype(int)
    size = np.maximum(size, 2)
    spacing = extent / size
    origin = grid.centre - direction @ ((size - 1) / 2 * spacing)
    return Grid(
        tuple(map(int, size)),
        tuple(map(float, spacing)),
        tuple(map(float, origin)),
        tuple(map(float, direction.ravel())),
    )


def pack(array, grid, slope=1.0, intercept=0.0):
    """Returns a volume as base64 of a gzipped NIfTI-1 file.

    Args:
      array: [x, y, z] or [x, y, z, frames], of the type that the file shall have.
      grid: its Grid.
      slope, intercept: what the file says of its numbers: value = slope * number + intercept.
    """
    affine = np.eye(4)
    affine[:3, :3] = _TO_RAS @ grid.steps
    affine[:3, 3] = _TO_RAS @ grid.origin
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    image.header.set_slope_inter(slope, intercept)
    content = _file_of(image)
    return base64.b64encode(gzip.compress(content, _PACKING, mtime=0)).decode("ascii")


def _file_of(image):
    """Returns the bytes of a NIfTI file; nibabel's own would scale the numbers anew."""
    header = image.header.copy()
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return header.binaryblock + bytes(4) + image.dataobj.tobytes(order="F")
