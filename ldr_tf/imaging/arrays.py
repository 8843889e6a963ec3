"""Between SimpleITK images, whose arrays run k, j, i, and arrays [x, y, z]."""

import numpy as np
import SimpleITK as sitk


def to_array(image):
    """Returns an image's voxels as an array [x, y, z], of a vector image [x, y, z, components]."""
    array = sitk.GetArrayFromImage(image)
    return array.transpose(2, 1, 0, *range(3, array.ndim))


def as_float32(image):
    """Returns an image with voxels of float32; itself, not a copy, where it has them already."""
    return image if image.GetPixelID() == sitk.sitkFloat32 else sitk.Cast(image, sitk.sitkFloat32)


def to_image(array, like):
    """Returns an array as an image.

    Args:
      array: [x, y, z], or [x, y, z, components] for a vector image; booleans become uint8.
      like: an image or a Grid that says where the voxels lie.

    Raises:
      ValueError: the array's size is not the grid's.
    """
    array = np.asarray(array)
    size = tuple(like.GetSize()) if isinstance(like, sitk.Image) else tuple(like.size)
    if array.ndim not in (3, 4) or array.shape[:3] != size:
        raise ValueError(
            f"an array of the shape {array.shape} does not fit a grid of {size} voxels."
        )
    if array.dtype == bool:
        array = array.astype(np.uint8)
    turned = np.ascontiguousarray(array.transpose(2, 1, 0, *range(3, array.ndim)))
    image = sitk.GetImageFromArray(turned, isVector=array.ndim == 4)
    if isinstance(like, sitk.Image):
        image.CopyInformation(like)
    else:
        image.SetSpacing(like.spacing)
        image.SetOrigin(like.origin)
        image.SetDirection(like.direction)
    return image
