"""ANTs and elastix, where they are installed: they find a known shift, in the right direction."""

import importlib

import numpy as np
import pytest
from scipy import ndimage

from experiments.evaluation.baselines import BASELINES, make_baseline
from experiments.evaluation.cases import Case
from ldr_tf.errors import InputError
from ldr_tf.evaluation import VolumePair
from ldr_tf.imaging import Grid, to_image

SIZE, SPACING = (48, 44, 40), (1.0, 1.2, 1.5)
SHIFT = (3.0, -2.0, 1.0)  # voxels, from fixed to moving points


def scans():
    """A blob with structure in it, and the same further along all axes."""
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=SIZE), 2.5) * 400
    middle = (np.array(SIZE) - 1) / 2
    away = np.linalg.norm((np.moveaxis(np.indices(SIZE), 0, -1) - middle) * SPACING, axis=-1)
    fixed = np.where(away < 17, 120 + texture, 0.0)
    return np.float32(fixed), np.float32(ndimage.shift(fixed, SHIFT, order=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(BASELINES))
def test_a_known_shift_is_found(name, tmp_path, monkeypatch):
    pytest.importorskip(BASELINES[name].module)
    monkeypatch.chdir(tmp_path)
    fixed, moving = scans()
    # Axes of a scan that points left, inferior, anterior: no axis is where ITK's identity has it.
    direction = np.array([[1, 0, 0], [0, 0, -1], [0, -1, 0]], float)
    grid = Grid(SIZE, SPACING, (5.0, -3.0, 7.0), tuple(direction.ravel()))
    images = {"fixed": to_image(fixed, grid), "moving": to_image(moving, grid)}
    case = Case(
        VolumePair("a", "b", fixed, moving), grid, None, False, {**images, "moving_labels": None}
    )
    outcome = make_baseline(name)(case)
    inside = outcome.flow[16:32, 14:30, 14:26]
    np.testing.assert_allclose(inside.mean(axis=(0, 1, 2)), SHIFT, atol=0.4)
    before, after = [np.corrcoef(fixed.ravel(), v.ravel())[0, 1] for v in (moving, outcome.warped)]
    assert after > before + 0.1
    assert outcome.seconds > 0 and outcome.cpu_seconds > 0
    assert not list(tmp_path.iterdir())


def test_an_unknown_baseline():
    with pytest.raises(InputError, match="ants, elastix"):
        make_baseline("demons")


@pytest.mark.parametrize("name", list(BASELINES))
def test_a_missing_package_is_named(name, monkeypatch):
    def fail(module):
        raise ImportError(module)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(InputError, match=BASELINES[name].package):
        make_baseline(name)
