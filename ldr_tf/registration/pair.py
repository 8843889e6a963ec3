"""The two sides of a registration, and the files that they come from."""

import dataclasses
import os
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.files import file_state
from ldr_tf.registration.result_names import PLAIN, ResultNames

SIDES = ("fixed", "moving")


@dataclasses.dataclass(frozen=True)
class ScanPair:
    """Two scans, with what is known of them.

    Attributes:
      fixed, moving: 3D scalar SimpleITK images on any grids (see `ldr_tf.imaging.read_scan`).
      fixed_labels, moving_labels: labels on the grid of their scan, or None.
      fixed_points, moving_points: landmarks, `ldr_tf.imaging.Points`, or None.
      fixed_mask, moving_mask: what of a scan counts, voxels other than 0, on its grid; or None.
    """

    fixed: sitk.Image
    moving: sitk.Image
    fixed_labels: Optional[sitk.Image] = None
    moving_labels: Optional[sitk.Image] = None
    fixed_points: Optional[imaging.Points] = None
    moving_points: Optional[imaging.Points] = None
    fixed_mask: Optional[sitk.Image] = None
    moving_mask: Optional[sitk.Image] = None

    def check(self):
        """Refuses, with InputError, what cannot be registered or measured."""
        for side in SIDES:
            scan = getattr(self, side)
            if scan.GetDimension() != 3 or scan.GetNumberOfComponentsPerPixel() != 1:
                raise InputError(
                    f"the {side} scan: must be 3D with one number a voxel, not "
                    f"{scan.GetDimension()}D with {scan.GetNumberOfComponentsPerPixel()}."
                )
            if not np.isfinite(sitk.GetArrayViewFromImage(scan)).all():
                raise InputError(
                    f"the {side} scan: holds NaN or infinite voxels; all must be finite."
                )
            for what in ("labels", "mask"):
                image = getattr(self, f"{side}_{what}")
                if image is not None and not imaging.same_grid(image, scan):
                    raise InputError(
                        f"the {side} {what}: must lie on the grid of the {side} scan, voxel for "
                        "voxel."
                    )
        if (self.fixed_points is None) != (self.moving_points is None):
            raise InputError("landmarks are needed of both scans or of neither.")
        if self.fixed_points is not None:
            for side in SIDES:
                points, scan = getattr(self, f"{side}_points"), getattr(self, side)
                imaging.check_inside(points, scan, f"the {side} landmarks", f"the {side} scan")
            imaging.match_points(self.fixed_points, self.moving_points)


@dataclasses.dataclass(frozen=True)
class PairFiles:
    """Paths of what belongs to one registration, fields as of ScanPair; None where not given.

    Attributes:
      output: the folder for its results.
      names: what they are called there.
    """

    fixed: str
    moving: str
    output: str
    fixed_labels: Optional[str] = None
    moving_labels: Optional[str] = None
    fixed_points: Optional[str] = None
    moving_points: Optional[str] = None
    fixed_mask: Optional[str] = None
    moving_mask: Optional[str] = None
    names: ResultNames = dataclasses.field(default=PLAIN, compare=False)  # has no hash

    @property
    def inputs(self):
        """The paths of what is read, by name, None where not given."""
        paths = dict(vars(self))
        del paths["output"], paths["names"]
        return paths

    @property
    def place(self):
        """What tells its results from those of another pair: the folder, and the label there."""
        return os.path.join(self.output, self.names.label) if self.names.label else self.output

    def state(self):
        """Returns what tells that a file was written anew: {name: `ldr_tf.files.file_state`}."""
        return {name: file_state(path) for name, path in self.inputs.items() if path}


def read_pair(files, points_space="LPS", series=None, uneven="refuse", notices=None):
    """Reads a pair from its files.

    Args:
      files: a PairFiles.
      points_space: axes of the landmark files, one of `ldr_tf.imaging.POINT_SPACES`.
      series, uneven: of DICOM folders, see `ldr_tf.imaging.read_scan`; two series with a comma
        between them are the fixed and the moving scan's.
      notices: Notices that are told what was done or assumed, or None.

    Returns:
      A ScanPair; landmarks outside their scan are left out.

    Raises:
      InputError: naming the file that cannot be read or does not fit its scan.
    """
    read = {}
    for side, wanted in zip(SIDES, _series_of_sides(series)):
        path = getattr(files, side)
        read[side] = imaging.read_scan(path, wanted, uneven, notices)
        points = getattr(files, f"{side}_points")
        for what, spoken in (
            ("labels", "labels must lie on the grid of their scan"),
            ("mask", "a mask must lie on the grid of its scan"),
        ):
            name = f"{side}_{what}"
            image = getattr(files, name)
            if image:
                read[name] = imaging.read_labels(image, notices=notices)
                if not imaging.same_grid(read[name], read[side]):
                    raise InputError(f"{image}: {spoken} {path}.")
        if points:
            read[f"{side}_points"] = imaging.read_points(points, points_space, notices)
    pair = ScanPair(**read)
    if pair.fixed_points is None or pair.moving_points is None:
        return pair
    points = pair.fixed_points, pair.moving_points
    try:
        kept = imaging.keep_inside(*points, pair.fixed, pair.moving, notices)
    except InputError as error:
        raise InputError(f"{files.fixed_points}, {files.moving_points}: {error}") from error
    return dataclasses.replace(pair, fixed_points=kept[0], moving_points=kept[1])


def _series_of_sides(series):
    parts = [part.strip() or None for part in (series or "").split(",")]
    if len(parts) > len(SIDES):
        raise InputError(f"series must be one or two with a comma between them, not {series!r}.")
    return parts if len(parts) == len(SIDES) else parts * len(SIDES)
