"""Starts of the affine step: rotations and shifts, tried at a coarse resolution."""

import dataclasses

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ldr_tf.imaging.affine.likeness import Judge, Likeness, matrix_and_shift
from ldr_tf.imaging.affine.optimising import Pair
from ldr_tf.imaging.affine.shape import affine_of, shape_of

_SPACING = 3.0  # times the fine spacing
_CORE_SPACING = 1.5  # the same, where the cores of heads are compared
_STEPS = (-24.0, -16.0, -8.0, 8.0, 16.0, 24.0)  # mm, by which a core is moved along each axis
_INFORMED, _EXPLAINED = 0.14, 0.55
_COVERED = 0.5
_NUDGE = 22.0  # degrees
_KEPT, _BEST = 8, 3
_EVERY = 4  # points, where many rotations are compared
_NEAR = 0.8
_FAR_TRACE = 1 + 2 * np.cos(np.deg2rad(35.0))


@dataclasses.dataclass(frozen=True)
class Start:
    """A map from fixed to moving points, rigid or a similarity, to optimise an affine map from."""

    transform: sitk.AffineTransform
    likeness: Likeness

    @property
    def poor(self):
        """Whether the scans look too little alike under the map to trust it."""
        return (
            self.likeness.information < _INFORMED
            or self.likeness.explained < _EXPLAINED
            or self.likeness.covered < _COVERED
        )

    @property
    def worth(self):
        """What starts are compared by; one that shares too little with the fixed scan has none."""
        return self.likeness.information if self.likeness.covered >= _COVERED else 0.0


class Search:
    """Looks for rigid maps between two Scans at a coarse resolution, some 20 voxels a side.

    With `core` it compares the cores of two heads alone, at some 40 voxels a side.
    """

    def __init__(self, fixed, moving, core=False):
        self._fixed, self._moving, self._core = fixed, moving, core
        self._spacing = (_CORE_SPACING if core else _SPACING) * fixed.fine_spacing
        self._judge = Judge(fixed, moving, self._spacing, core)
        self._pair = self._rotated = None
        self.tried = 0

    def look(self, transform):
        """Returns the Start of a map as it is."""
        return Start(transform, self._judge(transform))

    def rigid(self, start):
        """Returns the Start that a rigid optimisation makes of one."""
        return self._optimised(start, sitk.Euler3DTransform())

    def best(self, starts):
        """Returns the best Start that rigid optimisation, and scaling the best, make of some."""
        found = sorted([*map(self.rigid, starts), *starts], key=lambda start: -start.worth)
        scaled = [self._optimised(start, sitk.Similarity3DTransform()) for start in found[:_BEST]]
        found += [start for start in scaled if shape_of(start.transform).plausible]
        return max(found, key=lambda start: start.worth)

    def _optimised(self, start, transform):
        if self._pair is None:
            self._pair = Pair(self._fixed, self._moving, self._spacing, 1.0, self._core)
        self.tried += 1
        transform.SetCenter(self._fixed.centre.tolist())
        self._pair.optimise(
            transform,
            start.transform,
            [(1, 0.0)],
            step=self._spacing,
            least=0.05 * self._spacing,
            iterations=60,
        )
        return self.look(affine_of(transform, start.transform))

    def beside(self, first):
        """Returns the best Start that rigid optimisation makes of one and its shifts along axes."""
        shifts = np.concatenate([step * np.eye(3) for step in _STEPS])
        starts = [first] + [self.look(affine_of(first.transform, _shift(by))) for by in shifts]
        self.tried += len(shifts)
        likely = sorted(starts, key=lambda start: -start.worth)[:_BEST]
        return max(map(self.rigid, likely), key=lambda start: start.worth)

    def along_body(self, first):
        """Returns the best Starts that lie along a body that fields of view cut off at both ends.

        There the centres of what is seen need not belong together.
        """
        starts = []
        cut = np.logical_or(self._fixed.cut_off(), self._moving.cut_off())
        for axis in np.flatnonzero(cut):
            reach = (_reach(self._fixed, axis) + _reach(self._moving, axis)) / 2
            count = int(np.ceil(reach / (1.5 * self._spacing)))
            shifts = np.arange(-count, count + 1)[:, None] * 1.5 * self._spacing * np.eye(3)[axis]
            moved = [self.look(affine_of(first.transform, _shift(shift))) for shift in shifts]
            worth = np.array([start.worth for start in moved])
            peaks = np.flatnonzero((worth == ndimage.maximum_filter1d(worth, 3)) & (worth > 0))
            peaks = peaks[np.argsort(-worth[peaks], kind="stable")][:_BEST]
            starts += [moved[peak] for peak in peaks]
            self.tried += len(moved)
        return starts

    def turned(self):
        """Returns the best Starts of many rotations about the centres of mass."""
        near = []
        for _, rotation in _best(self._rivals(), _KEPT):
            for vector in np.concatenate([np.eye(3), -np.eye(3)]):
                nudge = Rotation.from_rotvec(np.deg2rad(_NUDGE) * vector).as_matrix()
                near.append(self._about_centres(rotation @ nudge))
        self.tried += len(near)
        return [self.look(start.transform) for start, _ in _best(self._rivals() + near, _KEPT)]

    def challenged(self, start):
        """Whether a far rotation, as it is, comes near to what a Start reaches."""
        known = Start(start.transform, self._judge(start.transform, _EVERY)).worth
        turn = matrix_and_shift(start.transform)[0]
        return any(
            rival.worth > _NEAR * known
            for rival, rotation in self._rivals()
            if np.trace(rotation @ turn.T) < _FAR_TRACE
        )

    def _rivals(self):
        if self._rotated is None:
            self._rotated = [self._about_centres(rotation) for rotation in _rotations()]
            self.tried += len(self._rotated)
        return self._rotated

    def _about_centres(self, rotation):
        shift = self._moving.centre - rotation @ self._fixed.centre
        transform = sitk.AffineTransform(3)
        transform.SetMatrix(rotation.ravel().tolist())
        transform.SetTranslation(shift.tolist())
        return Start(transform, self._judge(transform, _EVERY)), rotation


def better(start, first, by=1.05):
    """Whether a Start is so much better that the scans' headers are not to be believed."""
    return start.worth > by * first.worth


def _best(pairs, count):
    return sorted(pairs, key=lambda pair: -pair[0].worth)[:count]


def _rotations():
    """Returns the 72 rotations of cube and icosahedron, the smallest first.

    No rotation is further than some 40 degrees from one of them.
    """
    groups = [Rotation.create_group(name).as_matrix() for name in ("O", "I")]
    found = np.unique(np.concatenate(groups).round(9), axis=0)
    return found[np.argsort(-np.trace(found, axis1=1, axis2=2).round(6), kind="stable")]


def _reach(scan, axis):
    return scan.foreground.GetSize()[axis] * scan.foreground.GetSpacing()[axis]


def _shift(vector):
    shift = sitk.AffineTransform(3)
    shift.SetTranslation([float(mm) for mm in vector])
    return shift
