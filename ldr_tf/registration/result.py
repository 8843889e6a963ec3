"""What a registration gives back."""

import functools
from dataclasses import dataclass
from typing import Optional

import SimpleITK as sitk

from ldr_tf.evaluation import scans
from ldr_tf.imaging import Alignment
from ldr_tf.models.model import RegistrationModel
from ldr_tf.notices import Notice
from ldr_tf.registration.brains import Mask
from ldr_tf.registration.refinement import RefinementConfig
from ldr_tf.registration.unfolding import Unfolding


@dataclass(frozen=True)
class RegistrationResult:
    """What a registration found, on the fixed scan's grid unless said otherwise.

    Attributes:
      warped: the moving scan, float32, linear, `background` outside the moving scan.
      displacement: ITK's displacement field, vectors of float32, mm, LPS, from points of the fixed
        scan to points of the moving scan, affine step included.
        `sitk.DisplacementFieldTransform` takes it after a cast to sitkVectorFloat64; resampling the
        moving scan through it gives `warped`.
      model: the RegistrationModel that took part, or None.
      alignment: the affine step, an Alignment; its `transform` is the affine part alone.
      unfolding: what was done to the displacement where it folded, an Unfolding, or None.
      masks: {"fixed", "moving": the `brains.Mask` of what counted}, of those that had one.
      background: the value of `warped` outside the moving scan and in its padding.
      warped_labels: the moving labels in their own type, nearest neighbour, or None.
      jacobian: determinant of the Jacobian of the whole mapping, by forward differences, the last
        plane of each axis repeated; below or at 0 where it folds. Computed when first asked for.
      inverse: the displacement field from points of the moving scan to points of the fixed one, on
        the moving scan's grid, or None where not asked for.
      inverse_residual: how far, in mm, points of the moving scan's foreground come to lie from
        where they were when carried there and back: {"mean", "percentile_95", "max"}, and "lost",
        the percent that leave the fixed scan's grid; None without `inverse`.
      correlation_before, correlation_after: Pearson correlation of the fixed scan with the moving
        and the warped scan inside the fixed scan's foreground, as far as the moving scan covers
        it; None where it covers none of it or either is constant there.
      stages: the same after each stage ("before", "affine", "network", "refinement"), measured on
        the working grid.
      refinement: the RefinementConfig, None where the network's answer was not refined.
      dice_before, dice_after: Dice of each label above 0 that is on either side, or None without
        labels of both scans.
      landmarks_before, landmarks_after: error of each landmark, mm, by name, or None.
      folds_percent: voxels of the fixed grid whose Jacobian determinant is not above 0, percent.
      folds_any_percent: the same, of the voxels that fold towards any of their eight corners, see
        `ldr_tf.metrics.folding.folds_any_percent`; forward differences alone overlook folds.
      std_jacobian: standard deviation of that determinant.
      estimated_mb: memory that this was estimated to take, MB, see `ldr_tf.registration.memory`.
      notices: what must be said of the answer, `ldr_tf.notices.Notice`.
      seconds: of each stage, in order.
    """

    warped: sitk.Image
    displacement: sitk.Image
    model: Optional[RegistrationModel]
    alignment: Alignment
    unfolding: Optional[Unfolding]
    masks: dict[str, Mask]
    background: float
    warped_labels: Optional[sitk.Image]
    inverse: Optional[sitk.Image]
    inverse_residual: Optional[dict[str, float]]
    correlation_before: Optional[float]
    correlation_after: Optional[float]
    stages: dict[str, Optional[float]]
    refinement: Optional[RefinementConfig]
    dice_before: Optional[dict[int, float]]
    dice_after: Optional[dict[int, float]]
    landmarks_before: Optional[dict[str, float]]
    landmarks_after: Optional[dict[str, float]]
    folds_percent: float
    folds_any_percent: float
    std_jacobian: float
    estimated_mb: float
    notices: tuple[Notice, ...]
    seconds: dict[str, float]

    @functools.cached_property
    def jacobian(self):
        return scans.jacobian_image(self.displacement)
