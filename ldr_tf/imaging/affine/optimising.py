"""Mutual information of two scans, and its optimisation, by SimpleITK."""

import contextlib

import numpy as np
import SimpleITK as sitk

from ldr_tf.imaging.grid import grid_of

_SAMPLED = 0.3
_SEED = 1


@contextlib.contextmanager
def one_thread():
    """Sums over several threads differ from run to run; the metric heeds the global number only."""
    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


class Pair:
    """Two scans at one spacing, between which maps are judged and optimised."""

    def __init__(self, fixed, moving, spacing, sampled=_SAMPLED, core=False):
        """Takes two Scans, mm, the share of the voxels to look at, and whether only in the core."""
        self.spacing, self._sampled = spacing, sampled
        self._images, measured = zip(*(scan.isotropic(spacing, core) for scan in (fixed, moving)))
        self._mask = fixed.near(grid_of(self._images[0]), core)
        self._moving_mask = measured[1]

    def disagreement(self, transform):
        """Returns the negative mutual information; infinite where nothing overlaps."""
        method = self._method()
        method.SetInitialTransform(sitk.Transform(transform))
        try:
            return method.MetricEvaluate(*self._images)
        except RuntimeError:  # SimpleITK's error for "no sample lies inside the moving image"
            return np.inf

    def optimise(self, transform, start, levels, step=2.0, least=0.005, iterations=100):
        """Changes `transform` for the better; one that finds no overlap stays as it is.

        Args:
          transform: what to optimise, a sitk.Transform near to the identity.
          start: a sitk.AffineTransform that carries on from where `transform` leads.
          levels: (shrink factor, mm of smoothing) of each level.
          step, least: mm that the first step moves voxels by, and those of the last one.
          iterations: at most so many a level.
        """
        method = self._method()
        method.SetShrinkFactorsPerLevel([factor for factor, _ in levels])
        method.SetSmoothingSigmasPerLevel([sigma for _, sigma in levels])
        method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=step,
            minStep=least,
            numberOfIterations=iterations,
            relaxationFactor=0.6,
            gradientMagnitudeTolerance=1e-6,
        )
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetMovingInitialTransform(start)
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(*self._images)
        except RuntimeError:
            return

    def _method(self):
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(32)
        method.SetMetricSamplingStrategy(method.REGULAR)
        method.SetMetricSamplingPercentage(self._sampled, _SEED)
        method.SetMetricFixedMask(self._mask)
        if self._moving_mask is not None:
            method.SetMetricMovingMask(self._moving_mask)
        method.SetInterpolator(sitk.sitkLinear)
        return method
