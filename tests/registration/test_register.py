import dataclasses

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import config as configs
from ldr_tf.errors import InputError
from ldr_tf.imaging import Grid, Points, grid_of, network_grid, same_grid, to_array, to_image
from ldr_tf.models import RegistrationModel
from ldr_tf.notices import Notices
from ldr_tf.registration import evidence, refinement
from ldr_tf.registration import register as registration
from ldr_tf.registration.options import SIMILARITIES, RegistrationOptions

SIZE = (24, 28, 32)
STRAIGHT = (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)
LIA = (1.0, 0, 0, 0, 0, -1.0, 0, -1.0, 0)
RAS = (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0)


class FakeModel(RegistrationModel):
    """A model whose flow is what `function(fixed, moving)` says, [x, y, z, 3]."""

    parameters = None

    def __init__(self, function, orientation="LIA", spacing=(2.0, 2.0, 2.0), size=SIZE):
        self.function = function
        config = configs.RunConfig(
            network=configs.NetworkConfig(image_size=size),
            image=configs.ImageConfig(orientation, spacing),
        )
        super().__init__("fake", config, free_size=True)

    def _weights(self):
        return []

    def _flow(self, fixed, moving):
        for volume in (fixed, moving):
            assert volume.dtype == np.float32 and volume.ndim == 5
            assert volume.min() >= 0 and 229 < volume.max() <= 255
            np.testing.assert_array_equal(volume, np.rint(volume))
        return self.function(fixed[0, ..., 0], moving[0, ..., 0])[None].astype(np.float32)


def register(*arguments, affine="none", quality="fast", **others):
    return registration.register(*arguments, affine=affine, quality=quality, **others)


def constant(*voxels):
    return FakeModel(lambda fixed, moving: np.zeros((*fixed.shape, 3)) + voxels)


def smooth(fixed, moving):
    """A smooth flow of up to some three voxels."""
    x, y, z = (np.linspace(0, 3, n) for n in fixed.shape)
    x, y, z = np.meshgrid(x, y, z, indexing="ij")
    return np.stack([2 * np.sin(x + y), 3 * np.cos(y) * np.sin(z), 2 * np.sin(z - x)], -1)


def turned(direction, angles=(0.2, -0.1, 0.15)):
    transform = sitk.Euler3DTransform()
    transform.SetRotation(*angles)
    return tuple(
        (np.reshape(transform.GetMatrix(), (3, 3)) @ np.reshape(direction, (3, 3))).ravel()
    )


def blob(centre, size=(48, 56, 64), spacing=(1.0, 1.0, 1.0), direction=LIA, middle=(5, -3, 8)):
    """A scan around the point `middle`, showing a lopsided body at the point `centre` (LPS mm)."""
    axes = np.reshape(direction, (3, 3))
    origin = np.array(middle) - axes @ ((np.array(size) - 1) / 2 * spacing)
    grid = Grid(size, spacing, tuple(origin), direction)
    points = grid.points(np.indices(size).reshape(3, -1).T)
    array = np.zeros(len(points))
    for shift, width, height in (((0, 0, 0), 8, 600), ((9, 0, 0), 4, 300), ((0, 6, -9), 5, 400)):
        distance = np.linalg.norm(points - np.add(centre, shift), axis=1)
        array += height * np.exp(-((distance / width) ** 2))
    return to_image(array.reshape(size).astype(np.float32), grid)


def centre_of_mass(image):
    array = to_array(image).astype(np.float64)
    points = grid_of(image).points(np.indices(array.shape).reshape(3, -1).T)
    return (points * array.reshape(-1, 1)).sum(0) / array.sum()


