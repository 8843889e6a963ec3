"""A made-up brain as the phantoms' template: FreeSurfer's numbers, the look of a stripped T1 scan.

It is not derived from any real brain: ellipsoids of about the right size and place, sulci where a
random field is zero. Coordinates u run along x (to the right), y (to the front) and z (to the
head); one unit is 100 mm.
"""

import numpy as np

from data.shapes import bend, smooth_union, spline_at, superellipsoid

# name -> (number on the left, on the right, intensity)
_STRUCTURES = {
    "cerebral-white-matter": (2, 41, 0.88),
    "cerebral-cortex": (3, 42, 0.57),
    "lateral-ventricle": (4, 43, 0.11),
    "cerebellum-white-matter": (7, 46, 0.80),
    "cerebellum-cortex": (8, 47, 0.57),
    "thalamus": (10, 49, 0.71),
    "caudate": (11, 50, 0.66),
    "putamen": (12, 51, 0.69),
    "hippocampus": (17, 53, 0.57),
    "third-ventricle": (14, 14, 0.11),
    "brain-stem": (16, 16, 0.84),
}

LABELS = {
    name if left == right else f"{side}-{name}": number
    for name, (left, right, _) in _STRUCTURES.items()
    for side, number in (("left", left), ("right", right))
}

_UNIT = 100.0  # mm

# Depth and half width (in values of the random field) of the sulci's clefts, and of the cortex
# along them.
_CLEFT, _BANK = (0.12, 0.08), (0.16, 0.4)
_CORTEX, _FOLIUM = 0.03, 0.02


def spacing(size):
    """Returns mm per voxel along x, y, z on a grid of `size` voxels, which spans -1..1."""
    return tuple(2 * _UNIT / side for side in size)


class Anatomy:
    """One template: the outline, folds and texture that `seed` gives."""

    def __init__(self, seed):
        generator = np.random.default_rng([14, seed])
        self._bumps = generator.normal(0, 0.03, (3, 9, 9, 9))
        self._folds = generator.normal(0, 1, (22, 22, 22))
        self._texture = generator.normal(0, 0.03, (60, 60, 60))

    def landmarks(self):
        """Returns six points u inside structures, [6, 3]."""
        right = np.array([[0.09, -0.06, 0.03], [0.27, 0.08, 0.03], [0.15, 0.2, 0.12]])
        return np.concatenate([right, right * (-1, 1, 1)])

    def at(self, points, blur):
        """As `data.anatomy.Anatomy.at`."""
        labels = np.zeros(points.shape[:-1], np.uint8)
        intensity = np.zeros(points.shape[:-1])
        inside = np.abs(points).max(axis=-1) < 1.0
        labels[inside], intensity[inside] = self._inside(points[inside], blur)
        return labels, intensity

    def _inside(self, points, blur):
        labels = np.zeros(len(points), np.uint8)
        intensity = np.zeros(len(points))
        for name, level in self._levels(points).items():
            left, right, tissue = _STRUCTURES[name]
            labels[level > 0] = np.where(points[level > 0, 0] > 0, right, left)
            share = 1 / (1 + np.exp(-np.clip(level / (0.5 * blur), -30, 30)))
            intensity += share * (tissue - intensity)
        return labels, intensity * (1 + spline_at(self._texture, points))

    def _levels(self, points):
        """Returns name -> level function; each structure covers those before it."""
        bump = np.stack([spline_at(knots, points) for knots in self._bumps], axis=-1)
        u = points + bump
        u[..., 0] = np.abs(u[..., 0])  # both halves are alike, except for the folds
        folds = spline_at(self._folds, points)
        clefts, banks = (d * np.exp(-((folds / w) ** 2)) for d, w in (_CLEFT, _BANK))

        temporal = superellipsoid(u, (0.42, 0.1, -0.22), (0.24, 0.46, 0.22), 2)
        upper = superellipsoid(u, (0, 0, 0.14), (0.68, 0.88, 0.6), 2.2)
        upper = np.minimum(upper, u[..., 2] + 0.2)
        # The halves are apart in front, behind and above, and meet in the middle.
        apart = u[..., 0] - 0.01 + np.maximum(superellipsoid(u, (0, 0, 0), (0.5, 0.3, 0.24), 2), 0)
        whole = smooth_union(upper, temporal, 0.03)
        cerebrum = np.minimum(whole - clefts, apart)
        white = np.minimum(whole - banks, apart) - _CORTEX

        cerebellum = superellipsoid(u, (0.22, -0.5, -0.4), (0.3, 0.3, 0.24), 2.2)
        ridges = np.cos(2 * np.pi * (u[..., 2] + 0.3 * u[..., 1]) / 0.085)
        cerebellum -= _FOLIUM * (1 + ridges)
        tree = cerebellum - 0.09 + _FOLIUM * ridges

        arched = bend(u, 1, 2, 0.7)
        return {
            "cerebellum-cortex": cerebellum,
            "cerebellum-white-matter": tree,
            "cerebral-cortex": cerebrum,
            "cerebral-white-matter": white,
            "brain-stem": superellipsoid(u, (0, -0.14, -0.4), (0.12, 0.13, 0.36), 2.4),
            "hippocampus": superellipsoid(arched, (0.26, -0.14, -0.16), (0.06, 0.2, 0.05), 2),
            "putamen": superellipsoid(u, (0.27, 0.08, 0.03), (0.06, 0.18, 0.12), 2),
            "thalamus": superellipsoid(u, (0.09, -0.06, 0.03), (0.08, 0.15, 0.09), 2),
            "caudate": superellipsoid(arched, (0.15, 0.14, 0.14), (0.05, 0.22, 0.08), 2),
            "lateral-ventricle": superellipsoid(arched, (0.08, 0.0, 0.16), (0.05, 0.36, 0.07), 2),
            "third-ventricle": superellipsoid(u, (0, 0.0, 0.02), (0.02, 0.14, 0.1), 2),
        }
