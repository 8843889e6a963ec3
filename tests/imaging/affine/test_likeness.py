import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.imaging import Grid, to_array, to_image
from ldr_tf.imaging.affine.likeness import NOTHING, Judge
from ldr_tf.imaging.affine.scan import scan_of

SIZE = (32, 32, 32)
GRID = Grid(SIZE, (4.0,) * 3, (-62.0,) * 3, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


def ball(contrast=lambda inside: inside):
    """A ball of radius 40 mm whose intensity rises from 110 to 190 along the first axis."""
    points = GRID.points(np.indices(SIZE).reshape(3, -1).T)
    inside = np.linalg.norm(points, axis=1) < 40
    values = np.where(inside, contrast(150 + points[:, 0]), 0.0)
    return to_image(values.reshape(SIZE).astype(np.float32), GRID)


def judged(fixed, moving, shift=(0.0, 0.0, 0.0)):
    transform = sitk.AffineTransform(3)
    transform.SetTranslation(shift)
    return Judge(scan_of(fixed, "fixed"), scan_of(moving, "moving"), 4.0)(transform)


def test_a_scan_is_like_itself():
    found = judged(ball(), ball())
    assert found.information == pytest.approx(1.0)  # H(F) + H(F) over H(F, F), less one
    assert found.explained > 0.99
    assert found.correlation == pytest.approx(1.0)
    assert found.covered == 1.0


def test_an_inverted_contrast_is_explained_though_not_correlated():
    def inverted(inside):
        return 310 - inside

    found = judged(ball(), ball(inverted))
    assert found.explained > 0.95 and found.information > 0.5
    inside = to_array(ball()) > 0
    pair = to_array(ball())[inside], to_array(ball(inverted))[inside]
    assert np.corrcoef(*pair)[0, 1] == pytest.approx(-1.0, abs=1e-4)


def test_noise_explains_nothing():
    noise = np.random.default_rng(0).uniform(1, 255, SIZE).astype(np.float32)
    found = judged(ball(), to_image(noise, GRID))
    assert found.explained < 0.03 and abs(found.correlation) < 0.05 and found.information < 0.02


def test_what_the_fields_of_view_share():
    assert judged(ball(), ball(), (64.0, 0.0, 0.0)).covered == pytest.approx(0.5, abs=0.03)
    assert judged(ball(), ball(), (500.0, 0.0, 0.0)) == NOTHING


def test_a_thin_slab_is_seen_wholly_from_either_side():
    slab = ball()[:, :, 15:17]
    for pair in ((ball(), slab), (slab, ball())):
        found = judged(*pair)
        assert found.covered > 0.9 and found.explained > 0.9


def test_padding_is_outside_the_scan():
    array = to_array(ball()) - 1000.0
    padded = array.copy()
    padded[:16] = -32768
    for pair in ((array, padded), (padded, array)):
        found = judged(*(to_image(values, GRID) for values in pair))
        assert found.correlation > 0.999 and found.explained > 0.99
        assert found.covered == 1.0  # all that is measured of the smaller half is seen