@pytest.mark.parametrize(
    "orientation, flow, mm",
    [
        # Axes point to L = +x, I = -z, A = -y; the spacing is 2 mm.
        ("LIA", (1.0, 2.0, 3.0), (2.0, -6.0, -4.0)),
        ("RAS", (1.0, 2.0, 3.0), (-2.0, -4.0, 6.0)),
        ("LPS", (1.0, 2.0, 3.0), (2.0, 4.0, 6.0)),
    ],
)
def test_a_shift_of_k_voxels_moves_by_k_times_the_spacing(orientation, flow, mm):
    network = FakeModel(constant(*flow).function, orientation)
    fixed = blob((5.0, -3.0, 8.0), size=(52, 52, 52), direction=RAS)
    moving = blob((5.0, -3.0, 8.0), direction=LIA)
    result = register(fixed, moving, network)
    np.testing.assert_allclose(to_array(result.displacement) - mm, 0, atol=1e-5)
    # A backward map: content moves against the displacement.
    moved = centre_of_mass(result.warped) - centre_of_mass(moving)
    np.testing.assert_allclose(moved, np.negative(mm), atol=0.05)


def test_the_true_answer_aligns():
    fixed = blob((5.0, -3.0, 8.0), direction=turned(LIA))
    moving = blob((11.0, -3.0, 4.0), direction=RAS, spacing=(0.9, 1.3, 1.0), size=(60, 50, 64))
    grid = network_grid(fixed, configs.ImageConfig("LIA", (2.0, 2.0, 2.0)), SIZE)
    axes = np.reshape(grid.direction, (3, 3))
    true_flow = np.array([6.0, 0.0, -4.0]) @ axes / 2.0
    result = register(fixed, moving, constant(*true_flow))
    assert result.correlation_before < 0.6
    assert result.correlation_after > 0.995
    error = np.abs(to_array(result.warped) - to_array(fixed))
    assert error.max() < 0.06 * to_array(fixed).max()
    stages = ["brain", "affine", "prepare", "network", "carry_back"]
    stages += ["unfold", "resample", "measure"]
    assert list(result.seconds) == stages


@pytest.mark.parametrize(
    "fixed_kind, moving_kind",
    [
        # direction, spacing, size
        ((LIA, (1.0, 1.0, 1.0), (48, 56, 64)), (RAS, (0.9, 1.5, 0.9), (50, 40, 66))),
        ((RAS, (0.9, 1.5, 0.9), (50, 40, 66)), (LIA, (1.0, 1.0, 1.0), (48, 56, 64))),
        ((turned(LIA), (1.0, 1.2, 0.8), (48, 50, 70)), (turned(RAS), (1.5, 1, 1), (30, 50, 60))),
    ],
)
def test_simpleitk_applies_the_field_as_we_do(tmp_path, fixed_kind, moving_kind):
    direction, spacing, size = fixed_kind
    fixed = blob((5.0, -3.0, 8.0), size, spacing, direction, middle=(6.0, -2.0, 9.0))
    direction, spacing, size = moving_kind
    moving = blob((8.0, -1.0, 6.0), size, spacing, direction, middle=(4.0, -4.0, 6.0))
    result = register(fixed, moving, FakeModel(smooth))
    for name in ("warped", "displacement"):
        sitk.WriteImage(getattr(result, name), str(tmp_path / f"{name}.nii.gz"))
    field = sitk.ReadImage(str(tmp_path / "displacement.nii.gz"), sitk.sitkVectorFloat64)
    again = sitk.Resample(moving, fixed, sitk.DisplacementFieldTransform(field), sitk.sitkLinear)
    warped = sitk.ReadImage(str(tmp_path / "warped.nii.gz"))
    assert warped.GetPixelID() == sitk.sitkFloat32
    assert same_grid(warped, fixed)
    assert np.abs(to_array(result.displacement)).max() > 2.0
    difference = np.abs(to_array(again) - to_array(warped))[2:-2, 2:-2, 2:-2]
    assert difference.max() < 1e-3 * np.ptp(to_array(moving))


def follow_the_images(fixed, moving):
    """A flow that depends on both images, so that the network's inputs matter."""
    return 4 * np.stack(np.gradient(fixed), -1) + 6 * np.stack(np.gradient(moving), -1)


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "SLP"])
def test_the_orientation_in_which_scans_are_stored_does_not_matter(orientation):
    fixed = blob((5.0, -3.0, 8.0), direction=turned(LIA))
    moving = blob((8.0, -1.0, 6.0), direction=turned(RAS, (0.1, 0.0, -0.1)))
    network = FakeModel(follow_the_images)
    wanted = register(fixed, moving, network)
    other = register(
        sitk.DICOMOrient(fixed, orientation), sitk.DICOMOrient(moving, orientation), network
    )
    back = sitk.DICOMOrient(
        other.warped,
        sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(fixed.GetDirection()),
    )
    assert same_grid(back, fixed)
    np.testing.assert_allclose(to_array(back), to_array(wanted.warped), atol=0.5)
    assert other.correlation_after == pytest.approx(wanted.correlation_after, abs=1e-4)


