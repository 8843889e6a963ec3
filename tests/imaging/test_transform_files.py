"""ITK's transform files, whole, cut off and made up."""

import h5py
import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError

POINT = (3.0, -4.0, 5.0)


def affine():
    transform = sitk.AffineTransform(3)
    transform.SetMatrix((1.1, 0.1, 0, 0, 0.9, 0, 0, 0.2, 1))
    transform.SetTranslation((1, 2, 3))
    transform.SetCenter((4, 5, 6))
    return transform


def bspline():
    image = sitk.Image(20, 20, 20, sitk.sitkUInt8)
    transform = sitk.BSplineTransformInitializer(image, [3, 3, 3])
    count = len(transform.GetParameters())
    transform.SetParameters(np.random.default_rng(0).normal(size=count))
    return transform


def field():
    vectors = np.random.default_rng(0).normal(size=(9, 9, 9, 3))
    image = sitk.GetImageFromArray(vectors, isVector=True)
    return sitk.DisplacementFieldTransform(image)


def refused(path, words):
    with pytest.raises(InputError, match=words) as caught:
        imaging.read_transform(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".tfm", ".txt", ".h5", ".mat"])
@pytest.mark.parametrize(
    "make",
    [
        affine,
        bspline,
        field,
        sitk.Euler3DTransform,
        sitk.VersorRigid3DTransform,
        sitk.Similarity3DTransform,
        sitk.ScaleVersor3DTransform,
        lambda: sitk.TranslationTransform(3, (1, 2, 3)),
        lambda: sitk.ScaleTransform(3, (1, 2, 3)),
        lambda: sitk.CompositeTransform([affine(), bspline(), sitk.Euler3DTransform()]),
        sitk.Transform,
    ],
)
def test_kinds_of_transforms(tmp_path, make, ending):
    transform = make()
    composite = transform.GetTransformEnum() == sitk.sitkComposite
    if ending == ".mat" and composite:
        pytest.skip("ITK writes no chains so")
    path = tmp_path / f"a{ending}"
    sitk.WriteTransform(transform, str(path))
    again = imaging.read_transform(path)
    np.testing.assert_allclose(again.TransformPoint(POINT), transform.TransformPoint(POINT))


@pytest.mark.parametrize("make", [affine, bspline, sitk.Euler3DTransform])
def test_cut_off_anywhere(tmp_path, make):
    path = tmp_path / "a.tfm"
    sitk.WriteTransform(make(), str(path))
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        path.write_bytes(b"".join(lines[:kept]))
        refused(path, "holds no transform|truncated or damaged")
    for line in (3, 4):
        words = lines[line].split()
        path.write_bytes(b"".join(lines[:line]) + b" ".join(words[:-2]) + b"\n")
        refused(path, "truncated or damaged|fixed parameters")


@pytest.mark.parametrize("ending", [".tfm", ".h5"])
@pytest.mark.parametrize("what", ["Parameters", "FixedParameters"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite(tmp_path, ending, what, value):
    path = tmp_path / f"a{ending}"
    sitk.WriteTransform(affine(), str(path))
    if ending == ".h5":
        with h5py.File(path, "r+") as file:
            file[f"TransformGroup/0/Transform{what}"][0] = value
    else:
        lines = path.read_text().splitlines()
        place = next(n for n, line in enumerate(lines) if line.startswith(what + ":"))
        words = lines[place].split()
        lines[place] = " ".join([words[0], str(value), *words[2:]])
        path.write_text("\n".join(lines) + "\n")
    refused(path, "NaN or infinite")


def test_more_nodes_than_parameters(tmp_path):
    """ITK would reserve memory for all of them, or crash."""
    path = tmp_path / "a.tfm"
    sitk.WriteTransform(bspline(), str(path))
    content = path.read_text()
    assert "FixedParameters: 6 6 6 " in content
    for nodes in ("1000000 1000000 1000000", "0 6 6", "6 6 7"):
        path.write_text(content.replace("FixedParameters: 6 6 6 ", f"FixedParameters: {nodes} "))
        refused(path, "BSplineTransform has|is none")


def test_what_is_no_transform_of_space(tmp_path):
    path = tmp_path / "a.tfm"
    for text, words in (
        ("a letter to my aunt\n", "not a transform file"),
        ("#Insight Transform File V1.0\n", "holds no transform"),
        ("#Insight Transform File V1.0\nTransform: Magic_double_3_3\n", "without FixedParameters"),
    ):
        path.write_text(text)
        refused(path, words)
    path.write_bytes(b"\x00\xff" * 100)
    refused(path, "not a transform file")
    sitk.WriteTransform(sitk.AffineTransform(2), str(path))
    refused(path, "3D transform was expected")
    flat = affine()
    flat.SetMatrix((1, 0, 0, 0, 1, 0, 0, 0, 0))
    sitk.WriteTransform(flat, str(path))
    refused(path, "flattens space")
    sitk.WriteTransform(sitk.ComposeScaleSkewVersor3DTransform(), str(path))
    refused(path, "SimpleITK lacks")
    for name in ("a.h5", "a.mat"):
        (tmp_path / name).write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 500)
        refused(tmp_path / name, "not a transform file")


def test_hdf5_of_other_things(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["volume"] = np.zeros(3)
    refused(path, "not a transform file")
    with h5py.File(path, "w") as file:
        group = file.create_group("TransformGroup/0")
        group["TransformType"] = ["AffineTransform_double_3_3"]
        group.create_group("TransformParameters")
    refused(path, "not a transform file")
    with h5py.File(path, "w") as file:
        group = file.create_group("TransformGroup/0")
        group["TransformType"] = ["BSplineTransform_double_3_3"]
        group.create_dataset("TransformParameters", (10**12,), "f8", chunks=(10**4,))
    refused(path, "not a transform file")


def test_transforms_side_by_side_are_no_chain(tmp_path, capfd):
    """ITK takes the first of them, and says so on the screen alone."""
    path = tmp_path / "two.tfm"
    shifts = [sitk.TranslationTransform(3, (float(n), 0.0, 0.0)) for n in (1, 2)]
    sitk.WriteTransform(sitk.CompositeTransform(shifts), str(path))
    assert imaging.read_transform(path).TransformPoint((0.0, 0.0, 0.0)) == (3.0, 0.0, 0.0)
    lines = path.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if "CompositeTransform" in line)
    path.write_text("\n".join(lines[: start - 1] + lines[start + 1 :]) + "\n")
    with pytest.raises(InputError, match="2 transforms beside one another"):
        imaging.read_transform(path)
    assert capfd.readouterr().err == ""
