"""Brings two scans roughly onto each other: nothing, a shift, or an affine map."""

import dataclasses
from typing import Optional

import numpy as np
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.affine.likeness import Likeness
from ldr_tf.imaging.affine.optimising import Pair, one_thread
from ldr_tf.imaging.affine.scan import overlap, scan_of
from ldr_tf.imaging.affine.search import Search, better
from ldr_tf.imaging.affine.shape import Shape, affine_of, shape_of

METHODS = ("auto", "none", "moments", "full")

_ALIGNED = 0.85
_COVERED = 0.5
_STILL, _CORE_STILL = 0.03, 0.015
_MUCH_BETTER = 1.25
_OTHER_SIZE = 4.0


@dataclasses.dataclass(frozen=True)
class Alignment:
    """What the affine step did.

    Attributes:
      transform: from points of the fixed scan to points of the moving one, a
        sitk.AffineTransform; the identity for "none".
      method: "none", "moments" or "full": what "auto" chose, or what was asked for.
      overlap_before, overlap_after: Dice of the two foregrounds (head or body) inside the fields
        of view that the scans share, 0..1.
      note: one sentence that says what was done and why.
      shape: scales, rotation and shear of the transform, a Shape.
      refused_scales: those of an affine map that was found and not taken, or None.
      kind: "identity", "shift", "similarity" or "affine": what the transform is.
      tried: how many rigid starts were looked at.
      searched: whether the first answer was so poor that rotations were tried.
      likeness_before, likeness_after: how alike the scans are at a coarse resolution, a Likeness.
      likeness_of_cores: of two whole heads, how alike their cores are after, a Likeness; else None.
    """

    transform: sitk.AffineTransform
    method: str
    overlap_before: float
    overlap_after: float
    note: str
    shape: Shape
    refused_scales: Optional[tuple[float, float, float]]
    kind: str
    tried: int
    searched: bool
    likeness_before: Likeness
    likeness_after: Likeness
    likeness_of_cores: Optional[Likeness]


def align(fixed, moving, method="auto"):
    """Finds the affine map from the fixed to the moving scan.

    Args:
      fixed, moving: 3D scalar SimpleITK images on any grids.
      method: "none"; "moments": a shift that brings the foregrounds' centres of mass together;
        "full": from there or from where the scans lie, whichever is the more similar, a rigid and
        then an affine map by Mattes' mutual information on a pyramid, the same at every call;
        bodies that the fields of view cut off are tried at places along themselves too, and
        many rotations where the first answer leaves the scans too little alike;
        "auto": "none" where the foregrounds overlap by a Dice of at least 0.85, the scans look
          alike and a coarse rigid search leaves them within 3 percent of their size (a trunk
          shifted along itself overlaps well), else "full".

    Returns:
      An `Alignment`. Its scales lie in 0.7 to 1.4: where those of the affine map found do not, a
      similarity is taken, and the shift of "moments" where one scan is more than four times as
      large as the other.

    Raises:
      InputError: "auto" or "none", and the scans share no place; a scan of nothing but background.
      ValueError: unknown method.
    """
    if method not in METHODS:
        raise ValueError(f"the affine method must be one of {', '.join(METHODS)}, not {method!r}.")
    with one_thread():
        return _Aligner(fixed, moving).run(method)


