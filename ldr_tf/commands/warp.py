"""ldr-warp: applies displacement fields and transforms to one more image, or to landmarks.

  ldr-warp --transform=displacement.nii.gz --input=X --reference=F --output=Y
  ldr-warp --transform=displacement.nii.gz --input=fixed_points.csv --output=moving_points.csv

A transform is any of ITK's: a displacement field (a vector image in mm, LPS, such as ldr-register,
ANTs and elastix write) or a transform file. It takes points of the fixed scan to points of the
moving one, and therefore

  images and labels go from moving to fixed: --input lies on the moving scan, --reference is the
  fixed scan, and each voxel of the result is looked up where the transform takes it; outside the
  input the result is 0;

  landmarks go the other way, from fixed to moving: --input is a CSV file of points of the fixed
  scan (first line name,x,y,z; mm, LPS unless --points_space=RAS), the result says where they lie in
  the moving scan, and there is no --reference. To carry landmarks from moving to fixed, take the
  inverse field (ldr-register --inverse).

--transform may be given several times: points of the fixed scan go through the transforms in the
order given (which is the order of antsApplyTransforms), so for a warp found after an affine step
the warp comes first: --transform=warp.nii.gz --transform=affine.tfm. The displacement.nii.gz of
ldr-register has the affine step in it and stands alone.
"""

import sys

import SimpleITK as sitk
from absl import flags

from ldr_tf import imaging
from ldr_tf.commands import cli
from ldr_tf.errors import InputError

FLAGS = cli.new_flags()
_TRANSFORM = flags.DEFINE_multi_string(
    "transform",
    None,
    "displacement field (NIfTI, MHA, NRRD) or transform file (.tfm, .txt, .mat, .h5); several go "
    "one after the other, the first one first for points of the fixed scan",
    required=True,
    flag_values=FLAGS,
)
_INPUT = flags.DEFINE_string(
    "input",
    None,
    "image to carry along, a scan or labels; or landmarks, a .csv file",
    required=True,
    flag_values=FLAGS,
)
_REFERENCE = flags.DEFINE_string(
    "reference",
    None,
    "image on whose grid the result lies: the fixed scan; not for landmarks",
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "file to write: " + ", ".join(imaging.WRITABLE) + "; for landmarks .csv",
    required=True,
    flag_values=FLAGS,
)
_INTERPOLATION = flags.DEFINE_enum(
    "interpolation",
    "linear",
    ["linear", "nearest"],
    "linear (result float32) or nearest (labels; the input's type is kept)",
    flag_values=FLAGS,
)
_POINTS_SPACE = flags.DEFINE_enum(
    "points_space",
    "LPS",
    list(imaging.POINT_SPACES),
    "axes of the landmark files",
    flag_values=FLAGS,
)


def run():
    """Applies the transforms; returns None."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    if _INPUT.value.lower().endswith(".csv"):
        _warp_points()
    else:
        _warp_image()
    print(f"written: {_OUTPUT.value}")


def _warp_image():
    if _REFERENCE.value is None:
        raise InputError("--reference is needed: the image on whose grid the result lies.")
    imaging.check_output(_OUTPUT.value)
    image = imaging.read_image(_INPUT.value)
    reference = imaging.read_image(_REFERENCE.value)
    transforms = _read_transforms()
    # ITK applies the last one of a chain first.
    chain = sitk.CompositeTransform(transforms[::-1]) if len(transforms) > 1 else transforms[0]
    nearest = _INTERPOLATION.value == "nearest"
    image = image if nearest else sitk.Cast(image, sitk.sitkFloat32)
    warped = imaging.apply_transform(image, reference, chain, _INTERPOLATION.value)
    imaging.write_image(warped, _OUTPUT.value)


def _warp_points():
    if _REFERENCE.value is not None:
        raise InputError("--reference is for images; landmarks have no grid.")
    if not _OUTPUT.value.lower().endswith(".csv"):
        raise InputError(f"{_OUTPUT.value}: landmarks are written as .csv.")
    imaging.check_file_place(_OUTPUT.value)
    points = imaging.read_points(_INPUT.value, _POINTS_SPACE.value)
    for path, transform in zip(_TRANSFORM.value, _read_transforms()):
        field = imaging.displacement_field(transform)
        if field is not None:  # which is silent outside its grid
            imaging.check_inside(points, field, _INPUT.value, f"the displacement field {path}")
        points = imaging.transform_points(points, transform)
    imaging.write_points(points, _OUTPUT.value, _POINTS_SPACE.value)


def _read_transforms():
    return [imaging.read_transform(path) for path in _TRANSFORM.value]


def main(argv=None):
    """Entry point; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
