import dataclasses
import itertools

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.config import ImageConfig
from ldr_tf.imaging import (
    Grid,
    foreground_grid,
    grid_of,
    inside_scan,
    is_fine,
    network_grid,
    orientation_of,
    prepare_image,
    refinement_grid,
    resample,
    same_grid,
    to_array,
    to_image,
)

LIA = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)
ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("LR", "PA", "SI"))
    for letters in itertools.product(*order)
]


def scan(size, spacing=(1.0, 1.0, 1.0), direction=LIA, origin=(-80.0, 112.0, 96.0)):
    """A scan with a bright box from 40 to 60 percent of each side."""
    array = np.zeros(size, np.float32)
    array[tuple(slice(int(0.4 * n), int(0.6 * n)) for n in size)] = 100.0
    return to_image(array, Grid(size, spacing, origin, direction))


def oblique():
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.2, -0.1, 0.15)
    return tuple((np.reshape(turn.GetMatrix(), (3, 3)) @ np.reshape(LIA, (3, 3))).ravel())


def test_points_and_indices_agree_with_simpleitk():
    image = scan((5, 6, 7), (1.0, 2.0, 3.0), oblique())
    grid = grid_of(image)
    index = np.array([[1.5, 2.25, 6.0]])
    point = image.TransformContinuousIndexToPhysicalPoint(index[0])
    np.testing.assert_allclose(grid.points(index)[0], point, atol=1e-9)
    np.testing.assert_allclose(grid.indices(grid.points(index)), index, atol=1e-9)


def test_half_resolution_grid_starts_at_half_a_voxel():
    image = scan((160, 192, 224))
    assert orientation_of(image.GetDirection()) == "LIA"
    grid = network_grid(image, ImageConfig("LIA", (2.0, 2.0, 2.0)), (80, 96, 112))
    assert grid.size == (80, 96, 112)
    assert grid.direction == LIA
    first, last = grid_of(image).indices(grid.points([[0, 0, 0], [79, 95, 111]]))
    np.testing.assert_allclose(first, 0.5, atol=1e-9)
    np.testing.assert_allclose(last, [158.5, 190.5, 222.5], atol=1e-9)


@pytest.mark.parametrize("direction", [LIA, oblique()])
def test_axes_point_as_asked_and_only_exchange(direction):
    image = scan((10, 12, 14), (1.0, 1.5, 2.0), direction)
    for orientation in ORIENTATIONS:
        grid = network_grid(image, ImageConfig(orientation, None), (10, 10, 10))
        # Independent source: ITK's own reorientation of the image.
        turned = sitk.DICOMOrient(image, orientation)
        np.testing.assert_allclose(grid.direction, turned.GetDirection(), atol=1e-12)
        extent = np.array(turned.GetSize()) * turned.GetSpacing()
        np.testing.assert_allclose(grid.extent, extent)
        np.testing.assert_allclose(grid.centre, grid_of(turned).centre, atol=1e-9)


def test_with_a_spacing_an_oblique_scan_is_straightened():
    image = scan((40, 44, 48), (1.0, 1.5, 2.0), oblique())
    config = ImageConfig("RSP", (2.0, 2.0, 2.0))
    grid = network_grid(image, config, (80, 80, 80))
    np.testing.assert_allclose(grid.direction, (-1, 0, 0, 0, 0, 1, 0, 1, 0))  # columns R, S, P
    np.testing.assert_allclose(grid.centre, grid_of(image).centre)
    # A grid that grows holds every corner of the scan's bright box, however it is turned.
    corners = [[i, j, k] for i in (16, 23) for j in (17, 26) for k in (19, 28)]
    grown = network_grid(image, config, (8, 8, 8), free_size=True)
    places = grown.indices(grid_of(image).points(corners))
    assert (places >= -0.5).all() and (places <= np.array(grown.size) - 0.5).all()


