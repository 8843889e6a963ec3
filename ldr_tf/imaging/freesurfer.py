"""FreeSurfer's .mgz and .mgh files, where nibabel is installed."""

import importlib.util

import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.imaging.arrays import to_image
from ldr_tf.imaging.grid import Grid

_TO_LPS = np.diag([-1.0, -1.0, 1.0])


def read_freesurfer(path):
    """Reads a volume; the geometry of its header, RAS, becomes LPS.

    Raises:
      InputError: nibabel is not installed; the file is damaged, or not 3D with one value a voxel.
    """
    if importlib.util.find_spec("nibabel") is None:
        raise InputError(f"{path}: FreeSurfer's files need nibabel (pip install nibabel).")
    import nibabel

    try:
        volume = nibabel.load(path)
        array = np.asanyarray(volume.dataobj)
    except (
        OSError,
        EOFError,
        ValueError,
        TypeError,
        nibabel.filebasedimages.ImageFileError,
    ) as error:
        raise InputError(f"{path}: damaged, or no FreeSurfer volume.") from error
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3:
        raise InputError(f"{path}: a 3D scan was expected, not an array of {array.shape}.")
    affine = _TO_LPS @ volume.affine[:3]
    spacing = np.linalg.norm(affine[:, :3], axis=0)
    if not (spacing > 0).all():
        raise InputError(f"{path}: the voxel spacing must be above zero, not {spacing}.")
    grid = Grid(
        array.shape,
        tuple(float(mm) for mm in spacing),
        tuple(float(mm) for mm in affine[:, 3]),
        tuple(float(cosine) for cosine in (affine[:, :3] / spacing).ravel()),
    )
    return to_image(array.astype(array.dtype.newbyteorder("=")), grid)