def demons(fixed, moving):
    """A step of Thirion's demons: towards where the images are alike."""
    slope, gap = np.stack(np.gradient(fixed), -1), (moving - fixed)[..., None]
    return -2 * gap * slope / ((slope**2).sum(-1, keepdims=True) + gap**2 + 1e-4)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.859, 1.5, 0.859)])
def test_any_orientation_and_spacing_gives_the_same_registration(spacing):
    """LIA, RAS and LPS of one pair, and an oblique one: field, header and Dice."""
    size = tuple(int(n / mm) for n, mm in zip((52, 52, 52), spacing))
    dices = {}
    for kind in ("LIA", "RAS", "LPS", "oblique"):
        direction = turned(LIA) if kind == "oblique" else LIA
        fixed = blob((5.0, -3.0, 8.0), size, spacing, direction)
        moving = blob((7.0, -3.0, 6.0), size, spacing, direction)
        labels = [sitk.Cast(scan > 250, sitk.sitkUInt8) for scan in (fixed, moving)]
        if kind != "oblique":
            fixed, moving = (sitk.DICOMOrient(scan, kind) for scan in (fixed, moving))
            labels = [sitk.DICOMOrient(image, kind) for image in labels]
        result = register(fixed, moving, FakeModel(demons), labels[1], labels[0])
        assert grid_of(result.warped) == grid_of(fixed)
        field = sitk.Cast(result.displacement, sitk.sitkVectorFloat64)
        again = sitk.Resample(moving, fixed, sitk.DisplacementFieldTransform(field))
        difference = np.abs(to_array(again) - to_array(result.warped))[2:-2, 2:-2, 2:-2]
        assert difference.max() < 1e-3 * np.ptp(to_array(moving))
        dices[kind] = result.dice_after[1]
        assert result.dice_before[1] < dices[kind] - 0.02
    assert np.ptp(list(dices.values())) < 0.01


def test_labels_travel_with_the_scan_and_keep_their_type():
    fixed = blob((5.0, -3.0, 8.0))
    moving = blob((9.0, -3.0, 8.0), direction=RAS, size=(56, 56, 56))
    labels = [sitk.Cast(image > 300, sitk.sitkInt16) * 7 for image in (fixed, moving)]
    labels[1] += sitk.Cast(moving > 100, sitk.sitkInt16)  # values 1 and 8: 1 only here
    network = constant(2.0, 0.0, 0.0)  # 4 mm to the left: the truth
    result = register(fixed, moving, network, labels[1])
    assert result.warped_labels.GetPixelID() == sitk.sitkInt16
    assert set(np.unique(to_array(result.warped_labels))) == {0, 1, 8}
    labels[1] = sitk.Cast(moving > 300, sitk.sitkInt16) * 7
    result = register(fixed, moving, network, labels[1], labels[0])
    assert set(result.dice_before) == set(result.dice_after) == {7}
    truth = to_array(labels[0]) == 7
    before = to_array(sitk.Resample(labels[1], fixed, sitk.Transform(), sitk.sitkNearestNeighbor))
    wanted = 2 * (truth & (before == 7)).sum() / (truth.sum() + (before == 7).sum())
    assert result.dice_before[7] == pytest.approx(wanted)
    assert result.dice_before[7] < 0.8
    assert result.dice_after[7] > 0.97


def test_without_labels_there_is_no_dice():
    scan = blob((5.0, -3.0, 8.0))
    result = register(scan, scan, constant(0.0, 0.0, 0.0))
    assert result.warped_labels is None and result.dice_before is None and result.dice_after is None
    np.testing.assert_allclose(to_array(result.warped), to_array(scan), atol=1e-3)
    assert result.folds_percent == result.folds_any_percent == 0
    assert result.std_jacobian == pytest.approx(0, abs=1e-5)