def test_the_box_of_an_oblique_scan_is_tight():
    """A ball of radius 30 mm off the centre: its box is 60 mm a side however the scan is turned."""
    centre = np.array([10.0, -6.0, 4.0])
    for direction in (LIA, oblique()):
        axes = np.reshape(direction, (3, 3))
        grid = Grid((80, 80, 80), (2.0, 2.0, 2.0), tuple(-axes @ np.full(3, 79.0)), direction)
        points = grid.points(np.indices(grid.size).reshape(3, -1).T)
        ball = np.linalg.norm(points - centre, axis=1).reshape(grid.size) < 30.0
        image = to_image(ball.astype(np.float32) * 100.0, grid)
        found = network_grid(image, ImageConfig("RSP", (2.0, 2.0, 2.0)), (48, 48, 48), True)
        assert found.size == (48, 48, 48)
        np.testing.assert_allclose(found.centre, centre, atol=4.0)


def test_all_orientations_are_met():
    assert len(set(ORIENTATIONS)) == 48


def test_without_spacing_the_field_of_view_is_stretched():
    image = scan((60, 80, 40), (1.0, 1.0, 2.0))
    grid = network_grid(image, ImageConfig("LIA", None), (32, 32, 32))
    corners = grid_of(image).indices(grid.points([[-0.5] * 3, [31.5] * 3]))
    np.testing.assert_allclose(corners, [[-0.5] * 3, [59.5, 79.5, 39.5]], atol=1e-9)


def off_centre():
    """A head of 40 mm far from the middle of a large field of view, and one stray bright voxel."""
    array = np.zeros((128, 64, 64), np.float32)
    array[80:120, 12:52, 12:52] = 100.0
    array[2, 2, 2] = 500.0
    return to_image(array, Grid(array.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), LIA))


def test_a_small_grid_is_centred_on_the_foreground_where_the_scan_does_not_fit():
    grid = network_grid(off_centre(), ImageConfig("LIA", (1.0, 1.0, 1.0)), (64, 64, 64))
    middle = grid_of(off_centre()).indices([grid.centre])[0]
    # Along y and z the field of view fits: the scan's own centre.
    np.testing.assert_allclose(middle, [99.5, 31.5, 31.5], atol=1e-6)


def test_centring_does_not_depend_on_the_orientation_in_which_a_scan_is_stored():
    config = ImageConfig("RSP", (1.0, 1.0, 1.0))
    wanted = network_grid(off_centre(), config, (48, 48, 48))
    for orientation in ("RAS", "PIL"):
        grid = network_grid(sitk.DICOMOrient(off_centre(), orientation), config, (48, 48, 48))
        # The box is found at 4 mm, so it may start elsewhere by less than that.
        np.testing.assert_allclose(grid.origin, wanted.origin, atol=4.0)
        np.testing.assert_allclose(grid.direction, wanted.direction, atol=1e-12)


def test_a_free_size_grows_until_the_foreground_fits_and_keeps_its_place():
    config = ImageConfig("LIA", (1.0, 1.0, 1.0))
    assert network_grid(off_centre(), config, (32, 32, 32)).size == (32, 32, 32)
    tight = network_grid(off_centre(), dataclasses.replace(config, crop="foreground"), (32, 32, 32))
    grid = network_grid(off_centre(), config, (32, 32, 32), free_size=True)
    assert grid.size == (64, 64, 64)
    # Sixteen more on either side: strided layers see what is in the middle as they did.
    np.testing.assert_allclose(grid.points([[16, 16, 16]]), tight.points([[0, 0, 0]]))
    low, high = grid.indices(grid_of(off_centre()).points([[80, 12, 12], [119, 51, 51]]))
    assert (low >= 0).all() and (high <= 63).all()
    assert network_grid(off_centre(), config, (128, 64, 64), free_size=True).size == (128, 64, 64)


def test_resampling_onto_its_own_grid_changes_nothing():
    image = scan((12, 14, 16), (1.0, 1.5, 2.0), oblique())
    for interpolation in ("linear", "nearest"):
        again = resample(image, grid_of(image), interpolation)
        np.testing.assert_allclose(to_array(again), to_array(image), atol=1e-3)
        assert same_grid(again, image)


