"""Displacement fields and ITK's transform files, checked before and after ITK reads them.

ITK takes a text file that ends before its parameters for the identity, and reserves memory for as
many nodes of a B-spline as its fixed parameters ask for, whatever follows.
"""

import os
import re
import tempfile

import h5py
import numpy as np
import scipy.io
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging.reading import read_vectors
from ldr_tf.imaging.unpacking import RATIO, check_exists

_TEXT = (".tfm", ".txt")
_HDF5 = (".h5", ".hdf5")
_MATLAB = (".mat",)
_ENDINGS = (*_TEXT, *_HDF5, *_MATLAB, ".xfm")
_MAGIC = "#insight transform file"
_COUNTS = {
    "TranslationTransform": 3,
    "ScaleTransform": 3,
    "ScaleLogarithmicTransform": 3,
    "VersorTransform": 3,
    "QuaternionRigidTransform": 7,
    "Euler3DTransform": 6,
    "VersorRigid3DTransform": 6,
    "Similarity3DTransform": 7,
    "ScaleVersor3DTransform": 9,
    "ScaleSkewVersor3DTransform": 15,
    "AffineTransform": 12,
    "MatrixOffsetTransformBase": 12,
}
"""Parameters of transforms that have a fixed number of them."""

_KIND = re.compile(r"[A-Za-z0-9]+(_(double|float)(_\d+_\d+)?)?")
_ON_GRIDS = ("BSpline", "DisplacementField", "VelocityField")
_GRID_PARAMETERS = 18
"""Of a grid in space: size, origin, spacing, three numbers each, and nine of the direction."""


def read_displacement(path, notices=None):
    """Reads an ITK displacement field: a 3D image of vectors in mm, LPS.

    Returns:
      A SimpleITK vector image, float64.

    Raises:
      InputError: as `ldr_tf.imaging.reading.read_image`; not three numbers a voxel; NaN.
    """
    path = os.fspath(path)
    check_exists(path)
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, a displacement field was expected.")
    image = sitk.Cast(read_vectors(path, notices), sitk.sitkVectorFloat64)
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise InputError(f"{path}: the displacement field holds NaN or infinite values.")
    return image


