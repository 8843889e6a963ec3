"""The pairs of an evaluation, from a data set or from a list of files, read one at a time."""

import collections
import dataclasses
import os
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.evaluation import VolumePair
from ldr_tf.files import file_state
from ldr_tf.imaging.grid import straight_axes
from ldr_tf.notices import Notices
from ldr_tf.registration.pair import read_pair
from ldr_tf.registration.pair_lists import read_pairs


@dataclasses.dataclass(frozen=True)
class Case:
    """One pair, ready to be registered.

    Attributes:
      pair: what is measured, all of it on the fixed scan's grid.
      grid: that Grid.
      image: the ImageConfig of the data set that the pair's arrays come from; None for scans from
        files and where the data set does not say.
      from_files: whether the scans lie on grids of their own.
      scans: {"fixed", "moving", "moving_labels"}: SimpleITK images, the latter may be None.
      warnings: sentences about what cannot be measured.
    """

    pair: VolumePair
    grid: imaging.Grid
    image: Optional[object]
    from_files: bool
    scans: dict
    warnings: tuple[str, ...] = ()


class DatasetCases:
    """The pairs of a data set's subset."""

    def __init__(self, manifest, subset, paired=False, spacing=None, truths=None):
        """Lists the pairs; reads no voxels.

        Args:
          manifest: a `data.manifest.Manifest`.
          subset, paired: see `data.pairs.list_pairs`.
          spacing: mm per voxel, over what the data set says.
          truths: folder of true displacements, see `read_truth`, or None.

        Raises:
          InputError: the subset is unknown or makes no pair, or a scan is missing.
        """
        from data.manifest import scan_id
        from data.pairs import list_pairs
        from data.volumes import VolumeReader

        self._manifest, self._truths = manifest, truths
        self._keys = list_pairs(manifest, subset, paired)
        self._reader = VolumeReader(manifest)
        self._reader.check(dict.fromkeys(key for pair in self._keys for key in pair))
        self.ids = [(scan_id(fixed), scan_id(moving)) for fixed, moving in self._keys]
        self.label_values = manifest.segmentation_class_value
        known = manifest.image.spacing if manifest.image else None
        self.spacing = spacing or known
        orientation = manifest.image.orientation if manifest.image else "LPS"
        self.grid = _grid(manifest.image_size, self.spacing or (1.0,) * 3, orientation)
        files = [file_state(manifest.file_path(name)) for name in manifest.files]
        self._state = [*files, *self.grid.spacing, self.label_values]

    def close(self):
        """Closes the data set's files."""
        self._reader.close()

    def state(self, index):
        """Returns what tells the pair's data from other data."""
        return self._state

    def load(self, index):
        """Returns the Case at `index`; InputError where it cannot be read."""
        from data.evaluation import volume_pair

        fixed, moving = [self._reader.read(key) for key in self._keys[index]]
        truth = read_truth(self._truths, *self.ids[index], self.grid)
        pair = volume_pair(fixed, moving, spacing=self.grid.spacing, true_flow=truth)
        labels = moving.segmentation
        scans = {
            "fixed": imaging.to_image(fixed.volume, self.grid),
            "moving": imaging.to_image(moving.volume, self.grid),
            "moving_labels": None if labels is None else imaging.to_image(labels, self.grid),
        }
        warnings = _warnings(pair, self.label_values)
        return Case(pair, self.grid, self._manifest.image, False, scans, warnings)