def test_downsampling_smooths_a_pattern_that_would_alias():
    array = np.indices((32, 32, 32))[0] % 2 * 100.0  # stripes a voxel wide
    image = to_image(array.astype(np.float32), scan((32, 32, 32)))
    grid = network_grid(image, ImageConfig("LIA", (3.0, 3.0, 3.0)), (11, 11, 11))
    inside = to_array(resample(image, grid))[2:-2, 2:-2, 2:-2]
    # Stripes have frequency pi a voxel: exp(-(sigma pi)^2 / 2), sigma^2 = (9 - 1) / 2.355^2.
    assert np.abs(inside - 50).max() < 50 * np.exp(-8 / 2.355**2 * np.pi**2 / 2) + 1
    labels = resample(sitk.Cast(image, sitk.sitkUInt8), grid, "nearest")
    assert set(np.unique(to_array(labels))) <= {0, 100}


def test_smoothing_is_in_mm_whatever_the_voxels_size():
    array = np.indices((32, 32, 32))[0] % 2 * 100.0
    small = to_image(array.astype(np.float32), scan((32, 32, 32)))
    large = to_image(array.astype(np.float32), scan((32, 32, 32), (4.0, 4.0, 4.0)))
    found = [
        resample(image, network_grid(image, ImageConfig("LIA", (mm,) * 3), (11, 11, 11)))
        for image, mm in ((small, 3.0), (large, 12.0))
    ]
    np.testing.assert_allclose(*map(to_array, found), atol=1e-3)


def test_smoothing_follows_the_images_own_axes():
    array = np.indices((24, 24, 24))[2] % 2 * 100.0
    image = to_image(array.astype(np.float32), scan((24, 24, 24)))
    # The grid is coarse along L only, the image's stripes lie along A: nothing to smooth there.
    grid = network_grid(image, ImageConfig("ASL", (1.0, 1.0, 4.0)), (24, 24, 6))
    assert np.ptp(to_array(resample(image, grid))) == pytest.approx(100.0, abs=1e-3)


def test_an_unknown_interpolation_is_refused():
    with pytest.raises(ValueError, match="cubic"):
        resample(scan((4, 4, 4)), grid_of(scan((4, 4, 4))), "cubic")


def test_prepared_scans_do_not_depend_on_the_stored_orientation():
    rng = np.random.default_rng(0)
    image = to_image(
        rng.uniform(0, 900, (40, 44, 48)).astype(np.float32),
        scan((40, 44, 48), direction=oblique()),
    )
    config = ImageConfig("LIA", (2.0, 2.0, 2.0))
    wanted = prepare_image(image, network_grid(image, config, (20, 22, 24)), config)
    assert wanted.shape == (20, 22, 24) and wanted.dtype == np.float32
    assert wanted.min() >= 0 and wanted.max() == 255
    for orientation in ("RAS", "SPL"):
        turned = sitk.DICOMOrient(image, orientation)
        volume = prepare_image(turned, network_grid(turned, config, (20, 22, 24)), config)
        np.testing.assert_allclose(volume, wanted, atol=1)


def test_outside_the_scan_its_lowest_value_goes_on():
    image = scan((20, 20, 20)) - 1000.0
    config = ImageConfig("LIA", (1.0, 1.0, 1.0), "minmax")
    volume = prepare_image(image, network_grid(image, config, (32, 32, 32)), config)
    assert volume[0, 0, 0] == 0 and volume[16, 16, 16] == 255


def test_same_grid_notices_a_shift_of_a_fiftieth_of_a_voxel():
    image = scan((10, 10, 10))
    assert same_grid(image, scan((10, 10, 10)))
    assert not same_grid(image, scan((10, 10, 10), origin=(-80.02, 112.0, 96.0)))
    assert not same_grid(image, scan((10, 10, 11)))


