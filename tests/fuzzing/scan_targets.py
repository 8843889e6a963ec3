"""Files of scans, landmarks, lists and transforms, damaged, and the commands that take them."""

import atexit
import functools
import os
import shutil
import tempfile

import numpy as np
import SimpleITK as sitk
from hypothesis import strategies as st

from data.sources import find_sources
from ldr_tf import imaging
from ldr_tf.commands import register, warp
from ldr_tf.commands.quiet import quiet_native
from ldr_tf.registration.pair_lists import read_pairs
from tests.fuzzing.attempt import OUTPUT
from tests.fuzzing.mutations import damaged, named

_SCANS_CSV = (
    b"image,labels,landmarks,subset,name,series\n"
    b'a.nii.gz,a_seg.nii.gz,,train,first,\n"b, c.mha",,b.csv,validation,,1\n'
)
_POINTS = {
    "points.csv": b"name,x,y,z\nleft,1.5,2,3\nright,-4,5e1,6\n",
    "decimal.csv": b"name;x;y;z\nleft;1,5;2;3\nright;-4;5e1;6\n",
    "slicer.fcsv": b"# Markups fiducial file version = 4.11\n# CoordinateSystem = LPS\n"
    b"# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID\n"
    b"1,1.5,2,3,0,0,0,1,1,1,0,left,,\n2,-4,50,6,0,0,0,1,1,1,0,right,,\n",
    "slicer.mrk.json": b'{"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", '
    b'"coordinateUnits": "mm", "controlPoints": [{"id": "1", "label": "left", '
    b'"position": [1.5, 2.0, 3.0]}]}]}',
    "elastix.txt": b"point\n2\n1.5 2 3\n-4 50 6\n",
}
_PAIRS_CSV = (
    b"fixed,moving,fixed_labels,moving_labels,output\n"
    b'a.nii.gz,b.nii.gz,,b_seg.nii.gz,first\n"c, d.mha",e.nrrd,,,\n'
)


@functools.cache
def _scan(ending):
    image = sitk.GetImageFromArray(np.arange(4 * 5 * 6, dtype=np.int16).reshape(6, 5, 4))
    image.SetSpacing((1.0, 2.0, 3.0))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "scan" + ending)
        sitk.WriteImage(image, path)
        with open(path, "rb") as file:
            return file.read()


def _scan_files():
    endings = st.sampled_from([".nii", ".nii.gz", ".mha", ".nrrd"])
    return endings.flatmap(
        lambda ending: damaged(_scan(ending)).map(lambda content: {"scan" + ending: content})
    )


def _damaged_one_of(files):
    """Strategy for one of several files, {name: bytes}."""
    return st.sampled_from(sorted(files)).flatmap(
        lambda name: damaged(files[name]).map(lambda content: {name: content})
    )


@functools.cache
def _transforms():
    """Files of transforms: affine, B-spline and chain as text, a displacement field."""
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1.1, 0.1, 0, -0.1, 0.9, 0, 0, 0, 1.0))
    spline = sitk.BSplineTransformInitializer(sitk.Image(8, 9, 10, sitk.sitkUInt8), [2, 2, 2])
    field = sitk.Image([3, 4, 5], sitk.sitkVectorFloat32, 3) + 0.5
    chain = sitk.CompositeTransform([affine, sitk.TranslationTransform(3, (1.0, 2.0, 3.0))])
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, one in {"affine.tfm": affine, "spline.txt": spline, "chain.tfm": chain}.items():
            sitk.WriteTransform(one, os.path.join(folder, name))
        sitk.WriteImage(field, os.path.join(folder, "field.nii"))
        sitk.WriteImage(field, os.path.join(folder, "field.mha"))
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as file:
                found[name] = file.read()
    return found


def _use_transform(folder):
    with quiet_native():
        imaging.read_transform(_only(folder))


def _use_warp(folder):
    """ldr-warp from end to end; the transform or the input is damaged."""
    given = _only(folder)
    transform, scan = given, _good_scan()
    if os.path.basename(given).startswith("scan"):
        transform, scan = _good_transform(), given
    output = _output(folder)
    flags_ = [f"--transform={transform}", f"--input={scan}", f"--reference={_good_scan()}"]
    path = os.path.join(output, "warped.nii.gz")
    code = warp.main(["ldr-warp", "--quiet", *flags_, f"--output={path}"])
    assert os.path.exists(path) == (code == 0), "the output is there, or missing, without a reason"
    return code


def _use_register(folder):
    """ldr-register from end to end, without a model; the moving scan is damaged."""
    scans = [f"--fixed={_good_scan()}", f"--moving={_only(folder)}"]
    output = os.path.join(_output(folder), "registered")
    code = register.main(
        ["ldr-register", "--quiet", "--model=none", "--refine_steps=0", "--affine=moments"]
        + [*scans, f"--output={output}"]
    )
    assert os.path.exists(output) == (code == 0), "the output is there, or missing, without a cause"
    return code


def _output(folder):
    output = os.path.join(os.path.dirname(folder), OUTPUT)
    os.makedirs(output, exist_ok=True)
    return output


@functools.cache
def _good(name, content):
    folder = tempfile.mkdtemp(prefix="fuzz-good-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = os.path.join(folder, name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def _good_scan():
    return _good("good.nii.gz", _scan(".nii.gz"))


def _good_transform():
    return _good("affine.tfm", _transforms()["affine.tfm"])


def _only(folder):
    (name,) = os.listdir(folder)
    return os.path.join(folder, name)


def _use_scan(folder):
    with quiet_native():  # as the commands read
        image = imaging.read_scan(_only(folder))
    assert np.isfinite(image.GetSpacing()).all() and min(image.GetSpacing()) > 0, "spacing"


SCAN_TARGETS = {
    "scan_lists": {
        "files": named("list.csv", damaged(_SCANS_CSV)),
        "use": lambda folder: find_sources(os.path.join(folder, "list.csv")) and None,
    },
    "landmarks": {
        "files": _damaged_one_of(_POINTS),
        "use": lambda folder: imaging.read_points(_only(folder)) and None,
    },
    "pairs": {
        "files": named("pairs.csv", damaged(_PAIRS_CSV)),
        "use": lambda folder: read_pairs(os.path.join(folder, "pairs.csv"), OUTPUT) and None,
    },
    "scans": {"files": st.deferred(_scan_files), "use": _use_scan},
    "transforms": {
        "files": st.deferred(lambda: _damaged_one_of(_transforms())),
        "use": _use_transform,
    },
    "ldr-warp": {
        "files": st.deferred(lambda: _damaged_one_of(_transforms()) | _scan_files()),
        "use": _use_warp,
    },
    "ldr-register": {"files": st.deferred(_scan_files), "use": _use_register},
}
