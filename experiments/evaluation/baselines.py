"""Registration programs to compare with, where they are installed (extra `baselines`).

ANTs: SyN with its affine step and defaults (Avants et al., Medical Image Analysis 2008). elastix:
its default affine and B-spline maps one after the other (Klein et al., IEEE TMI 2010).
"""

import importlib
import importlib.metadata
import os
import tempfile
import time

import numpy as np
import SimpleITK as sitk

from experiments.evaluation.methods import outcome_of_displacement
from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.metrics.memory import PeakMemory

_SEED = 1


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
    """What both share: they are timed and result in a displacement field on the fixed grid."""

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

    def _displacement(self, fixed, moving):
        import ants

        images = [
            ants.from_numpy(
                imaging.to_array(image),
                origin=image.GetOrigin(),
                spacing=image.GetSpacing(),
                direction=np.reshape(image.GetDirection(), (3, 3)),
            )
            for image in (fixed, moving)
        ]
        with tempfile.TemporaryDirectory() as folder:
            prefix = os.path.join(folder, "syn_")
            found = ants.registration(
                *images, type_of_transform="SyN", outprefix=prefix, random_seed=_SEED
            )
            path = ants.apply_transforms(
                *images, found["fwdtransforms"], compose=os.path.join(folder, "all_")
            )
            return imaging.to_array(sitk.ReadImage(path))


class Elastix(_Baseline):
    """elastix, affine and B-spline."""

    name, package, module = "elastix", "itk-elastix", "itk"

    def _displacement(self, fixed, moving):
        import itk

        images = []
        for image in (fixed, moving):
            array = np.ascontiguousarray(sitk.GetArrayFromImage(image))
            converted = itk.image_from_array(array)
            converted.SetOrigin(image.GetOrigin())
            converted.SetSpacing(image.GetSpacing())
            direction = np.reshape(image.GetDirection(), (3, 3))
            converted.SetDirection(itk.matrix_from_array(direction))
            images.append(converted)
        maps = itk.ParameterObject.New()
        for kind in ("affine", "bspline"):
            maps.AddParameterMap(maps.GetDefaultParameterMap(kind))
        # Without a folder of its own transformix leaves its files in the current one.
        with tempfile.TemporaryDirectory() as folder:
            quietly = {"log_to_console": False, "output_directory": folder}
            _, transform = itk.elastix_registration_method(
                *images, parameter_object=maps, **quietly
            )
            field = itk.transformix_deformation_field(images[1], transform, **quietly)
            return itk.array_from_image(field).transpose(2, 1, 0, 3)


BASELINES = {"ants": Ants, "elastix": Elastix}
