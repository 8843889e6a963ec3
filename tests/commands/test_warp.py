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


def test_a_chain_goes_through_in_the_order_given(case):
    transforms = [f"--transform={case / name}" for name in ("field.nii.gz", "affine.tfm")]
    flags = [f"--{n}={case / n}.nii.gz" for n in ("input", "reference")]
    output = case / "chained.nii.gz"
    assert warp.main(["ldr-warp", *transforms, *flags, f"--output={output}"]) == 0
    # Independent source: SimpleITK's own chain; its last transform is applied first, chain.h5 is
    # the affine map after the field.
    assert call(case, transform=case / "chain.h5") == 0
    once, again = (to_array(sitk.ReadImage(str(p))) for p in (output, case / "out.nii.gz"))
    np.testing.assert_array_equal(once, again)
    assert warp.main(["ldr-warp", *transforms[::-1], *flags, f"--output={output}"]) == 0
    assert np.abs(to_array(sitk.ReadImage(str(output))) - again).max() > 1


@pytest.mark.parametrize("kind", ["ants", "elastix"])
def test_fields_as_ants_and_elastix_write_them(case, kind):
    """ANTs: NIfTI of float64 or float32 vectors, intent 1007; elastix: MetaImage of float32."""
    field = sitk.ReadImage(str(case / "field.nii.gz"), sitk.sitkVectorFloat64)
    path = case / ("0Warp.nii.gz" if kind == "ants" else "deformationField.mhd")
    written = field if kind == "ants" else sitk.Cast(field, sitk.sitkVectorFloat32)
    sitk.WriteImage(written, str(path), useCompression=kind == "ants")
    assert call(case, transform=path) == 0
    image = sitk.ReadImage(str(case / "input.nii.gz"), sitk.sitkFloat32)
    reference = sitk.ReadImage(str(case / "reference.nii.gz"))
    transform = sitk.DisplacementFieldTransform(sitk.Cast(written, sitk.sitkVectorFloat64))
    wanted = to_array(sitk.Resample(image, reference, transform, sitk.sitkLinear, 0.0))
    np.testing.assert_array_equal(to_array(sitk.ReadImage(str(case / "out.nii.gz"))), wanted)


def warp_points(case, text, transforms, *flags):
    (case / "points.csv").write_text(text)
    command = ["ldr-warp", *[f"--transform={case / t}" for t in transforms]]
    command += [f"--input={case / 'points.csv'}", f"--output={case / 'moved.csv'}"]
    return warp.main([*command, *flags])


@pytest.mark.parametrize("space, sign", [("LPS", 1), ("RAS", -1)])
def test_landmarks_travel_from_fixed_to_moving(case, space, sign):
    text = f"name,x,y,z\na,{sign * -8.0},{sign * -5.0},9.0\n"
    assert warp_points(case, text, ["field.nii.gz", "affine.tfm"], f"--points_space={space}") == 0
    # Independent source: SimpleITK carries the point through one after the other.
    field = sitk.ReadImage(str(case / "field.nii.gz"), sitk.sitkVectorFloat64)
    point = sitk.DisplacementFieldTransform(field).TransformPoint((-8.0, -5.0, 9.0))
    wanted = np.array(sitk.ReadTransform(str(case / "affine.tfm")).TransformPoint(point))
    assert np.linalg.norm(np.subtract(point, (-8.0, -5.0, 9.0))) > 0.5
    found = (case / "moved.csv").read_text().splitlines()[1].split(",")
    assert found[0] == "a"
    np.testing.assert_allclose(np.array(found[1:], float), wanted * (sign, sign, 1), atol=1e-4)


@pytest.mark.parametrize(
    "text, flags, word",
    [
        ("name,x,y,z\nfar,500,0,0\n", [], "'far'"),
        ("name,x,y\na,5,0\n", [], "points.csv"),
        ("name,x,y,z\na,-8,5,-3\n", ["--output=moved.nii"], "moved.nii"),
        ("name,x,y,z\na,-8,5,-3\n", ["--reference=x.nii"], "--reference"),
    ],
)
def test_bad_landmarks(case, capsys, text, flags, word):
    assert warp_points(case, text, ["field.nii.gz"], *flags) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and word in err
    assert not (case / "moved.csv").exists()


def test_images_need_a_reference(case, capsys):
    flags = [f"--transform={case / 'affine.tfm'}", f"--input={case / 'input.nii.gz'}"]
    assert warp.main(["ldr-warp", *flags, f"--output={case / 'o.nii'}"]) == 2
    assert "--reference" in capsys.readouterr().err


