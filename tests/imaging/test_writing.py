import gzip
import os
import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging import write_image, write_transform, writing


@pytest.mark.parametrize("size", [1, 1000, 3 * writing._CHUNK + 17])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY])
def test_packed_files_are_ordinary_gzip(tmp_path, size, strategy):
    content = np.random.default_rng(0).integers(0, 9, size, np.uint8).tobytes()
    (tmp_path / "plain").write_bytes(content)
    writing.pack(str(tmp_path / "plain"), str(tmp_path / "packed.gz"), strategy)
    packed = (tmp_path / "packed.gz").read_bytes()
    assert gzip.decompress(packed) == content
    # One member, for readers that know no more.
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert reader.decompress(packed) == content and reader.eof and reader.unused_data == b""


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