class _Aligner:
    def __init__(self, fixed, moving):
        self.fixed, self.moving = scan_of(fixed, "fixed"), scan_of(moving, "moving")
        self.search = Search(self.fixed, self.moving)
        self.identity = sitk.AffineTransform(3)
        self.before, self.covered = overlap(self.fixed, self.moving, self.identity)
        self.unmoved = self.search.look(self.identity)
        self.searched, self.refused = False, None
        heads = self.fixed.core is not None and self.moving.core is not None
        self.cores = Search(self.fixed, self.moving, core=True) if heads else None

    def run(self, method):
        if method in ("auto", "none") and self.covered == 0:
            raise InputError(
                "the two scans do not overlap in physical space (nothing of the moving scan lies "
                "where the fixed one does); the affine step moments brings their centres together."
            )
        if method == "none":
            return self.found(self.identity, "none", "identity", "none asked for")
        if method == "auto" and self.aligned():
            note = f"none needed: the foregrounds overlap by a Dice of {self.before:.2f}"
            return self.found(self.identity, "none", "identity", note)
        moments = sitk.AffineTransform(3)
        moments.SetTranslation((self.moving.centre - self.fixed.centre).tolist())
        if method == "moments":
            return self.found(moments, method, "shift", "centres of mass", told=True)
        ratio = self.moving.side / self.fixed.side
        if 1 / _OTHER_SIZE < ratio < _OTHER_SIZE:
            transform, kind = self.optimised(self.start(moments))
        else:  # no map of plausible scales can bring these together
            transform, kind, self.refused = moments, "shift", (ratio,) * 3
        deed = "rigid, then affine by mutual information" if kind == "affine" else f"{kind} alone"
        if self.searched:
            deed += f", the best of {self.search.tried} starts"
        return self.found(transform, "full", kind, deed, told=True)

    def aligned(self):
        """Whether the scans lie on each other as they are."""
        if self.before < _ALIGNED or self.covered < _COVERED or self.unmoved.poor:
            return False
        moved = self.search.rigid(self.unmoved)
        if self.moves(moved) > _STILL:
            return False
        if self.cores is not None:
            core = self.cores.rigid(self.cores.look(self.identity))
            if self.moves(core) > _CORE_STILL:
                return False
        others = [start for start in self.search.along_body(moved) if better(start, moved)]
        if self.search.challenged(moved):
            others += self.search.turned()
        return not (others and better(self.search.best(others), moved, _MUCH_BETTER))

    def moves(self, start):
        """Returns by which share of the fixed scan's size a Start moves its outermost points.

        Looked at in the middle of each face of a box of that side.
        """
        side = self.fixed.side
        points = [
            self.fixed.centre + sign * side / 2 * axis for axis in np.eye(3) for sign in (-1, 1)
        ]
        ends = [start.transform.TransformPoint(point.tolist()) for point in points]
        return np.mean(np.linalg.norm(np.subtract(ends, points), axis=1)) / side

    def start(self, moments):
        """Returns the rigid Start from which to go on."""
        starts = [self.search.look(moments)] + [self.unmoved] * (self.covered > 0)
        first = self.search.best(starts)
        first = self.preferred(first, self.search.along_body(first))
        if first.poor or self.search.challenged(first):
            self.searched = True
            first = self.preferred(first, self.search.turned())
        return first

    def preferred(self, first, others):
        """Returns the best of other Starts, once optimised, if clearly better than the first."""
        other = self.search.best(others) if others else first
        return other if better(other, first) else first

    def optimised(self, start):
        """Returns the best map found from a Start, and its kind."""
        fine = self.fixed.fine_spacing
        if self.cores is not None:
            start = self.cores.beside(self.cores.look(start.transform))
        pair = Pair(self.fixed, self.moving, fine, core=self.cores is not None)
        centre = self.fixed.centre.tolist()
        rigid = sitk.Euler3DTransform()
        rigid.SetCenter(centre)
        pair.optimise(rigid, start.transform, [(4, 2.0 * fine), (2, fine)])
        affine = sitk.AffineTransform(3)
        affine.SetMatrix(rigid.GetMatrix())
        affine.SetCenter(centre)
        affine.SetTranslation(rigid.GetTranslation())
        pair.optimise(affine, start.transform, [(2, fine), (1, 0.0)])
        kinds = [
            (start.transform, "similarity"),
            (affine_of(rigid, start.transform), "similarity"),
            (affine_of(affine, start.transform), "affine"),
        ]
        shape = shape_of(kinds[-1][0])
        if not shape.plausible:
            similarity = sitk.Similarity3DTransform()
            similarity.SetCenter(centre)
            similarity.SetMatrix(rigid.GetMatrix(), 1e-6)
            similarity.SetTranslation(rigid.GetTranslation())
            pair.optimise(similarity, start.transform, [(2, fine), (1, 0.0)])
            kinds[-1] = affine_of(similarity, start.transform), "similarity"
            if not shape_of(kinds[-1][0]).plausible:
                kinds.pop()
            self.refused = shape.scales
        return min(kinds, key=lambda kind: pair.disagreement(kind[0]))

    def found(self, transform, method, kind, note, told=False):
        """Returns the Alignment; `told`: its note also says how the foregrounds lie."""
        after, _ = overlap(self.fixed, self.moving, transform)
        if told:
            note += f": Dice of the foregrounds {self.before:.2f} before, {after:.2f} after"
        return Alignment(
            transform=transform,
            method=method,
            overlap_before=self.before,
            overlap_after=after,
            note=note,
            shape=shape_of(transform),
            refused_scales=self.refused,
            kind=kind,
            tried=self.search.tried + (self.cores.tried if self.cores is not None else 0),
            searched=self.searched,
            likeness_before=self.unmoved.likeness,
            likeness_after=self.search.look(transform).likeness,
            likeness_of_cores=self.cores and self.cores.look(transform).likeness,
        )
