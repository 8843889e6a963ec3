"""ldr-warp: applies displacement fields and transforms to one more image, or to landmarks.

  ldr-warp --transform=displacement.nii.gz --input=X --reference=F --output=Y
  ldr-warp --transform=displacement.nii.gz --input=fixed_points.csv --output=moving_points.csv

A transform is any of ITK's: a displacement field (a vector image in mm, LPS, such as ldr-register,
ANTs and elastix write) or a transform file. It takes points of the fixed scan to points of the
moving one, and therefore

  images and labels go from moving to fixed: --input lies on the moving scan, --reference is the
  fixed scan, and each voxel of the result is looked up where the transform takes it; outside the
  input the result is --background;

  landmarks go the other way, from fixed to moving: --input is a file of points of the fixed scan
  (CSV with the first line name,x,y,z, 3D Slicer's .fcsv or .mrk.json, elastix's .txt or .pts; mm,
  LPS unless the file or --points_space says RAS), the result, a CSV file, says where they lie in
  the moving scan, and there is no --reference. To carry landmarks from moving to fixed, take the
  inverse field (ldr-register --inverse).

--transform may be given several times: points of the fixed scan go through the transforms in the
order given (which is the order of antsApplyTransforms), so for a warp found after an affine step
the warp comes first: --transform=warp.nii.gz --transform=affine.tfm. The displacement.nii.gz of
ldr-register has the affine step in it and stands alone. A linear transform is inverted where it is
written as antsApplyTransforms has it: --transform=[affine.tfm,1].

Exit codes: 0; 2 for bad input; 1 for a failure of ours or an interruption; 3 with --strict where a
warning was given.
"""

import dataclasses
import os
import re
from typing import Optional

import SimpleITK as sitk
from absl import flags

from ldr_tf import imaging
from ldr_tf.commands import cli
from ldr_tf.commands.folder import is_same_place
from ldr_tf.commands.screen import Screen, define_flags
from ldr_tf.errors import InputError
from ldr_tf.notices import Notices
from ldr_tf.records import Record, setting

_LARGEST = 3.4e38
_BRACKETED = re.compile(r"\[(.+),\s*([01])\s*\]")


@dataclasses.dataclass(frozen=True)
class WarpOptions(Record):
    """How an image or landmarks are carried along; each field is a flag of ldr-warp."""

    interpolation: str = setting(
        "linear",
        "linear (result float32) or nearest (labels; the input's type is kept)",
        choices=("linear", "nearest"),
    )
    points_space: str = setting("LPS", "axes of the landmark files", choices=imaging.POINT_SPACES)
    background: Optional[float] = setting(
        None,
        "value outside the input (default: the padding of a scan, the lowest value of a CT, else "
        "0)",
        least=-_LARGEST,
        most=_LARGEST,
    )


FLAGS = cli.new_flags()
_TRANSFORM = flags.DEFINE_multi_string(
    "transform",
    None,
    "displacement field (NIfTI, MHA, NRRD) or transform file (.tfm, .txt, .mat, .h5); several go "
    "one after the other, the first one first for points of the fixed scan; [FILE,1] is the "
    "inverse of a linear one",
    required=True,
    flag_values=FLAGS,
)
_INPUT = flags.DEFINE_string(
    "input",
    None,
    "image to carry along, a scan or labels; or landmarks: " + ", ".join(imaging.POINT_ENDINGS),
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
cli.define_record(WarpOptions, FLAGS)
define_flags(FLAGS)


def run():
    """Applies the transforms; returns the exit code."""
    screen, notices = Screen(FLAGS), Notices()
    for path in (_INPUT.value, _REFERENCE.value, *map(_file_of, _TRANSFORM.value)):
        if path and is_same_place(path, _OUTPUT.value):
            raise InputError(f"{path}: is read and must not be the output too.")
    warp = _warp_points if _INPUT.value.lower().endswith(imaging.POINT_ENDINGS) else _warp_image
    with screen.native():
        warp(cli.read_record(WarpOptions, FLAGS), notices)
    screen.tell(notices)
    screen.say(f"written: {_OUTPUT.value}")
    return screen.code(notices.warnings())


def _warp_image(options, notices):
    if _REFERENCE.value is None:
        raise InputError("--reference is needed: the image on whose grid the result lies.")
    imaging.check_output(_OUTPUT.value)
    image = imaging.read_image(_INPUT.value, notices=notices)
    reference = imaging.read_image(_REFERENCE.value, notices=notices)
    transforms = _read_transforms(notices)
    # ITK applies the last one of a chain first.
    chain = sitk.CompositeTransform(transforms[::-1]) if len(transforms) > 1 else transforms[0]
    labels = imaging.looks_like_labels(image)
    if options.interpolation == "linear":
        if labels:
            notices.warning(
                "labels-interpolated",
                f"{_INPUT.value}: looks like labels, which linear interpolation mixes to numbers "
                "that mean something else; --interpolation=nearest keeps them.",
            )
        image = sitk.Cast(image, sitk.sitkFloat32)
    background = options.background
    if background is None:
        background = 0.0 if labels else imaging.background_value(image)
    warped = imaging.apply_transform(image, reference, chain, options.interpolation, background)
    imaging.write_image(warped, _OUTPUT.value)


def _warp_points(options, notices):
    if _REFERENCE.value is not None:
        raise InputError("--reference is for images; landmarks have no grid.")
    if not _OUTPUT.value.lower().endswith(".csv"):
        raise InputError(f"{_OUTPUT.value}: landmarks are written as .csv.")
    imaging.check_file_place(_OUTPUT.value)
    points = imaging.read_points(_INPUT.value, options.points_space, notices)
    for path, transform in zip(_TRANSFORM.value, _read_transforms(notices)):
        field = imaging.displacement_field(transform)
        if field is not None:  # which is silent outside its grid
            imaging.check_inside(points, field, _INPUT.value, f"the displacement field {path}")
        points = imaging.transform_points(points, transform)
    imaging.write_points(points, _OUTPUT.value, options.points_space)


def _read_transforms(notices):
    return [_read_transform(word, notices) for word in _TRANSFORM.value]


def _read_transform(word, notices):
    path = _file_of(word)
    transform = imaging.read_transform(path, notices)
    if path == word or not _inverted(word):
        return transform
    if not transform.IsLinear():
        raise InputError(
            f"{path}: only a linear transform can be inverted here; of a registration the "
            "inverse field is written on request."
        )
    return transform.GetInverse()


def _file_of(word):
    """Returns the file of a transform, which may be written as [FILE,0] or [FILE,1]."""
    found = _BRACKETED.fullmatch(word)
    return os.path.expanduser(found[1].strip()) if found else word


def _inverted(word):
    return _BRACKETED.fullmatch(word)[2] == "1"


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


def command():
    """The console's entry point: runs the command and ends the process."""
    cli.leave(main())


if __name__ == "__main__":
    command()
