"""What counts of a scan: masks, and brains that are extracted by a stand-in for deepbet."""

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging import Grid, to_array, to_image
from ldr_tf.imaging.brain_extraction import can_extract, extract_brains
from ldr_tf.notices import Notices
from ldr_tf.registration.brains import check_choice, see
from ldr_tf.registration.pair import ScanPair
from ldr_tf.registration.register import register

SIZE = (48, 48, 48)
GRID = Grid(SIZE, (4.0,) * 3, (-94.0,) * 3, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))

STAND_IN = """
import os
import SimpleITK as sitk

def run_bet(inputs, mask_paths, no_gpu, skip_broken):
    assert no_gpu and not skip_broken and not os.listdir(os.path.dirname(mask_paths[0]))[2:]
    for path, target in zip(inputs, mask_paths):
        image = sitk.ReadImage(path)
        mask = sitk.Cast((image > {low}) & (image < {high}), sitk.sitkUInt8)
        sitk.WriteImage(sitk.GetImageFromArray(sitk.GetArrayFromImage(mask)), target)
"""
FAILS = "def run_bet(*_, **__): raise AssertionError('Not enough foreground')"


def ball(*shells, center=(0.0, 0.0, 0.0)):
    """Shells about a point in mm: (radius in mm, intensity), the inner ones later."""
    points = GRID.points(np.indices(SIZE).reshape(3, -1).T)
    distance = np.linalg.norm(points - center, axis=1)
    array = np.zeros(len(points), np.float32)
    for radius, intensity in shells:
        array = np.where(distance < radius, intensity, array)
    return to_image(array.reshape(SIZE).astype(np.float32), GRID)


# Scalp, skull, and a brain whose white matter is brighter than what lies around it, as in T1.
HEAD = ball((80, 200), (72, 40), (60, 90), (52, 100), (44, 110))
BRAIN = ball((60, 90), (52, 100), (44, 110))


@pytest.fixture
def deepbet(tmp_path, monkeypatch):
    """Returns a function that installs a text as the package deepbet."""

    def install(text):
        folder = tmp_path / "site"
        folder.mkdir(exist_ok=True)
        (folder / "deepbet.py").write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder))

    return install


def no_package(monkeypatch):
    monkeypatch.setattr("ldr_tf.imaging.brain_extraction._PACKAGE", "no_such_package")


def codes(notices):
    return [notice.code for notice in notices]


def test_brains_are_extracted_in_a_process_of_its_own(deepbet):
    deepbet(STAND_IN.format(low=80, high=150))
    masks = extract_brains([HEAD, BRAIN])
    for mask in masks:
        assert mask.GetPixelID() == sitk.sitkUInt8
        assert mask.GetOrigin() == HEAD.GetOrigin() and mask.GetSpacing() == HEAD.GetSpacing()
        np.testing.assert_array_equal(to_array(mask), to_array(BRAIN) > 0)
    deepbet(FAILS)
    with pytest.raises(InputError, match="deepbet found no brain: AssertionError: Not enough fore"):
        extract_brains([HEAD])


def test_a_mask_of_another_size_is_refused(deepbet):
    cut = STAND_IN.format(low=80, high=150).replace("FromImage(mask)", "FromImage(mask)[1:]")
    deepbet(cut)
    with pytest.raises(InputError, match="another size than the scan"):
        extract_brains([HEAD])


def test_without_the_package_it_is_named(monkeypatch):
    no_package(monkeypatch)
    assert not can_extract()
    with pytest.raises(InputError, match=r'pip install "ldr_tf\[brain\]"'):
        check_choice("extract", given=False)


def test_choices_that_contradict_what_is_given():
    with pytest.raises(InputError, match="brain=given goes by masks"):
        check_choice("given", given=False)
    with pytest.raises(InputError, match="brain=none goes by the whole scans"):
        check_choice("none", given=True)
    for brain, given in (("auto", True), ("auto", False), ("given", True), ("none", False)):
        check_choice(brain, given)


def test_whole_heads_are_seen_as_their_brains(deepbet):
    deepbet(STAND_IN.format(low=80, high=150))
    notices = Notices()
    seen = see(ScanPair(HEAD, BRAIN), "auto", notices)
    np.testing.assert_array_equal(to_array(seen.fixed), to_array(BRAIN))
    assert seen.moving is BRAIN and list(seen.masks) == ["fixed"]
    mask = seen.masks["fixed"]
    # 4 / 3 pi 6^3 cm^3 are 905 ml, to within the voxels of 4 mm at the surface.
    assert mask.source == "extracted" and mask.millilitres == pytest.approx(905, rel=0.02)
    assert codes(notices) == ["mask-extracted"]
    assert all(look.radius == pytest.approx(60, abs=4) for look in seen.looks)