def read_transform(path, notices=None):
    """Reads any of ITK's 3D transforms: a displacement field or a transform file.

    Args:
      path: .tfm, .txt, .mat, .h5, .hdf5, .xfm: a transform file (affine, B-spline, a chain of
        several ...); anything else: a displacement field.
      notices: a Notices, or None.

    Returns:
      A SimpleITK transform, of points of the fixed to points of the moving image.

    Raises:
      InputError: as `read_displacement`; not a transform, or several that are no chain; cut off;
        not 3D; NaN or infinite parameters; a linear map that flattens space.
    """
    path = os.fspath(path)
    name = path.lower()
    if not name.endswith(_ENDINGS):
        return sitk.DisplacementFieldTransform(read_displacement(path, notices))
    check_exists(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such file.")
    found = ()
    if name.endswith(_TEXT):
        found = _in_text(path)
    elif name.endswith(_HDF5):
        found = _in_hdf5(path)
    elif name.endswith(_MATLAB):
        found = _in_matlab(path)
    if len(found) > 1 and not found[0][0].startswith("Composite"):
        # Of these ITK would take the first, and tell the screen alone.
        raise InputError(
            f"{path}: holds {len(found)} transforms beside one another, not a chain of them (a "
            "CompositeTransform); each must be given as a file of its own."
        )
    for kind, parameters, fixed in found:
        _check(path, kind, np.ravel(parameters), np.ravel(fixed))
    try:
        transform = _clean(found) if name.endswith(_HDF5) else sitk.ReadTransform(path)
    except KeyError as error:  # SimpleITK has no class for a few of ITK's
        raise InputError(f"{path}: is of a kind of transform that SimpleITK lacks.") from error
    except (OSError, RuntimeError, UnicodeDecodeError) as error:  # ITK quotes what it cannot read
        raise InputError(f"{path}: is not a transform file that ITK can read.") from error
    if transform.GetDimension() != 3:
        raise InputError(f"{path}: a 3D transform was expected, not a 2D one.")
    for numbers in (transform.GetParameters(), transform.GetFixedParameters()):
        if not np.isfinite(numbers).all():
            raise InputError(f"{path}: the transform holds NaN or infinite parameters.")
    if transform.IsLinear():
        _check_linear(path, transform)
    return transform


def _check(path, kind, parameters, fixed):
    """Refuses, with InputError, numbers that cannot be those of a kind of transform."""
    name = kind.split("_")[0]
    if not _KIND.fullmatch(kind):
        raise InputError(f"{path}: {kind[:60]!r} is no transform of ITK.")
    if name.startswith("Composite") or name.startswith("Identity"):
        return
    if not (np.isfinite(parameters).all() and np.isfinite(fixed).all()):
        raise InputError(f"{path}: the transform holds NaN or infinite parameters.")
    dimensions = kind.split("_")[2:3]
    if dimensions and dimensions != ["3"]:
        raise InputError(f"{path}: a 3D transform was expected, not a {dimensions[0]}D one.")
    needed = _COUNTS.get(name)
    if needed and name != "TranslationTransform" and fixed.size not in (3, 4):
        raise InputError(
            f"{path}: a {name} has 3 fixed parameters, its centre, not {fixed.size}; the file is "
            "truncated or damaged."
        )
    if name.startswith(_ON_GRIDS) and fixed.size >= _GRID_PARAMETERS:
        nodes = np.rint(fixed[:3]).astype(object)
        if min(nodes) < 1:
            raise InputError(f"{path}: a grid of {fixed[:3]} nodes is none.")
        needed = 3 * int(np.prod(nodes))
    elif name.startswith(_ON_GRIDS):
        raise InputError(
            f"{path}: a {name} needs {_GRID_PARAMETERS} fixed parameters, not {fixed.size}."
        )
    if parameters.size == 0 or needed not in (None, parameters.size):
        raise InputError(
            f"{path}: a {name} has {needed or 'some'} parameters, not {parameters.size}; the file "
            "is truncated or damaged."
        )


def _clean(found):
    """Returns the transform of what an HDF5 file holds.

    ITK reads it from a new file: in a damaged one its HDF5 ends the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "transform.h5")
        with h5py.File(path, "w") as file:
            for number, (kind, parameters, fixed) in enumerate(found):
                group = file.create_group(f"TransformGroup/{number}")
                group.create_dataset("TransformType", data=[kind], dtype=h5py.string_dtype("ascii"))
                if not kind.startswith("Composite"):
                    group["TransformParameters"] = np.ravel(parameters)
                    group["TransformFixedParameters"] = np.ravel(fixed)
        return sitk.ReadTransform(path)


def _check_linear(path, transform):
    origin = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
    axes = [np.array(transform.TransformPoint(tuple(row))) - origin for row in np.eye(3)]
    if not abs(np.linalg.det(axes)) > 1e-9:
        raise InputError(f"{path}: the transform flattens space; its matrix must be invertible.")


def _in_text(path):
    """Lists (kind, parameters, fixed parameters) of ITK's text file."""
    try:
        with open(path, encoding="latin-1") as file:
            lines = [line.strip() for line in file]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if not lines or not lines[0].lower().startswith(_MAGIC):
        raise InputError(f"{path}: is not a transform file of ITK.")
    found = []
    for line in lines:
        name, sign, text = line.partition(":")
        if not sign or line.startswith("#"):
            continue
        if name == "Transform":
            found.append({"kind": text.strip()})
        elif found and name in ("Parameters", "FixedParameters"):
            try:
                found[-1][name] = np.array([float(word) for word in text.split()])
            except ValueError as error:
                raise InputError(f"{path}: {name} must be numbers.") from error
    if not found:
        raise InputError(f"{path}: holds no transform.")
    result = []
    for content in found:
        lacking = {"Parameters", "FixedParameters"} - set(content)
        if lacking and not content["kind"].startswith("Composite"):
            raise InputError(
                f"{path}: a {content['kind'].split('_')[0]} without {sorted(lacking)[0]}; the file "
                "is truncated or damaged."
            )
        result.append(
            (content["kind"], content.get("Parameters", ()), content.get("FixedParameters", ()))
        )
    return result


def _in_hdf5(path):
    """Lists (kind, parameters, fixed parameters) of ITK's HDF5 file."""
    result = []
    most = RATIO * os.path.getsize(path) // 8
    try:
        with h5py.File(path, "r") as file:
            for name in sorted(file["TransformGroup"], key=lambda name: (len(name), name)):
                group = file["TransformGroup"][name]
                kind = np.ravel(_content(group["TransformType"], 1))[0]
                kind = kind.decode("latin-1") if isinstance(kind, bytes) else str(kind)
                numbers = []
                for field in ("Parameters", "FixedParameters"):
                    # ITK misspelt these names for years.
                    keys = [prefix + field for prefix in ("Transform", "Tranform")]
                    dataset = next((group[key] for key in keys if key in group), None)
                    numbers.append(() if dataset is None else _content(dataset, most))
                result.append((kind, *[np.asarray(part, float) for part in numbers]))
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise InputError(f"{path}: is not a transform file that ITK can read.") from error
    except MemoryError as error:
        raise InputError(f"{path}: asks for more memory than there is.") from error
    return result


def _content(dataset, most):
    """Returns what a dataset holds; ValueError where that is more than the file can give."""
    if dataset.size is None or dataset.size > most:
        raise ValueError(f"{dataset.name} is too large")
    return dataset[()]


def _in_matlab(path):
    """Lists (kind, parameters, fixed parameters) of ITK's MATLAB file, as ANTs writes it."""
    try:
        content = scipy.io.loadmat(path)
    except (OSError, ValueError, TypeError, KeyError, IndexError, NotImplementedError) as error:
        raise InputError(f"{path}: is not a transform file that ITK can read.") from error
    except MemoryError as error:
        raise InputError(f"{path}: asks for more memory than there is.") from error
    kinds = [name for name in content if name.count("_") >= 2 and not name.startswith("__")]
    try:
        fixed = np.asarray(content.get("fixed", ()), float)
        return [(kind, np.asarray(content[kind], float), fixed) for kind in kinds]
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: is not a transform file that ITK can read.") from error
