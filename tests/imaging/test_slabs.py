import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.imaging import Grid, ImageOfSlabs, array_view, grid_of, in_threads, slab_of, slabs

GRID = Grid((4, 3, 7), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), (0.0, -1.0, 0, 1.0, 0, 0, 0, 0, 1.0))


@pytest.mark.parametrize("voxels, overlap", [(1, 0), (1, 1), (30, 0), (30, 1), (1000, 1)])
def test_slabs_cover_every_slice_once_but_for_the_overlap(monkeypatch, voxels, overlap):
    monkeypatch.setitem(slabs.__globals__, "_VOXELS", voxels)
    found = list(slabs(GRID, overlap))
    assert found[0][0] == 0 and found[-1][1] == 7
    assert all(a[1] - overlap == b[0] for a, b in zip(found, found[1:]))
    assert all(stop - start > overlap for start, stop in found)


@pytest.mark.parametrize("components", [1, 3])
def test_an_image_of_slabs_is_the_image(monkeypatch, components):
    monkeypatch.setitem(slabs.__globals__, "_VOXELS", 24)
    array = np.random.default_rng(0).normal(size=(4, 3, 7, components)).astype(np.float32)
    array = array[..., 0] if components == 1 else array
    kind = sitk.sitkFloat32 if components == 1 else sitk.sitkVectorFloat32
    made = ImageOfSlabs(GRID, kind, components)
    for start, stop in slabs(GRID):
        made.put(start, array[:, :, start:stop])
        place = slab_of(GRID, start, stop)
        assert grid_of(made.image[:, :, start:stop]) == place
    assert grid_of(made.image) == GRID
    np.testing.assert_array_equal(array_view(made.image), array)
    np.testing.assert_array_equal(array_view(made.image, 2, 5), array[:, :, 2:5])


def test_threads_keep_the_order_and_raise_what_is_raised():
    assert list(in_threads(lambda n: n * n, ((n,) for n in range(50)))) == [
        n * n for n in range(50)
    ]
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda n: 1 / n, [(1,), (0,), (2,)]))
