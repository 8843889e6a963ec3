import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging import write_image, write_transform


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
