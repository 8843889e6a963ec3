import os
import subprocess
import sys
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging import WRITABLE, write_image, write_transform, writing


def test_packed_files_are_ordinary_gzip(tmp_path):
    """One member, for readers that know no more; larger than the pieces in which it is packed."""
    rng = np.random.default_rng(0)
    image = sitk.GetImageFromArray(rng.integers(0, 9, (3, 1000, 1000)).astype(np.uint8))
    write_image(image, str(tmp_path / "a.nii.gz"))
    write_image(image, str(tmp_path / "a.nii"))
    packed, plain = ((tmp_path / name).read_bytes() for name in ("a.nii.gz", "a.nii"))
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert reader.decompress(packed) == plain and reader.eof and reader.unused_data == b""
    assert len(packed) < len(plain) / 2


def test_images_and_fields_come_back(tmp_path):
    rng = np.random.default_rng(0)
    for name, array in (("a", rng.normal(size=(5, 6, 7, 3))), ("b", rng.normal(size=(5, 6, 7)))):
        image = sitk.GetImageFromArray(array.astype(np.float32), isVector=array.ndim == 4)
        write_image(image, str(tmp_path / f"{name}.nii.gz"))
        again = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / f"{name}.nii.gz")))
        np.testing.assert_array_equal(again, array.astype(np.float32))
    assert sorted(os.listdir(tmp_path)) == ["a.nii.gz", "b.nii.gz"]


def test_a_transform(tmp_path):
    affine = sitk.AffineTransform(3)
    affine.SetTranslation((1.0, 2.0, 3.0))
    write_transform(affine, str(tmp_path / "a.tfm"))
    again = sitk.ReadTransform(str(tmp_path / "a.tfm"))
    assert again.GetParameters() == affine.GetParameters()
    with pytest.raises(InputError, match="does not exist"):
        write_transform(affine, str(tmp_path / "none" / "a.tfm"))


@pytest.mark.parametrize("name", [f"a{ending}" for ending in WRITABLE] + ["a.tfm"])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, name):
    """ITK itself says nothing when NIfTI and transform files are cut off."""
    program = f"""
import resource, sys
import numpy as np, SimpleITK as sitk
from ldr_tf import imaging
from ldr_tf.errors import InputError
image = sitk.GetImageFromArray(np.random.default_rng(0).normal(size=(40, 40, 40)))
transform = sitk.BSplineTransformInitializer(image, [20, 20, 20])
transform.SetParameters(np.random.default_rng(0).normal(size=len(transform.GetParameters())))
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    if {name!r}.endswith(".tfm"):
        imaging.write_transform(transform, {str(tmp_path / name)!r})
    else:
        imaging.write_image(image, {str(tmp_path / name)!r})
except InputError as error:
    sys.exit(str(error))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 1 and f"{name}: cannot be written" in ended.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_packing_onto_a_full_disk_is_an_error(tmp_path):
    (tmp_path / "a.nii").write_bytes(os.urandom(3 << 20))
    with pytest.raises(OSError, match="No space left"):
        writing._pack(str(tmp_path / "a.nii"), "/dev/full")
