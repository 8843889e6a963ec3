"""The axes, units and directions of the whole package.

- A volume is `[batch, x, y, z, channels]`, float32, intensities 0..1 inside the networks (files
  hold 0..255). The axes x, y, z are ITK's index axes i, j, k; an array taken from SimpleITK has
  them in the order k, j, i and must be transposed.
- A flow is `[batch, x, y, z, 3]` in voxels; its channel c moves along axis c. It is a backward
  map: `warped(p) = moving(p + flow(p))`, trilinear, coordinates clamped to the volume.
- Flows compose, for a second flow found on the image that the first has already warped, as
  `composed(p) = second(p) + first(p + second(p))`.
- A displacement field in a file is ITK's: a vector image on the fixed image's grid, in mm along
  the physical LPS axes, that takes points of the fixed image to points of the moving image.
- A scan lies where its header says by the rules of `ldr_tf/imaging/geometry.py`: for NIfTI the
  sform if its code is above 0, as in nibabel, FSL and SPM, else the qform; lengths are mm; axes are
  at right angles, or made so. Whatever had to be decided or assumed is reported.
- A landmark file holds points; the displacement takes points from the fixed to the moving image,
  but images from the moving to the fixed grid.
- The Jacobian determinant is that of the whole mapping p + flow(p), by forward differences on
  the voxel grid; a fold is a voxel whose determinant is 0 or less.
"""

INTENSITY_MAX = 255.0
"""Intensities in files lie in 0..INTENSITY_MAX, inside the networks in 0..1."""


def unit_intensity(volume):
    """Scales file intensities, a float32 array or tensor, to 0..1 for the networks."""
    return volume / INTENSITY_MAX


SPATIAL_RANK = 3
AXES = (1, 2, 3)
"""The spatial axes of a batched volume."""


def check_volume(volume, name):
    """Returns the volume; raises ValueError unless it is [batch, x, y, z, channels]."""
    if len(volume.shape) != 5:
        raise ValueError(f"{name} must be [batch, x, y, z, channels], not {tuple(volume.shape)}.")
    return volume


def check_flow(flow, name):
    """Returns the flow; raises ValueError unless it is [batch, x, y, z, 3]."""
    check_volume(flow, name)
    if flow.shape[-1] != SPATIAL_RANK:
        raise ValueError(f"{name} must have three channels, not {flow.shape[-1]}.")
    return flow


def check_same_grid(first, second, first_name, second_name):
    """Raises ValueError if the known spatial sizes of two tensors differ."""
    for a, b in zip(first.shape[1:4], second.shape[1:4]):
        if a is not None and b is not None and a != b:
            raise ValueError(
                f"{first_name} and {second_name} must lie on one grid, "
                f"not on {tuple(first.shape[1:4])} and {tuple(second.shape[1:4])}."
            )