def test_one_mask_of_a_brain_has_the_other_brain_extracted(deepbet, monkeypatch):
    deepbet(STAND_IN.format(low=80, high=150))
    notices = Notices()
    mask = sitk.Cast(BRAIN > 0, sitk.sitkUInt8)
    seen = see(ScanPair(HEAD, HEAD, moving_mask=mask), "auto", notices)
    assert {side: mask.source for side, mask in seen.masks.items()} == {
        "fixed": "extracted",
        "moving": "given",
    }
    np.testing.assert_array_equal(to_array(seen.fixed), to_array(seen.moving))
    assert codes(notices) == ["mask-given", "mask-extracted"]
    # A mask of something else, here of a small part of the brain, has the other scan stay whole.
    part = sitk.Cast(ball((20, 1)) > 0, sitk.sitkUInt8)
    seen = see(ScanPair(HEAD, HEAD, moving_mask=part), "auto", notices)
    assert list(seen.masks) == ["moving"] and seen.fixed is HEAD
    no_package(monkeypatch)
    notices = Notices()
    assert see(ScanPair(HEAD, HEAD, moving_mask=mask), "auto", notices).fixed is HEAD
    assert codes(notices) == ["skull-seen", "mask-given"] and "the fixed scan" in notices[0].text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (FAILS, "the whole scans count, as deepbet found no brain: AssertionError"),
        (STAND_IN.format(low=109, high=150), "the fixed scan (16"),  # 165 ml, radius 34
        (STAND_IN.format(low=500, high=600), "the fixed mask: has no voxel"),
    ],
)
def test_where_no_brain_is_found_the_whole_scans_count(deepbet, text, words):
    deepbet(text)
    notices = Notices()
    small = ball((80, 200), (72, 40), (60, 90), (34, 110))
    seen = see(ScanPair(small, small), "auto", notices)
    assert seen.fixed is small and seen.moving is small and seen.masks == {}
    assert codes(notices) == ["brain-not-found"] and words in notices[0].text
    assert notices[0].level == "warning" and seen.looks[0].radius > 70


def test_who_insists_gets_what_is_no_brain_and_a_warning(deepbet):
    deepbet(STAND_IN.format(low=109, high=150))
    notices = Notices()
    small = ball((80, 200), (72, 40), (60, 90), (34, 110))
    mask = sitk.Cast(small > 0, sitk.sitkUInt8)
    seen = see(ScanPair(small, small, fixed_mask=mask), "extract", notices)
    assert [seen.masks[side].source for side in ("fixed", "moving")] == ["given", "extracted"]
    assert to_array(seen.moving).max() == 110 and to_array(seen.fixed).max() == 200
    assert codes(notices) == ["brain-not-found", "mask-given", "mask-extracted"]
    assert "the moving scan (16" in notices[0].text and "all the same" in notices[0].text
    see(ScanPair(small, small, fixed_mask=mask, moving_mask=mask), "extract", notices)


def test_heads_without_the_package_are_named(monkeypatch):
    no_package(monkeypatch)
    notices = Notices()
    assert see(ScanPair(HEAD, HEAD), "auto", notices).masks == {}
    assert codes(notices) == ["skull-seen"] and "both scans look" in notices[0].text
    assert see(ScanPair(BRAIN, BRAIN), "auto", notices).fixed is BRAIN and len(notices) == 1
    assert see(ScanPair(HEAD, HEAD), "none", notices).looks is None and len(notices) == 1


def test_outside_a_mask_a_ct_is_air():
    scan = HEAD * 10 - 1000
    part = sitk.Cast(BRAIN > 0, sitk.sitkInt16) * 7
    seen = see(ScanPair(scan, HEAD, fixed_mask=part), "given", Notices())
    array, inside = to_array(seen.fixed), to_array(part) > 0
    assert (array[~inside] == -1000).all()
    np.testing.assert_array_equal(array[inside], to_array(scan)[inside])
    assert seen.moving is HEAD and seen.masks["fixed"].source == "given"
    with pytest.raises(InputError, match="the moving mask: has no voxel that is not 0"):
        see(ScanPair(scan, HEAD, moving_mask=part * 0), "auto", Notices())


def test_a_mask_says_what_is_aligned_and_the_whole_scan_is_warped():
    """Something outside the masks would draw the centres of mass apart."""
    away = (0.0, 0.0, 70.0)
    fixed = ball((40, 100), (30, 140))
    moving = ball((40, 100), (30, 140), center=(12.0, 0, 0)) + ball((14, 900), center=away)
    masks = {
        "fixed_mask": sitk.Cast(fixed > 0, sitk.sitkUInt8),
        "moving_mask": sitk.Cast((moving > 0) & (moving < 900), sitk.sitkUInt8),
    }
    whole = register(fixed, moving, affine="moments", quality="fast")
    masked = register(fixed, moving, affine="moments", quality="fast", **masks)
    shifts = [np.array(r.alignment.transform.TransformPoint((0, 0, 0))) for r in (whole, masked)]
    # Volumes of 14^3 and 40^3: 70 * 14^3 / (14^3 + 40^3) = 2.9 mm too far.
    assert shifts[0][2] == pytest.approx(2.9, abs=0.3)
    np.testing.assert_allclose(shifts[1], (12, 0, 0), atol=0.1)
    # What is not in the mask comes along: it lies at `away`, less the shift.
    assert masked.warped.EvaluateAtPhysicalPoint((-12.0, 0, 70.0)) == pytest.approx(900, rel=0.01)
    assert masked.correlation_after > 0.99
    assert set(masked.masks) == {"fixed", "moving"} and whole.masks == {}
    assert masked.estimated_mb > whole.estimated_mb
