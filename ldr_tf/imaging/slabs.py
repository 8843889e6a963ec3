"""Large volumes piece by piece: slabs of slices, so that what is computed fits beside them."""

import collections
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging.arrays import to_image
from ldr_tf.imaging.grid import Grid

_VOXELS = 1 << 20
"""Of a slab, about. As many slabs as there are cores are worked on at a time, and a field's voxel
takes some hundred bytes then."""


def slabs(grid, overlap=0):
    """Yields (first slice, slice after the last) of slabs that cover a grid along its third axis.

    Args:
      grid: a Grid.
      overlap: slices that the next slab has in common with one.
    """
    step = max(1, _VOXELS // (grid.size[0] * grid.size[1]))
    for start in range(0, grid.size[2] - overlap, step):
        yield start, min(start + step + overlap, grid.size[2])


def slab_of(grid, start, stop):
    """Returns the Grid of the slices `start` to `stop` (the latter left out) of a grid."""
    origin = grid.points([0, 0, start])
    size = (grid.size[0], grid.size[1], stop - start)
    return Grid(size, grid.spacing, tuple(float(mm) for mm in origin), grid.direction)


def in_threads(function, pieces):
    """Yields function(*piece) of each piece, in order, computed on all of the machine's cores.

    No more results than cores wait at a time. NumPy, SciPy and ITK compute outside Python's lock.
    """
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as threads:
        waiting = collections.deque()
        for piece in pieces:
            waiting.append(threads.submit(function, *piece))
            if len(waiting) > cores:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class ImageOfSlabs:
    """An image that is made slab by slab; only the slab at hand is there twice."""

    def __init__(self, grid, kind, components=1):
        """Makes it of zeros.

        Args:
          grid: its Grid.
          kind: a voxel type of SimpleITK; a vector's with `components`.
        """
        vector = [components] if components > 1 else []
        self.image = sitk.Image([int(n) for n in grid.size], kind, *vector)
        self.image.SetSpacing(grid.spacing)
        self.image.SetOrigin(grid.origin)
        self.image.SetDirection(grid.direction)

    def put(self, start, slab):
        """Puts slices in.

        Args:
          start: the first one's index.
          slab: an image, or an array [x, y, slices] or [x, y, slices, components].
        """
        if isinstance(slab, np.ndarray):
            size = slab.shape[:3]
            slab = to_image(slab, Grid(size, (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel())))
        stop = start + slab.GetSize()[2]
        self.image[:, :, start:stop] = slab


def array_view(image, start=0, stop=None):
    """Returns slices of an image as an array [x, y, slices] (or with components), not a copy.

    It is valid as long as the image lives.
    """
    array = sitk.GetArrayViewFromImage(image)[start:stop]
    return array.transpose(2, 1, 0, *range(3, array.ndim))
