"""The estimate of memory: what it grows with, and what it is held against."""

from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.config import NetworkConfig
from ldr_tf.errors import InputError
from ldr_tf.registration import memory
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import ScanPair
from ldr_tf.registration.register import register
from ldr_tf.registration.working import Frame


def ball(size, spacing=1.0):
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in size], indexing="ij"), -1)
    array = (500 * np.exp(-4 * (places**2).sum(-1))).astype(np.float32)
    direction = tuple(np.eye(3).ravel())
    return imaging.to_image(array, imaging.Grid(size, (spacing,) * 3, (0.0,) * 3, direction))


def estimate(fixed, moving, steps=0, labels=None, **options):
    pair = ScanPair(fixed, moving, None, labels)
    frame = Frame.of(fixed, None)
    return memory.estimate(pair, frame, None, steps, RegistrationOptions(**options))


def test_every_result_counts_by_its_bytes():
    """Where results lead: field and warped scan are 16 bytes a fixed voxel, scans 4 each."""
    small, large = ball((48, 48, 48)), ball((160, 160, 160))
    mb = 2.0**20
    voxels = [image.GetNumberOfPixels() for image in (small, large)]
    slabs = [24 * n / mb for n in voxels]
    grown = estimate(large, large) - estimate(small, small)
    assert grown == pytest.approx(24 * (voxels[1] - voxels[0]) / mb + slabs[1] - slabs[0])
    labels = sitk.Cast(large > 100, sitk.sitkInt16)
    assert estimate(large, large, labels=labels) - estimate(large, large) == pytest.approx(
        4 * voxels[1] / mb
    )
    assert estimate(large, large, inverse=True) - estimate(large, large) == pytest.approx(
        16 * voxels[1] / mb
    )
    assert estimate(large, large, steps=5) > estimate(large, large) + 400
    assert estimate(large, large) < 1000


def test_learned_steps_count_by_the_networks_grid():
    scan = ball((32, 32, 32))
    frame = Frame.of(scan, None)
    without, with_steps = (
        memory.estimate(
            ScanPair(scan, scan),
            frame,
            SimpleNamespace(network=NetworkConfig(descents=descents)),
            0,
            RegistrationOptions(),
        )
        for descents in (0, 2)
    )
    assert with_steps - without == pytest.approx(100 * np.prod(frame.grid.size) / 2.0**20)


def test_more_than_is_allowed_is_refused_before_any_work():
    scan = ball((32, 32, 32))
    with pytest.raises(InputError, match=r"0\.[678] GB of memory, 0\.1 GB are allowed"):
        register(scan, scan, refine_steps=0, max_memory=0.1)
    result = register(scan, scan, refine_steps=0, max_memory=4.0)
    assert 600 < result.estimated_mb < 1000


def test_without_a_limit_it_is_what_is_free(monkeypatch):
    memory.check(10.0)
    assert memory.available() > 1e8
    with pytest.raises(InputError, match="the machine has free"):
        memory.check(1e9)
    monkeypatch.setattr(memory, "_LIMITS", ())
    assert memory.available() > 1e8


def test_a_group_with_a_limit(tmp_path, monkeypatch):
    for name, text in (("max", "1000000"), ("current", "400000")):
        (tmp_path / name).write_text(text + "\n")
    paths = (str(tmp_path / "max"), str(tmp_path / "current"))
    monkeypatch.setattr(memory, "_LIMITS", ((str(tmp_path / "none"), "none"), paths))
    own = memory.psutil.Process().memory_info().rss
    assert memory.available() == pytest.approx(600_000 + own, rel=0.2)
    whole = memory.psutil.virtual_memory().available
    (tmp_path / "max").write_text("max\n")
    assert memory.available() == pytest.approx(whole + own, rel=0.3)


def test_the_limit_is_no_part_of_the_result():
    options = RegistrationOptions(max_memory=3.0)
    assert "max_memory" not in options.recorded() and options.recorded()["affine"] == "auto"
