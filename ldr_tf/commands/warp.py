"""ldr-warp: applies a displacement field or a transform file to one more image.

  ldr-warp --transform=displacement.nii.gz --input=X --reference=F --output=Y

The transform is any of ITK's: a displacement field (a vector image in mm, LPS, such as
ldr-register, ANTs and elastix write) or a transform file. It takes points of the reference to
points of the input, and so carries the input image to the reference. Outside the input the result
is 0.
"""

import os
import sys

import numpy as np
import SimpleITK as sitk
from absl import flags

from ldr_tf import imaging
from ldr_tf.commands import cli
from ldr_tf.errors import InputError

FLAGS = cli.new_flags()
_TRANSFORM = flags.DEFINE_string(
    "transform",
    None,
    "displacement field (NIfTI, MHA, NRRD) or transform file (.tfm, .txt, .mat, .h5)",
    required=True,
    flag_values=FLAGS,
)
_INPUT = flags.DEFINE_string(
    "input", None, "image to carry along: a scan or labels", required=True, flag_values=FLAGS
)
_REFERENCE = flags.DEFINE_string(
    "reference",
    None,
    "image on whose grid the result lies: the fixed scan",
    required=True,
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "file to write: " + ", ".join(imaging.WRITABLE),
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

_TRANSFORM_FILES = (".tfm", ".txt", ".mat", ".h5", ".hdf5", ".xfm")


def run():
    """Applies the transform; returns None."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    imaging.check_output(_OUTPUT.value)
    image = imaging.read_image(_INPUT.value)
    reference = imaging.read_image(_REFERENCE.value)
    transform = _read_transform(_TRANSFORM.value)
    nearest = _INTERPOLATION.value == "nearest"
    if not nearest:
        image = sitk.Cast(image, sitk.sitkFloat32)
    kind = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    warped = sitk.Resample(image, reference, transform, kind, 0.0, image.GetPixelID())
    imaging.write_image(warped, _OUTPUT.value)
    print(f"written: {_OUTPUT.value}")


def _read_transform(path):
    if not path.lower().endswith(_TRANSFORM_FILES):
        return sitk.DisplacementFieldTransform(imaging.read_displacement(path))
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file.")
    try:
        transform = sitk.ReadTransform(path)
    except RuntimeError as error:
        raise InputError(f"{path}: is not a transform file that ITK can read.") from error
    if transform.GetDimension() != 3:
        raise InputError(f"{path}: a 3D transform was expected, not a 2D one.")
    if not np.isfinite(transform.GetParameters()).all():
        raise InputError(f"{path}: the transform holds NaN or infinite parameters.")
    return transform


def main(argv=None):
    """Entry point; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
