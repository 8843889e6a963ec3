"""Registration programs to compare with, where they are installed (extra `baselines`)."""

import importlib
import importlib.metadata
import time

import numpy as np
import SimpleITK as sitk

from experiments.evaluation import programs
from experiments.evaluation.methods import outcome_of_displacement
from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.metrics.memory import PeakMemory


def make_baseline(name):
    """Returns the method of that name.

    Raises:
      InputError: no such baseline, or its package is not installed.
    """
    if name not in BASELINES:
        raise InputError(f"--baseline knows {', '.join(BASELINES)}, not {name!r}.")
    kind = BASELINES[name]
    try:
        importlib.import_module(kind.module)
    except ImportError as error:
        raise InputError(
            f"--baseline={name} needs the package {kind.package}, which is not installed: "
            f'pip install {kind.package}, or pip install ".[baselines]".'
        ) from error
    return kind()


class _Baseline:
    """What they share: they are timed and result in a displacement field on the fixed grid."""

    parameters = 0
    module = package = name = ""

    def state(self):
        return [self.package, importlib.metadata.version(self.package)]

    def __call__(self, case):
        fixed, moving = [sitk.Cast(case.scans[s], sitk.sitkFloat32) for s in ("fixed", "moving")]
        with PeakMemory() as memory:
            start, cpu = time.perf_counter(), time.process_time()
            try:
                array = self._displacement(fixed, moving)
            except (RuntimeError, ValueError) as error:
                reason = (str(error).strip().splitlines() or ["no reason given"])[-1]
                raise InputError(f"{self.name} failed: {reason}") from error
            costs = {
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - cpu,
            }
        field = imaging.to_image(np.asarray(array, np.float64), case.grid)
        return outcome_of_displacement(case, field, peak_memory_mb=memory.megabytes, **costs)

    def _displacement(self, fixed, moving):
        """Returns [x, y, z, 3], mm, LPS."""
        raise NotImplementedError


class Ants(_Baseline):
    """ANTs SyN."""

    name, package, module = "ants", "antspyx", "ants"
    _displacement = staticmethod(programs.ants)


class Elastix(_Baseline):
    """elastix, affine and B-spline."""

    name, package, module = "elastix", "itk-elastix", "itk"
    _displacement = staticmethod(programs.elastix)


class Greedy(_Baseline):
    """Greedy, affine and deformable."""

    name, package, module = "greedy", "picsl-greedy", "picsl_greedy"
    _displacement = staticmethod(programs.greedy)


BASELINES = {"ants": Ants, "elastix": Elastix, "greedy": Greedy}
