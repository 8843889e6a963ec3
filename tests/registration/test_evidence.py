import numpy as np
import pytest
import SimpleITK as sitk
from scipy import stats

from ldr_tf.imaging import Grid, align, to_array, to_image
from ldr_tf.imaging.depth import body_of, depth_in
from ldr_tf.registration.evidence import contrast_of, look_at, looks_of, rims_of
from ldr_tf.registration.evidence import gather as gather_evidence

SIZE = (48, 48, 48)
GRID = Grid(SIZE, (4.0,) * 3, (-94.0,) * 3, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def ball(*shells):
    """Shells about the middle: (radius in mm, intensity), the inner ones later; a slope inside."""
    points = GRID.points(np.indices(SIZE).reshape(3, -1).T)
    distance = np.linalg.norm(points, axis=1)
    array = np.zeros(len(points))
    for radius, intensity in shells:
        array = np.where(distance < radius, intensity, array)
    array = array * (1 + 0.002 * points[:, 0])
    return to_image(array.reshape(SIZE).astype(np.float32), GRID)


BRAIN = ball((80, 60), (70, 90), (50, 110))
HEAD = ball((80, 200), (72, 60), (60, 100))
ALIGNED = align(BRAIN, BRAIN, "none")


def gather(fixed, moved, rims=None):
    return gather_evidence(fixed, moved, ALIGNED, contrast_of(fixed, moved, GRID.spacing, rims))


def test_a_scan_beside_itself():
    array = to_array(BRAIN)
    found = gather(array, {"before": array})
    assert found.correlation == {"before": pytest.approx(1.0)}
    assert found.explained == pytest.approx(1.0, abs=0.01)
    assert found.overlap == 1.0
    assert found.scales == pytest.approx((1, 1, 1)) and found.rotation == pytest.approx(0)


def test_stages_and_contrast():
    array = to_array(BRAIN)
    inverted = np.where(array > 0, 150 - array, 0)
    moved = {"before": np.full(SIZE, np.nan), "affine": inverted, "x": array}
    found = gather(array, moved)
    assert found.correlation["before"] is None
    assert found.correlation["affine"] == pytest.approx(-1.0, abs=0.01)
    assert found.correlation["x"] == pytest.approx(1.0)
    assert found.explained > 0.95  # of the stage "affine", whatever its sign


def test_deep_inside_contrast_shows_though_scalp_and_skull_agree():
    """Two tissues change places; fluid is dark in both, and there the scans go together."""
    shells = [(80, 200), (72, 60), (60, 100), (36, 130), (16, 20)]
    head, other = ball(*shells), ball(*shells[:2], (60, 130), (36, 100), (16, 20))
    arrays = [to_array(scan) for scan in (head, other)]
    moved = {"affine": arrays[1]}
    found = gather(arrays[0], moved, rims=rims_of(looks_of(head, other)))
    assert found.deep < 0 and found.correlation["affine"] > 0.5
    same = gather(arrays[0], {"affine": arrays[0]}, rims=(1.3, 1.3))
    assert same.deep == pytest.approx(1.0)
    assert gather(arrays[0], moved).deep is None  # no heads
    assert contrast_of(arrays[0], moved, GRID.spacing, (1.3, 1.3)).reversed()
    assert not contrast_of(arrays[0], {"affine": arrays[0]}, GRID.spacing, (1.3, 1.3)).reversed()
    assert not contrast_of(arrays[0], moved, GRID.spacing, None).reversed()


def test_half_of_the_moving_scan_is_missing():
    array = to_array(BRAIN)
    half = array.copy()
    half[24:] = np.nan
    found = gather(array, {"before": half})
    assert found.overlap == 1.0  # where both are known
    assert found.uncovered == pytest.approx(0.5, abs=0.01)
    half[24:] = 0
    # Half of the body against the whole: 2 * 1/2 / (1 + 1/2).
    found = gather(array, {"before": half})
    assert found.overlap == pytest.approx(2 / 3, abs=0.01)
    assert found.uncovered == 0


def test_heads_and_brains_look_different():
    head, brain = looks_of(HEAD, BRAIN)
    assert (head, brain) == (look_at(HEAD), look_at(BRAIN))
    assert head.rim > 1.2 and brain.rim < 1.0
    assert rims_of((brain, head)) == (brain.rim, head.rim)
    # The radius of the ball, but for half a voxel on either side.
    assert head.radius == pytest.approx(80, abs=4) and brain.radius == pytest.approx(80, abs=4)
    assert head.inwards < -0.5 and brain.inwards > 0.5


def test_how_bright_it_grows_inwards_is_a_rank_correlation():
    """Against scipy's, with many equal values."""
    array = np.rint(to_array(BRAIN) / 20)
    depth = depth_in(body_of(array, GRID.spacing), GRID.spacing)
    shell = (depth > 0) & (depth <= 16)
    wanted = stats.spearmanr(array[shell], depth[shell]).statistic
    look = look_at(to_image(array.astype(np.float32), GRID))
    assert look.inwards == pytest.approx(wanted, abs=1e-12) and 0.3 < wanted < 0.95


def test_what_has_no_rim():
    assert look_at(sitk.Cast(HEAD, sitk.sitkFloat32) * 4 - 1000) is None  # a CT
    assert rims_of(looks_of(BRAIN, HEAD * 4 - 1000)) is None
    assert look_at(ball((9, 100))).rim is None  # nothing lies 12 mm deep
    assert rims_of(looks_of(BRAIN, ball((9, 100)))) is None


def test_fewer_voxels_than_would_be_taken_together():
    tiny = HEAD[:4, :5, :]
    tiny.SetSpacing((0.01, 0.3, 3.0))
    assert look_at(tiny) is None  # nothing but air
