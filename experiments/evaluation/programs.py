"""Other registration programs, each as a function of two scans; extra `baselines`.

ANTs: SyN with its affine step and defaults (Avants et al., Medical Image Analysis 2008). elastix:
its default affine and B-spline maps one after the other (Klein et al., IEEE TMI 2010). Greedy: an
affine step by mutual information, as short as its manual has it, and a deformable one by local
correlation (Yushkevich et al., 2016).

    python -m experiments.evaluation.programs NAME FIXED MOVING OUTPUT [ITERATIONS]

registers two files and writes the displacement field, as a process of its own and without
TensorFlow, for experiments.benchmark shell.
"""

import os
import sys
import tempfile

import numpy as np
import SimpleITK as sitk

from ldr_tf import imaging

_SEED = 1
GREEDY_ITERATIONS = "100x50x10"
"""Of the deformable step, from coarse to fine, as Greedy's manual has them."""


def ants(fixed, moving):
    """Registers by ANTs.

    Args:
      fixed, moving: SimpleITK images of float32.

    Returns:
      The displacement field on the fixed grid, [x, y, z, 3], mm, LPS.
    """
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


def elastix(fixed, moving):
    """As `ants`, by elastix."""
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
        _, transform = itk.elastix_registration_method(*images, parameter_object=maps, **quietly)
        field = itk.transformix_deformation_field(images[1], transform, **quietly)
        return itk.array_from_image(field).transpose(2, 1, 0, 3)


def greedy(fixed, moving, iterations=GREEDY_ITERATIONS):
    """As `ants`, by Greedy; `iterations` are those of the deformable step, "100x50x10"."""
    from picsl_greedy import Greedy3D

    program = Greedy3D()
    common = f"-i fixed moving -threads {os.cpu_count()} -V 0 "
    program.execute(
        common + "-a -dof 12 -ia-identity -m NMI -n 40x10 -o affine",
        fixed=fixed,
        moving=moving,
        affine=None,
    )
    program.execute(common + f"-it affine -m NCC 2x2x2 -n {iterations} -o warp", warp=None)
    program.execute("-rf fixed -r warp affine -rc whole -V 0", whole=None)
    return imaging.to_array(program["whole"])


def main(name, fixed, moving, output, *options):
    """Registers two files by the program of that name; writes the displacement field."""
    images = [imaging.as_float32(imaging.read_scan(path)) for path in (fixed, moving)]
    field = {"ants": ants, "elastix": elastix, "greedy": greedy}[name](*images, *options)
    imaging.write_image(imaging.to_image(np.asarray(field, np.float32), images[0]), output)


if __name__ == "__main__":
    main(*sys.argv[1:])