def test_an_inverted_affine_as_ants_writes_it(case, capsys):
    affine = sitk.ReadTransform(str(case / "affine.tfm"))
    image, reference = (sitk.ReadImage(str(case / f"{n}.nii.gz")) for n in ("input", "reference"))
    for number, transform in ((1, affine.GetInverse()), (0, affine)):
        assert call(case, transform=f"[{case / 'affine.tfm'},{number}]") == 0
        wanted = sitk.Resample(
            sitk.Cast(image, sitk.sitkFloat32), reference, transform, sitk.sitkLinear
        )
        found = to_array(sitk.ReadImage(str(case / "out.nii.gz")))
        np.testing.assert_allclose(found, to_array(wanted), atol=1e-3)
    capsys.readouterr()
    assert call(case, transform=f"[{case / 'field.nii.gz'}, 1]") == 2
    assert "only a linear transform can be inverted" in capsys.readouterr().err
    assert call(case, transform=f"[{case / 'none.tfm'},1]") == 2
    assert f"{case / 'none.tfm'}: no such file" in capsys.readouterr().err


def test_a_chain_and_back_leads_points_home(case):
    text = "name,x,y,z\na,-8.0,-5.0,9.0\n"
    (case / "points.csv").write_text(text)
    flags = [f"--transform={case / 'affine.tfm'}", f"--transform=[{case / 'affine.tfm'},1]"]
    flags += [f"--input={case / 'points.csv'}", f"--output={case / 'moved.csv'}"]
    assert warp.main(["ldr-warp", *flags]) == 0
    found = (case / "moved.csv").read_text().splitlines()[1].split(",")[1:]
    np.testing.assert_allclose(np.array(found, float), (-8, -5, 9), atol=1e-3)


def test_labels_interpolated_linearly_are_warned_of(case, capsys):
    labels = np.zeros((12, 14, 16), np.uint8)
    labels[3:9, 3:9, 3:9], labels[3:9, 9:12, 3:9] = 2, 7
    image = sitk.GetImageFromArray(labels)
    image.CopyInformation(sitk.ReadImage(str(case / "input.nii.gz")))
    sitk.WriteImage(image, str(case / "labels.nii.gz"))
    assert call(case, input=case / "labels.nii.gz") == 0
    out, err = capsys.readouterr()
    assert err.startswith("warning: ") and "--interpolation=nearest" in err and "written: " in out
    (case / "out.nii.gz").unlink()
    assert call(case, input=case / "labels.nii.gz", strict="true", quiet="true") == 3
    assert (case / "out.nii.gz").exists() and capsys.readouterr().out == ""
    assert call(case, input=case / "labels.nii.gz", interpolation="nearest", strict="true") == 0
    assert call(case, strict="true") == 0  # a scan
    assert capsys.readouterr().err == ""


def test_what_lies_outside(case):
    assert call(case, background=-5) == 0
    assert (to_array(sitk.ReadImage(str(case / "out.nii.gz"))) == -5).mean() > 0.2
    image = sitk.ReadImage(str(case / "input.nii.gz"))
    sitk.WriteImage(sitk.Cast(image, sitk.sitkInt16) - 1000, str(case / "ct.nii.gz"))
    assert call(case, input=case / "ct.nii.gz") == 0
    lowest = float(to_array(image).min()) - 1000
    assert (to_array(sitk.ReadImage(str(case / "out.nii.gz"))) == lowest).mean() > 0.2


def test_an_input_is_not_the_output(case, capsys):
    before = (case / "field.nii.gz").read_bytes()
    for name in ("input", "reference", "field"):
        assert call(case, output=case / f"{name}.nii.gz") == 2
        assert "is read and must not be the output too" in capsys.readouterr().err
    assert (case / "field.nii.gz").read_bytes() == before


def test_version_and_home(case, capsys, monkeypatch):
    assert warp.main(["ldr-warp", "--version"]) == 0
    assert capsys.readouterr().out.startswith("ldr-warp ")
    monkeypatch.setenv("HOME", str(case))
    assert call(case, input="~/input.nii.gz", output="~/o.nii", transform="[~/affine.tfm,1]") == 0
    assert (case / "o.nii").exists()
    assert call(case, output="") == 2
    assert "--output has no value" in capsys.readouterr().err
