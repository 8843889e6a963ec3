"""The template anatomy of the phantoms: a trunk, its organs as the shapes of data/shapes.py.

Coordinates u run along x (left-right), y (front-back) and z (foot-head); labels and partial-volume
intensities come from one description at any resolution.
"""

import numpy as np

from data.shapes import bend, smooth_union, spline_at, superellipsoid, twist

LABELS = {
    "wall": 1,
    "mesentery": 2,
    "liver": 3,
    "stomach wall": 4,
    "stomach lumen": 5,
    "spine": 6,
    "kidneys": 7,
}

_SPACING = 1.5  # mm


def spacing(size):
    """Returns mm per voxel along x, y, z: the same for phantoms of any size."""
    return (_SPACING,) * len(size)


_OUTLINE = ((0, 0, 0), (0.76, 0.62, 0.84), 2.6)
"""The body: centre, radii and exponent of its superellipsoid."""
_LARGEST_BUMP = 0.15


class Anatomy:
    """One template: the shapes, tissues and texture that `seed` gives."""

    def __init__(self, seed):
        generator = np.random.default_rng([11, seed])
        self._bumps = generator.normal(0, 0.075, (3, 9, 9, 9))
        self._texture = generator.normal(0, 1, (40, 40, 40))
        self._vessels = generator.normal(0, 1, (18, 18, 18))
        self._vary = generator.uniform(-1, 1, 16)

    def landmarks(self):
        """Returns six points u inside organs, [6, 3]."""
        return np.array(
            [
                [0.0, 0.42, 0.45],
                [0.0, 0.42, -0.4],
                [0.3, -0.05, 0.2],
                [-0.3, -0.14, 0.3],
                [0.36, 0.2, -0.3],
                [-0.36, 0.2, -0.3],
            ]
        )

    def at(self, points, blur):
        """Evaluates the anatomy.

        Args:
          points: [..., 3], u.
          blur: width of the partial-volume transition between tissues, in u.

        Returns:
          (labels uint8 [...], intensity float64 [...] of about 0..1, air being 0).
        """
        labels = np.zeros(points.shape[:-1], np.uint8)
        intensity = np.zeros(points.shape[:-1])
        # Most of a volume is air, which needs no work.
        body = superellipsoid(points, *_OUTLINE) > -_LARGEST_BUMP - 2 * blur
        labels[body], intensity[body] = self._inside(points[body], blur)
        return labels, intensity

    def _inside(self, points, blur):
        levels = self._levels(points)
        texture = spline_at(self._texture, points)
        vessels = spline_at(self._vessels, points)
        labels = np.zeros(len(points), np.uint8)
        intensity = np.zeros(len(points))
        for name, level in levels.items():
            if name in LABELS:
                labels[level > 0] = LABELS[name]
            inside = 1 / (1 + np.exp(-np.clip(level / (0.5 * blur), -30, 30)))
            tissue = self._tissue(name, level, texture, vessels)
            intensity += inside * (tissue - intensity)
        return labels, intensity

    def _levels(self, points):
        """Returns name -> level function; each organ covers those before it."""
        v = self._vary
        bump = np.stack([spline_at(knots, points) for knots in self._bumps], axis=-1)
        u = points + bump
        outline = superellipsoid(u, *_OUTLINE)
        cavity = superellipsoid(u, (0, -0.04, 0), (0.6, 0.46, 0.69), 2.3)

        bent = bend(u, 2, 0, 0.5 + 0.2 * v[0])
        right = superellipsoid(bent, (0.29, -0.02, 0.2), (0.27, 0.33, 0.4), 2.4)
        left = superellipsoid(u, (-0.02, -0.2, 0.36), (0.38, 0.17, 0.2), 2)
        liver = smooth_union(right, left, 0.05)

        curled = twist(bend(u, 2, 0, -1.4 + 0.3 * v[1]), (-0.28, -0.14), 1.5 + 0.5 * v[2])
        stomach = superellipsoid(curled, (-0.28, -0.14, -0.08), (0.27, 0.2, 0.42), 2.2)
        stomach = np.minimum(stomach, -liver - 0.02)

        spine_axis = bend(u, 2, 1, -0.16 + 0.1 * v[3])
        disc = 0.015 * np.cos(2 * np.pi * u[..., 2] / 0.26)
        spine = superellipsoid(spine_axis, (0, 0.4, 0.02), (0.17, 0.15, 0.76), 3.2) + disc
        spine = np.minimum(spine, outline - 0.05)

        kidneys = [
            superellipsoid(
                bend(u, 2, 0, -side * (1.6 + 0.4 * v[4]), centre=-0.3),
                (side * (0.4 + 0.02 * v[5]), 0.18, -0.3),
                (0.14, 0.15, 0.27),
                2.2,
            )
            for side in (1, -1)
        ]
        kidneys = np.maximum(*kidneys)
        return {
            "skin": outline,
            "wall": outline - 0.012,
            "muscle": outline - 0.085,
            "mesentery": cavity,
            "liver": liver,
            "stomach wall": stomach,
            "stomach lumen": stomach - 0.075,
            "kidneys": kidneys,
            "pelvis": kidneys - 0.075,
            "spine": spine,
            "marrow": spine - 0.045,
        }

    def _tissue(self, name, level, texture, vessels):
        """Returns the intensity of a tissue, constant but for its texture."""
        if name == "mesentery":
            return 0.5 + 0.1 * vessels + 0.12 * texture
        if name == "liver":
            tube = np.exp(-((vessels / 0.12) ** 2)) * (level > 0.03)
            return 0.72 + 0.05 * texture + 0.16 * tube
        mean, contrast = {
            "skin": (0.45, 0.02),
            "wall": (0.88, 0.06),
            "muscle": (0.34, 0.07),
            "stomach wall": (0.42, 0.05),
            "stomach lumen": (0.13, 0.06),
            "kidneys": (0.93, 0.05),
            "pelvis": (0.62, 0.1),
            "spine": (0.2, 0.04),
            "marrow": (0.8, 0.12),
        }[name]
        return mean + contrast * texture