def test_folds_are_counted_in_the_fixed_scans_voxels():
    scan = blob((5.0, -3.0, 8.0), size=(24, 28, 70), spacing=(2.0, 2.0, 1.0))

    def mirror_along_z(fixed, moving):
        flow = np.zeros((*fixed.shape, 3))
        # Over half of the depth the mapping runs backwards: p + flow falls by 0.5 a voxel.
        z = np.arange(fixed.shape[2])
        flow[..., 2] = np.where(z < 8, 0.0, np.where(z < 24, -1.5 * (z - 8.0), -1.5 * 16))
        return flow

    network = FakeModel(mirror_along_z, spacing=(2.0, 2.0, 2.0))
    result = register(scan, scan, network)
    field = to_array(result.displacement)
    # Independent source: the mapping along z (towards A, -y) by NumPy; the other axes stand still.
    slope = 1 + np.diff(-field[:-1, :-1, :, 1], axis=2) / 1.0
    assert result.folds_percent == pytest.approx(100 * (slope <= 0).mean())
    assert result.std_jacobian == pytest.approx(slope.std(), rel=1e-3)
    assert 30 < result.folds_percent < 60
    # Towards any corner a voxel folds where the way to its next or from its previous one along z
    # does.
    folds = np.pad(1 + np.diff(-field[..., 1], axis=2) <= 0, [(0, 0), (0, 0), (1, 1)])
    either = folds[..., 1:] | folds[..., :-1]
    assert result.folds_any_percent == pytest.approx(100 * either.mean())


def test_what_folds_is_unfolded_and_still_warned_of():
    scan = blob((5.0, -3.0, 8.0), size=(24, 28, 32), spacing=(2.0, 2.0, 2.0))

    def torn(fixed, moving):
        flow = smooth(fixed, moving) / 4
        flow[8:16, 8:16, 8:16] += np.random.default_rng(0).normal(0, 2, (8, 8, 8, 3))
        return flow

    notices = Notices()
    kept = register(scan, scan, FakeModel(torn), unfold=False)
    result = register(scan, scan, FakeModel(torn), notices=notices)
    assert kept.unfolding is None and 1 < kept.folds_percent < kept.folds_any_percent < 5
    assert result.unfolding.folds_percent == pytest.approx(kept.folds_percent)
    assert result.unfolding.folds_any_percent == pytest.approx(kept.folds_any_percent)
    assert result.folds_any_percent < 0.01 * kept.folds_any_percent
    assert "folds" in [notice.code for notice in notices]
    # Far from the tear nothing has changed, and the warped scan is that of the new field.
    fields = [to_array(found.displacement) for found in (kept, result)]
    changed = (fields[0] != fields[1]).any(axis=-1).mean()
    assert 100 * changed == pytest.approx(result.unfolding.changed_percent)
    transform = sitk.Cast(result.displacement, sitk.sitkVectorFloat64)
    again = sitk.Resample(scan, scan, sitk.DisplacementFieldTransform(transform))
    inside = to_array(result.warped) > 50
    np.testing.assert_allclose(to_array(again)[inside], to_array(result.warped)[inside], atol=0.5)


def test_labels_on_another_grid_are_refused():
    scan, other = blob((5.0, -3.0, 8.0)), blob((5.0, -3.0, 8.0), size=(48, 56, 63))
    labels = sitk.Cast(other > 300, sitk.sitkUInt8)
    for given in ({"moving_labels": labels}, {"fixed_labels": labels}):
        with pytest.raises(InputError, match="labels: must lie on the grid"):
            register(scan, scan, constant(0.0, 0.0, 0.0), **given)


def test_scans_that_do_not_overlap_are_refused():
    far = blob((505.0, -3.0, 8.0), middle=(505.0, -3.0, 8.0))
    with pytest.raises(InputError, match=r"do not overlap in physical space.*moments"):
        register(blob((5.0, -3.0, 8.0)), far, constant(0.0, 0.0, 0.0))


def test_the_scans_given_stay_as_they_are():
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((8.0, -1.0, 6.0), direction=RAS)
    before = [to_array(fixed).copy(), to_array(moving).copy()]
    register(fixed, moving, FakeModel(smooth))
    np.testing.assert_array_equal(to_array(fixed), before[0])
    np.testing.assert_array_equal(to_array(moving), before[1])


