import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.commands import warp
from ldr_tf.imaging import same_grid, to_array


@pytest.fixture
def case(tmp_path):
    """Writes an input, a reference on another grid and transforms; returns the folder."""
    rng = np.random.default_rng(0)
    image = sitk.GetImageFromArray(rng.integers(1, 200, (12, 14, 16)).astype(np.int16))
    image.SetSpacing((1.0, 1.5, 2.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    reference = sitk.Image(18, 17, 15, sitk.sitkUInt8)
    reference.SetOrigin((-14.0, 1.0, 2.0))
    reference.SetDirection((1, 0, 0, 0, 0, -1, 0, 1, 0))
    reference[3, 3, 3] = 1
    vectors = rng.normal(size=(15, 17, 18, 3)) + (2.0, -1.0, 0.5)
    field = sitk.GetImageFromArray(vectors, isVector=True)
    field.CopyInformation(reference)
    for name in ("field.nii.gz", "field.mha"):
        sitk.WriteImage(field, str(tmp_path / name))
    affine = sitk.AffineTransform(3)
    affine.SetMatrix((1.1, 0.1, 0, 0, 0.9, 0.05, -0.1, 0, 1))
    affine.SetTranslation((1.0, 2.0, -3.0))
    sitk.WriteTransform(affine, str(tmp_path / "affine.tfm"))
    chain = sitk.CompositeTransform([affine, sitk.DisplacementFieldTransform(field)])
    sitk.WriteTransform(chain, str(tmp_path / "chain.h5"))
    sitk.WriteImage(image, str(tmp_path / "input.nii.gz"))
    sitk.WriteImage(reference, str(tmp_path / "reference.nii.gz"))
    return tmp_path


def call(folder, **changed):
    values = {
        "transform": folder / "field.nii.gz",
        "input": folder / "input.nii.gz",
        "reference": folder / "reference.nii.gz",
        "output": folder / "out.nii.gz",
    }
    values.update(changed)
    return warp.main(["ldr-warp", *[f"--{name}={value}" for name, value in values.items()]])


@pytest.mark.parametrize("name", ["field.nii.gz", "field.mha", "affine.tfm", "chain.h5"])
@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_equals_simpleitk(case, name, interpolation):
    assert call(case, transform=case / name, interpolation=interpolation) == 0
    image, reference = (sitk.ReadImage(str(case / f"{n}.nii.gz")) for n in ("input", "reference"))
    if name.startswith("field"):
        field = sitk.ReadImage(str(case / name), sitk.sitkVectorFloat64)
        transform = sitk.DisplacementFieldTransform(field)
    else:
        transform = sitk.ReadTransform(str(case / name))
    kind = sitk.sitkLinear if interpolation == "linear" else sitk.sitkNearestNeighbor
    pixel = sitk.sitkFloat32 if interpolation == "linear" else sitk.sitkInt16
    wanted = to_array(sitk.Resample(sitk.Cast(image, pixel), reference, transform, kind, 0.0))
    out = sitk.ReadImage(str(case / "out.nii.gz"))
    assert out.GetPixelID() == pixel and same_grid(out, reference)
    np.testing.assert_allclose(to_array(out), wanted, atol=1e-4)
    assert 0.2 < (wanted == 0).mean() < 0.9  # 0 outside the input, and not everywhere


def test_other_output_formats(case):
    for name in ("out.mha", "out.nrrd", "out.nii"):
        assert call(case, output=case / name) == 0
        assert sitk.ReadImage(str(case / name)).GetSize() == (18, 17, 15)


def bad_call(case, what):
    """Returns the changed flags of a bad call and the word that must be in the answer."""
    path = case / "bad.nii.gz"
    if what == "missing transform":
        return {"transform": path}, path
    if what == "missing transform file":
        return {"transform": case / "no.tfm"}, "no.tfm"
    if what == "broken transform file":
        (case / "bad.tfm").write_text("nonsense")
        return {"transform": case / "bad.tfm"}, "bad.tfm"
    if what == "scalar field":
        return {"transform": case / "input.nii.gz"}, "input.nii.gz"
    if what == "truncated field":
        content = (case / "field.nii.gz").read_bytes()
        path.write_bytes(content[: len(content) // 2])
        return {"transform": path}, path
    if what == "2D input":
        sitk.WriteImage(sitk.Image(5, 5, sitk.sitkUInt8), str(path))
        return {"input": path}, path
    if what == "missing reference":
        return {"reference": path}, path
    if what == "interpolation":
        return {"interpolation": "cubic"}, "cubic"
    if what == "output format":
        return {"output": case / "out.png"}, "out.png"
    return {"output": case / "none" / "out.nii"}, case / "none"


KINDS = ["missing transform", "missing transform file", "broken transform file", "scalar field"]
KINDS += ["truncated field", "2D input", "missing reference", "interpolation", "output format"]


@pytest.mark.parametrize("what", [*KINDS, "output folder"])
def test_bad_input_ends_in_one_sentence_and_leaves_nothing(case, capfd, what):
    flags, word = bad_call(case, what)
    before = sorted(os.listdir(case))
    capfd.readouterr()
    assert call(case, **flags) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("ldr-warp: ") and err.count("\n") == 1 and str(word) in err
    assert sorted(os.listdir(case)) == before


def test_as_a_process_a_refusal_is_one_line(case):
    """Nothing but the sentence reaches the screen, TensorFlow's start-up lines included."""
    command = [sys.executable, "-m", "ldr_tf.commands.warp", f"--input={case / 'none.nii'}"]
    command += [f"--{n}={case / (n + '.nii.gz')}" for n in ("reference", "output")]
    command.append(f"--transform={case / 'field.nii.gz'}")
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    root = pathlib.Path(__file__).parents[2]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=root, env=environment
    )
    assert done.returncode == 2
    assert done.stderr == f"warp: {case / 'none.nii'}: no such file or folder.\n"