class FileCases:
    """The pairs of a list of files, each measured on its fixed scan's grid, in mm."""

    label_values = None
    spacing = None

    def __init__(self, path, points_space="LPS", truths=None):
        """Reads the list alone, see `ldr_tf.registration.pair_lists.read_pairs`.

        Raises:
          InputError: naming the list and the line; two lines with the same scans.
        """
        self._pairs = read_pairs(path, "")
        self._space, self._truths = points_space, truths
        folder = os.path.dirname(path) or "."
        self.ids = [
            tuple(_name_in_list(scan, folder) for scan in (pair.fixed, pair.moving))
            for pair in self._pairs
        ]
        for (fixed, moving), count in collections.Counter(self.ids).items():
            if count > 1:
                raise InputError(f"{path}: the pair {fixed}, {moving} is there twice.")

    def close(self):
        """Nothing stays open."""

    def state(self, index):
        """Returns what tells the pair's data from other data."""
        paths = self._pairs[index]
        return [self._space, paths.inputs, paths.state()]

    def load(self, index):
        """Returns the Case at `index`; InputError where it cannot be read."""
        paths = self._pairs[index]
        notices = Notices()
        scans = read_pair(paths, self._space, notices=notices)
        fixed, moving, moving_labels = scans.fixed, scans.moving, scans.moving_labels
        grid = imaging.grid_of(fixed)
        if moving_labels is not None:
            moving_labels = imaging.apply_transform(moving_labels, fixed, None, "nearest")
        points = _points(scans, grid)
        pair = VolumePair(
            *self.ids[index],
            fixed=imaging.to_array(fixed),
            moving=imaging.to_array(
                imaging.apply_transform(sitk.Cast(moving, sitk.sitkFloat32), fixed)
            ),
            fixed_labels=_array(scans.fixed_labels),
            moving_labels=_array(moving_labels),
            fixed_points=points[0],
            moving_points=points[1],
            points_present=None if points[0] is None else np.ones(len(points[0]), bool),
            spacing=grid.spacing,
            true_flow=read_truth(self._truths, *self.ids[index], grid),
        )
        wanted = ("fixed", "moving", "moving_labels", "fixed_mask", "moving_mask")
        images = {name: getattr(scans, name) for name in wanted}
        warnings = list(_warnings(pair, None))
        if bool(paths.fixed_points) != bool(paths.moving_points):
            warnings.append(_one_side(pair, "landmarks", bool(paths.fixed_points)))
        name = f"pair {pair.fixed_id}, {pair.moving_id}"
        warnings += [f"{name}: {notice.text}" for notice in notices.warnings()]
        return Case(pair, grid, None, True, images, tuple(warnings))


def _points(scans, grid):
    """Returns the landmarks of both sides in voxels of the fixed scan, or None twice."""
    if scans.fixed_points is None or scans.moving_points is None:
        return None, None
    _, fixed, moving = imaging.match_points(scans.fixed_points, scans.moving_points)
    return grid.indices(fixed), grid.indices(moving)


def read_truth(folder, fixed_id, moving_id, grid):
    """Returns the true flow of a pair, or None where the folder has none.

    Args:
      folder: holds MOVING_to_FIXED.nii.gz, ITK's displacement fields (mm, LPS, from points of the
        fixed to points of the moving scan), "/" in names as "_"; or None.
      fixed_id, moving_id: names of the scans.
      grid: the fixed scan's Grid.

    Returns:
      float32 [x, y, z, 3], voxels.
    """
    if folder is None:
        return None
    fixed, moving = [
        imaging.split_ending(name)[0].replace("/", "_") for name in (fixed_id, moving_id)
    ]
    name = f"{moving}_to_{fixed}.nii.gz"
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return None
    field = imaging.read_displacement(path)
    if field.GetSize() != tuple(grid.size):
        raise InputError(f"{path}: must be a displacement field on the fixed scan's grid.")
    return imaging.displacement_to_flow(field).astype(np.float32)


def _array(image):
    return None if image is None else imaging.to_array(image)


def _name_in_list(path, folder):
    name = os.path.relpath(path, folder)
    return path if name.startswith(os.pardir) else name


def _warnings(pair, label_values):
    found = []
    if (pair.fixed_labels is None) != (pair.moving_labels is None):
        found.append(_one_side(pair, "labels", pair.fixed_labels is not None))
    if (pair.fixed_points is None) != (pair.moving_points is None):
        found.append(_one_side(pair, "landmarks", pair.fixed_points is not None))
    if pair.has_labels and label_values is not None:
        here = np.union1d(pair.fixed_labels, pair.moving_labels)
        beyond = sorted(set(map(int, here)) - set(label_values.values()) - {0})
        if beyond:
            found.append(
                f"pair {pair.fixed_id}, {pair.moving_id}: label values that the data set does not "
                f"name are left out: {', '.join(map(str, beyond))}."
            )
    return tuple(found)


def _one_side(pair, what, fixed):
    side = "fixed" if fixed else "moving"
    return (
        f"pair {pair.fixed_id}, {pair.moving_id}: only the {side} scan has {what}; they are not "
        "measured."
    )


def _grid(size, spacing, orientation):
    direction = straight_axes(orientation)
    return imaging.Grid(tuple(size), tuple(spacing), (0.0,) * 3, tuple(direction.ravel()))