@pytest.mark.parametrize("direction", [LIA, RAS, turned(LIA)])
def test_the_affine_step_is_in_the_one_displacement(direction):
    """Network and affine map: p -> A(p + u(p)), and the network sees the aligned scan."""
    fixed = blob((5.0, -3.0, 8.0), direction=direction)
    moving = blob((65.0, 17.0, 8.0), direction=RAS, middle=(65, 17, 8))
    result = register(fixed, moving, FakeModel(smooth), affine="moments")
    alone = register(fixed, fixed, FakeModel(smooth))
    assert result.alignment.method == "moments"
    shift = result.alignment.transform.GetTranslation()
    np.testing.assert_allclose(shift, (60, 20, 0), atol=0.5)
    difference = to_array(result.displacement) - to_array(alone.displacement)
    np.testing.assert_allclose(difference - shift, 0, atol=2e-3)
    assert list(result.stages) == ["before", "affine", "network"]
    assert result.stages["before"] is None and result.stages["affine"] > 0.99
    assert result.correlation_before is None


def test_auto_aligns_what_does_not_overlap_enough():
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((19.0, -3.0, 8.0), direction=RAS)
    result = register(fixed, moving, "none", affine="auto", refine_steps=0)
    assert result.alignment.method == "full" and "Dice" in result.alignment.note
    assert result.correlation_before < 0.5 < 0.95 < result.correlation_after
    assert list(result.stages) == ["before", "affine"]


def test_an_affine_step_found_before_is_taken(monkeypatch):
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((19.0, -3.0, 8.0), direction=RAS)
    wanted = register(fixed, moving, affine="full")
    assert wanted.alignment.transform.GetTranslation() != (0.0, 0.0, 0.0)
    monkeypatch.setattr(registration.imaging, "align", None)
    result = register(fixed, moving, alignment=wanted.alignment)
    np.testing.assert_array_equal(to_array(result.displacement), to_array(wanted.displacement))
    assert "affine" in wanted.seconds and "affine" not in result.seconds


def test_refinement_without_a_network_finds_a_bend():
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((8.0, -1.0, 6.0))
    seen = []
    result = register(fixed, moving, refine_steps=8, observer=lambda *told: seen.append(told))
    assert [told[:2] for told in seen] == [(step, 8) for step in range(1, 9)]
    assert result.correlation_after > result.correlation_before + 0.03
    assert list(result.stages) == ["before", "refinement"]
    assert same_grid(result.warped, fixed)


def test_ct_is_refined_more_stiffly():
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((8.0, -1.0, 6.0))
    plain = register(fixed, moving, refine_steps=1)
    body = register(*(scan * 3.0 - 1000.0 for scan in (fixed, moving)), refine_steps=1)
    assert plain.refinement.spacing == 1.0 and plain.refinement.steps == 1
    assert body.refinement.spacing == 3.0 and body.refinement.regularization == 2.0


def test_refinement_starts_from_the_network(monkeypatch):
    from ldr_tf.registration.refinement import scans

    def refine(fixed, moving, flow, config, observer, known):
        assert all(there.shape == fixed.shape and there.dtype == bool for there in known)
        assert fixed.shape == moving.shape == flow.shape[:3] and fixed.dtype == np.float32
        np.testing.assert_allclose(flow[0, 0, 0], (2.0, 0.0, 0.0), atol=1e-5)
        assert (config.steps, config.diffeomorphic) == (5, True)
        return flow + np.float32(1)

    monkeypatch.setattr(scans, "refine", refine)
    scan = blob((5.0, -3.0, 8.0))
    result = register(scan, scan, constant(1.0, 0, 0), refine_steps=5, diffeomorphic=True)
    # The network's 2 mm to the left, then a voxel of 1 mm to the left, back and upwards.
    np.testing.assert_allclose(to_array(result.displacement) - (3.0, 1.0, 1.0), 0, atol=1e-5)


