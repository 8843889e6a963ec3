"""Axes, units and directions that the whole package keeps to.

- A volume is `[batch, x, y, z, channels]`, float32, intensities 0..1 inside the networks (files
  hold 0..255). The axes x, y, z are ITK's index axes i, j, k; an array taken from SimpleITK has
  them in the order k, j, i and must be transposed.
- A flow is `[batch, x, y, z, 3]` in voxels; its channel c moves along axis c. It is a backward
  map: `warped(p) = moving(p + flow(p))`, trilinear, coordinates clamped to the volume.
- Flows compose, for a second flow found on the image that the first has already warped, as
  `composed(p) = second(p) + first(p + second(p))`.
- A displacement field in a file is ITK's: a vector image on the fixed image's grid, in mm along
  the physical LPS axes, that takes points of the fixed image to points of the moving image.
- A scan lies where its header says by the rules of `ldr_tf/imaging/geometry.py`: of NIfTI's two
  forms the sform where its code is above 0, as nibabel, FSL and SPM have it, else the qform;
  lengths are mm; axes are at right angles, or made so. What had to be decided or assumed is said.
- A landmark file holds points; points travel with the displacement (fixed to moving), images
  travel against it.
- The Jacobian determinant is that of the whole mapping p + flow(p), by forward differences on
  the voxel grid; a fold is a voxel whose determinant is not above zero.
"""

INTENSITY_MAX = 255.0
"""Intensities in files lie in 0..INTENSITY_MAX, inside the networks in 0..1."""


def unit_intensity(volume):
    """Returns a float32 array or tensor of intensities of files as the networks want them: 0..1."""
    return volume / INTENSITY_MAX


SPATIAL_RANK = 3
AXES = (1, 2, 3)
"""The spatial axes of a batched volume."""


def check_volume(volume, name):
    """Refuses, with ValueError, what is not [batch, x, y, z, channels]; returns it otherwise."""
    if len(volume.shape) != 5:
        raise ValueError(f"{name} must be [batch, x, y, z, channels], not {tuple(volume.shape)}.")
    return volume


def check_flow(flow, name):
    """Refuses, with ValueError, what is not [batch, x, y, z, 3]; returns it otherwise."""
    check_volume(flow, name)
    if flow.shape[-1] != SPATIAL_RANK:
        raise ValueError(f"{name} must have three channels, not {flow.shape[-1]}.")
    return flow


def check_same_grid(first, second, first_name, second_name):
    """Refuses, with ValueError, two tensors whose known spatial sizes differ."""
    for a, b in zip(first.shape[1:4], second.shape[1:4]):
        if a is not None and b is not None and a != b:
            raise ValueError(
                f"{first_name} and {second_name} must lie on one grid, "
                f"not on {tuple(first.shape[1:4])} and {tuple(second.shape[1:4])}."
            )