def test_a_region_fitted_to_the_grid():
    # A bright box of 20 x 24 x 28 mm in the middle of 100 x 120 x 140 mm; its axes are L, I, A.
    image = scan((100, 120, 140))
    labelled = ((40, 48, 56), (59, 71, 83))
    stretched = network_grid(
        image, ImageConfig("LIA", crop="labels"), (20, 20, 20), False, labelled
    )
    np.testing.assert_allclose(stretched.spacing, (20 / 20, 24 / 20, 28 / 20))
    np.testing.assert_allclose(stretched.centre, grid_of(image).centre)
    config = ImageConfig("LIA", crop="labels", fit="isotropic")
    padded = network_grid(image, config, (20, 20, 20), False, labelled)
    np.testing.assert_allclose(padded.spacing, (28 / 20,) * 3)
    np.testing.assert_allclose(padded.centre, grid_of(image).centre)
    turned = network_grid(image, ImageConfig("LPS", crop="labels"), (20, 20, 20), False, labelled)
    np.testing.assert_allclose(turned.spacing, (20 / 20, 28 / 20, 24 / 20))
    # Around the foreground a coarse voxel of 4 mm is left on each side.
    seen = network_grid(image, ImageConfig("LIA", crop="foreground"), (20, 20, 20))
    np.testing.assert_allclose(seen.spacing, (28 / 20, 32 / 20, 36 / 20))


def test_a_spacing_centred_on_a_region():
    image = scan((100, 120, 140))
    config = ImageConfig("LIA", (1.0, 1.0, 1.0), crop="labels")
    grid = network_grid(image, config, (32, 32, 32), False, ((0, 0, 0), (19, 9, 9)))
    first = grid_of(image).indices(grid.points([[0, 0, 0]]))
    np.testing.assert_allclose(first[0], np.array([9.5, 4.5, 4.5]) - 15.5)
    grown = network_grid(image, config, (32, 32, 32), True, ((0, 0, 0), (39, 9, 9)))
    assert grown.size == (64, 32, 32)


def test_fine_scans_are_refined_on_half_the_spacing():
    array = np.zeros((140, 140, 140), np.float32)
    array[6:134, 6:134, 10:130] = 100.0
    image = to_image(array, Grid(array.shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), LIA))
    work = foreground_grid(image)
    assert work.spacing == (2.0, 2.0, 2.0) and not np.mod(work.size, 8).any()
    grid = refinement_grid(image, image)
    assert is_fine(grid, image) and not is_fine(work, image)
    assert grid.size == tuple(2 * n for n in work.size) and grid.spacing == (1.0,) * 3
    # Eight voxels have their middle where the one they come from has its own.
    eight = grid.points(2 * np.array([3, 4, 5]) + np.array(list(np.ndindex(2, 2, 2))))
    np.testing.assert_allclose(eight.mean(0), work.points([[3, 4, 5]])[0], atol=1e-9)
    assert grid.resized(work.size) == work
    # One of both is not finer than three quarters of 2 mm: there is nothing more to see.
    thick = sitk.BinShrink(image, [2, 2, 1])
    assert refinement_grid(image, thick) == refinement_grid(thick, image) == work


def test_where_a_scan_lies_on_a_grid():
    image = scan((4, 5, 6), origin=(0.0, 0.0, 0.0))
    around = Grid((8, 9, 10), (1.0, 1.0, 1.0), tuple(grid_of(image).points([-2, -3, -1])), LIA)
    wanted = np.zeros((8, 9, 10), bool)
    wanted[2:6, 3:8, 1:7] = True
    np.testing.assert_array_equal(inside_scan(image, around), wanted)
    # Points of the grid go one voxel along L, the first axis, before they are looked up.
    shift = sitk.TranslationTransform(3, (1.0, 0.0, 0.0))
    np.testing.assert_array_equal(inside_scan(image, around, shift), np.roll(wanted, -1, axis=0))