def test_scans_finer_than_the_work_are_refined_on_a_finer_grid():
    """Scans of 0.3 mm; 64 voxels along the body's edge, with which the work begins, are coarser."""
    fixed, moving = (
        blob(centre, (112, 120, 128), (0.3, 0.3, 0.3)) for centre in ((5, -3, 8), (6, -2, 7))
    )
    result = register(fixed, moving, refine_steps=5)
    assert result.refinement.fine
    assert result.correlation_after > result.correlation_before + 0.03
    coarse = sitk.BinShrink(fixed, [3, 3, 3])
    assert not register(coarse, moving, refine_steps=1).refinement.fine


def test_landmarks_travel_with_the_displacement():
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((9.0, -3.0, 8.0))
    points = Points(("b", "a"), np.array([(5.0, -3.0, 8.0), (0.0, 0.0, 0.0)]))
    others = Points(("a", "b", "c"), np.array([(4.0, 0, 0), (9.0, -3.0, 11.0), (0, 0, 0)]))
    result = register(
        fixed, moving, constant(2.0, 0.0, 0.0), fixed_points=points, moving_points=others
    )
    assert result.landmarks_before == pytest.approx({"b": 5.0, "a": 4.0})
    assert result.landmarks_after == pytest.approx({"b": 3.0, "a": 0.0}, abs=1e-3)
    with pytest.raises(InputError, match="both scans or of neither"):
        register(fixed, moving, constant(0.0, 0, 0), fixed_points=points)
    outside = Points(("a",), np.array([(300.0, 0, 0)]))
    with pytest.raises(InputError, match="outside the moving scan"):
        register(fixed, moving, constant(0.0, 0, 0), fixed_points=points, moving_points=outside)


def test_the_inverse_leads_back():
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((8.0, -1.0, 6.0), direction=RAS)
    result = register(fixed, moving, FakeModel(smooth), inverse=True)
    assert same_grid(result.inverse, moving)
    assert result.inverse_residual["mean"] < 0.05 and result.inverse_residual["lost"] < 20
    assert register(fixed, moving, FakeModel(smooth)).inverse is None


def test_the_jacobian_lies_on_the_fixed_grid():
    scan = blob((5.0, -3.0, 8.0), direction=turned(LIA))
    result = register(scan, scan, FakeModel(smooth))
    assert same_grid(result.jacobian, scan)
    inner = to_array(result.jacobian)[:-1, :-1, :-1]
    assert result.std_jacobian == pytest.approx(inner.std(), rel=1e-4)
    assert result.folds_percent == pytest.approx(100 * (inner <= 0).mean())


def test_a_model_for_something_else_is_warned_of():
    scan = blob((5.0, -3.0, 8.0))
    assert register(scan, scan, constant(0.0, 0, 0)).notices == ()
    tiny = FakeModel(constant(0.0, 0, 0).function, spacing=(1.0, 1.0, 1.0), size=(16, 16, 16))
    (notice,) = register(scan, scan, tiny).notices
    assert (notice.code, notice.level) == ("size-unlike-training", "warning")
    assert "trained on 16x16x16 mm" in notice.text
    found = {notice.code: notice for notice in register(scan, scan, constant(5.0, 0, 0)).notices}
    assert "less alike after the last step (network" in found["worse-than-before"].text
    assert {"correlation-low", "worse-than-before"} <= set(found)


def test_notices_of_before_come_first():
    scan, notices = blob((5.0, -3.0, 8.0)), Notices()
    notices.notice("read-somehow", "The scan was read.")
    result = register(scan, scan, constant(5.0, 0, 0), notices=notices)
    codes = [notice.code for notice in result.notices]
    assert codes[0] == "read-somehow" and "worse-than-before" in codes[1:]


def test_options_come_as_a_record_or_one_by_one():
    scan, model = blob((5.0, -3.0, 8.0)), constant(0.0, 0, 0)
    options = RegistrationOptions(affine="none", quality="fast", inverse=True)
    assert registration.register(scan, scan, model, options=options).inverse is not None
    result = registration.register(scan, scan, model, options=options, inverse=False)
    assert result.inverse is None and result.alignment.note == "none asked for"
    for wrong, word in (({"affine": "some"}, "affine"), ({"refine_steps": -1}, "refine_steps")):
        with pytest.raises(InputError, match=word):
            registration.register(scan, scan, model, **wrong)


def test_a_run_folder_serves_as_model(student_run):
    rng = np.random.default_rng(0)
    scan = sitk.GetImageFromArray(rng.uniform(1, 200, (32, 32, 32)).astype(np.float32))
    assert register(scan, scan, str(student_run)).warped.GetSize() == (32, 32, 32)
    with pytest.raises(InputError, match="not a run folder"):
        register(scan, scan, "no such folder")


def test_images_that_are_no_scans_are_refused():
    scan = blob((5.0, -3.0, 8.0))
    for bad in (scan[:, :, 3], sitk.Compose(scan, scan), sitk.Log(scan * 0 - 1)):
        with pytest.raises(InputError, match="the moving scan"):
            register(scan, bad, constant(0.0, 0, 0))
    with pytest.raises(InputError, match="diffeomorphic"):
        register(scan, scan, constant(0.0, 0, 0), diffeomorphic=True)


def test_the_background_of_the_warped_scan():
    """Beyond the moving scan, and in its padding: what its own background is, or what was asked."""
    fixed, moving = blob((5.0, -3.0, 8.0)), blob((5.0, -3.0, 8.0), size=(40, 40, 40))
    outside = to_array(register(fixed, moving, constant(0.0, 0, 0), background=9.0).warped)
    beyond = outside == 9.0
    assert 0.1 < beyond.mean() < 0.9
    for scan, value in ((moving, 0.0), (moving * 3.0 - 1000.0, -1000.0)):
        result = register(fixed * 3.0 - 1000.0, scan, constant(0.0, 0, 0))
        assert result.background == pytest.approx(value, abs=1.0)
        assert (to_array(result.warped)[beyond] == np.float32(result.background)).all()
    array = to_array(moving * 3.0 - 1000.0).copy()
    array[:8] = -2048.0
    padded = to_image(array, moving)
    result = register(fixed * 3.0 - 1000.0, padded, constant(0.0, 0, 0))
    assert result.background == -2048.0
    values = to_array(result.warped)
    # Nothing lies between padding and tissue: padding is not interpolated.
    assert not ((values > -2047) & (values < -1001)).any() and (values == -2048).mean() > 0.1
    assert result.correlation_after > 0.99


@pytest.mark.parametrize(
    "quality, steps", [("fast", (0, 20)), ("balanced", (4, 60)), ("best", (30, 120))]
)
def test_quality_stands_for_steps(quality, steps):
    options = RegistrationOptions(quality=quality)
    assert (options.steps(alone=False), options.steps(alone=True)) == steps
    assert dataclasses.replace(options, refine_steps=7).steps(alone=False) == 7
    fields = {field.name: field.metadata["meaning"] for field in dataclasses.fields(options)}
    assert f"{quality} {steps[0]}" in fields["refine_steps"]
    assert str(steps[1]) in fields["refine_steps"].partition("without a model")[2]


@pytest.mark.parametrize("scale, chosen", [(1.0, "local_correlation"), (-1.0, "gradient_fields")])
def test_what_the_refinement_compares_is_chosen_by_the_contrasts(scale, chosen):
    assert ("auto", *refinement.SIMILARITIES) == SIMILARITIES
    scan = blob((5.0, -3.0, 8.0))
    array = to_array(scan)
    other = np.where(array > 40, 140 + scale * (array - 140), array)
    result = register(scan, to_image(np.float32(other), scan), refine_steps=1)
    assert result.refinement.similarity == chosen
    told = [notice.text for notice in result.notices if notice.code == "similarity-chosen"]
    assert len(told) == (scale < 0)
    reversed_ = evidence.Contrast(0.1, 0.02, deep=-0.48, rims=None)
    unlike = reversed_._replace(deep=0.08)
    options, notices = RegistrationOptions(), Notices()
    for contrast, wanted in ((reversed_, "local_correlation"), (unlike, "gradient_fields")):
        assert registration._similarity(options, contrast, notices) == wanted
    assert [notice.code for notice in notices] == ["similarity-chosen"]
    forced = register(scan, scan, refine_steps=1, similarity="gradient_fields")
    assert forced.refinement.similarity == "gradient_fields"
