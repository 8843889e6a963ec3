"""Refinement of phantoms whose true deformation is known."""

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

from data.phantoms import make_subject
from ldr_tf import cache, imaging
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError
from ldr_tf.losses.similarity import gradient_fields_loss, local_correlation_loss
from ldr_tf.metrics.jacobian import folded_voxels, jacobian_determinant
from ldr_tf.ops.flow import resize_flow
from ldr_tf.ops.jacobian import jacobian_determinant as jacobian_of_flow
from ldr_tf.ops.warp import warp, warp_nearest
from ldr_tf.registration.refinement import (
    RefinementConfig,
    descent,
    refine,
    refine_scans,
    refine_volumes,
)
from ldr_tf.registration.refinement.descent import start_size
from ldr_tf.registration.refinement.level import Level, Scan

SIZE = (32, 34, 36)  # a half resolution is tried from 32 on


@pytest.fixture(scope="module")
def pair():
    """A subject, the template it is a deformation of, and the flow from one to the other."""
    subject, template = make_subject(1, 0, SIZE), make_subject(1, None, SIZE)
    fixed, moving = (p.volume for p in (subject, template))
    return fixed, moving, subject.flow, subject.labels > 0


def error_of(flow, pair):
    """Mean end-point error in voxels inside the body; outside it nothing can be seen."""
    return float(np.linalg.norm(flow - pair[2], axis=-1)[pair[3]].mean())


@pytest.mark.parametrize("diffeomorphic", [False, True])
def test_recovers_a_known_deformation(pair, diffeomorphic):
    fixed, moving = pair[:2]
    seen = []
    config = RefinementConfig(40, diffeomorphic)
    flow = refine(fixed, moving, None, config, lambda step, _, loss: seen.append((step, loss)))
    assert flow.shape == (*SIZE, 3)
    assert flow.dtype == np.float32
    assert error_of(flow, pair) < 0.5 * error_of(0.0, pair)
    assert jacobian_determinant(flow).min() > 0
    assert folded_voxels(flow).sum() <= (0 if diffeomorphic else 10)
    assert [step for step, _ in seen] == list(range(1, 41))
    losses = [loss for _, loss in seen]
    assert losses[19] < 0.8 * losses[0]  # at half the resolution
    assert losses[39] < losses[20]


def test_edges_recover_a_known_deformation_in_another_contrast(pair):
    fixed, moving = pair[:2]
    other = np.where(moving > 10, 260.0 - moving, moving)
    flow = refine(fixed, other, None, RefinementConfig(40, similarity="gradient_fields"))
    assert error_of(flow, pair) < 0.6 * error_of(0.0, pair)


@pytest.mark.parametrize("diffeomorphic", [False, True])
def test_the_last_steps_see_the_volumes_as_fine_as_they_are(pair, diffeomorphic):
    """Volumes of twice the resolution, whose true flow is twice as long in voxels."""
    subject, template = (make_subject(1, s, tuple(2 * n for n in SIZE)) for s in (0, None))
    fixed, moving = (p.volume for p in (subject, template))
    inside = subject.labels > 0
    errors, losses = [], []
    for share in (0.0, 0.25):
        config = RefinementConfig(40, diffeomorphic, fine=True, fine_share=share)
        flow = refine(fixed, moving, None, config, lambda step, steps, loss: losses.append(loss))
        errors.append(np.linalg.norm(flow - subject.flow, axis=-1)[inside].mean())
        assert flow.shape == subject.flow.shape
    assert errors[0] < 0.5 * np.linalg.norm(subject.flow, axis=-1)[inside].mean()
    assert errors[1] < errors[0]
    # Of the second run's 30 coarser steps 15 go at half of half the resolution, as did 20 before.
    np.testing.assert_allclose(losses[40:55], losses[:15], rtol=1e-5)


@pytest.mark.parametrize("steps, fine", [(3, 3), (4, 4), (10, 4), (30, 6)])
def test_a_few_steps_from_a_flow_are_all_fine(steps, fine, monkeypatch):
    """At least four at the full resolution of 32^3, a fifth of many; those before at half of it."""
    config, seen = RefinementConfig(steps, fine=True), []
    size, half = (32,) * 3, (16,) * 3
    assert start_size(size, config) == (size if steps == fine else half)
    start = np.zeros((*size, 3), np.float32)
    volume = make_subject(1, 0, size).volume
    real = Level.step

    def counted(level, *arguments):
        seen.append(level._size)
        return real(level, *arguments)

    monkeypatch.setattr(Level, "step", counted)
    refine(volume, volume, start, config)
    assert [seen.count(n) for n in (size, half)] == [fine, steps - fine]


def test_wide_windows_count_in_all_but_the_last_steps():
    levels = descent._levels((64,) * 3, RefinementConfig(10, fine=True), coarse=True)
    weights = [(size[0], settings.wide_weight) for size, settings, _ in levels]
    assert weights == [(16, 0.3), (32, 0.3), (64, 0.0)]


@pytest.mark.parametrize("diffeomorphic", [False, True])
def test_a_step_that_was_kept_is_the_step(pair, tmp_path, monkeypatch, diffeomorphic):
    """Settings apart, which make a graph of their own."""
    fixed, moving = (tf.constant(p[None, ..., None] / 255, tf.float32) for p in pair[:2])
    scans = [Scan(volume, tf.ones_like(volume)) for volume in (fixed, moving)]
    configs = [RefinementConfig(1, diffeomorphic, window=window) for window in (5, 7)]

    def coefficients(config):
        level = Level(SIZE, config)
        start = level.start(tf.zeros((1, *level._counts, 3)))
        return level.step(*scans, start)[0][0].numpy()

    wanted = [coefficients(config) for config in configs]
    assert np.abs(wanted[0] - wanted[1]).max() > 0.01
    cache.use(str(tmp_path))
    for config in configs:
        coefficients(config)
    monkeypatch.setattr(Level, "_step", None)  # nothing can be traced
    for config, values in zip(configs, wanted):
        np.testing.assert_array_equal(coefficients(config), values)


@pytest.mark.parametrize("diffeomorphic", [False, True])
def test_starts_from_a_given_flow(pair, diffeomorphic):
    fixed, moving, truth, _ = pair
    flow = refine(fixed, moving, truth, RefinementConfig(1, diffeomorphic))
    # One step of Adam moves a coefficient by 0.1 voxels: the start must have been kept.
    assert error_of(flow, pair) < 0.25
    assert error_of(0.0, pair) > 1.0


@pytest.mark.parametrize("start", [None, "truth"])
def test_no_steps_return_the_start(pair, start):
    fixed, moving, truth, _ = pair
    flow = refine(fixed, moving, truth if start else None, RefinementConfig(0))
    np.testing.assert_array_equal(flow, truth if start else np.zeros_like(truth))


def test_starts_from_a_flow_on_the_grid_of_its_first_steps(pair):
    fixed, moving, truth, _ = pair
    config = RefinementConfig(5, fine=True)
    size = start_size(SIZE, config)
    assert size == (16, 17, 18) and start_size(SIZE, RefinementConfig(5)) == SIZE
    coarse = resize_flow(tf.constant(truth[None], tf.float32), size)[0].numpy()
    flows = [refine(fixed, moving, start, config) for start in (coarse, truth)]
    np.testing.assert_allclose(*flows, atol=1e-4)
    with pytest.raises(ValueError, match=r"\(32, 34, 36, 3\) or \(16, 17, 18, 3\)"):
        refine(fixed, moving, coarse[1:], config)


def test_the_penalty_prevents_folds_towards_every_corner(pair):
    fixed, moving = pair[0], pair[0][::-1].copy()  # a mirror image cannot be reached without folds
    start = np.zeros_like(pair[2])
    folds = []
    for weight in (0.0, 10.0):
        config = RefinementConfig(20, regularization=0.02, fold_weight=weight)
        flow = refine(fixed, moving, start, config)
        folds.append([np.mean(jacobian_determinant(flow, c) <= 0) for c in np.ndindex(2, 2, 2)])
    assert min(folds[0]) > 0.01
    assert max(folds[1]) < 0.2 * min(folds[0])


def test_what_lies_beyond_a_scans_end_does_not_matter(pair):
    fixed, moving = pair[:2]
    known = [np.ones(SIZE, bool), np.ones(SIZE, bool)]
    known[0][:, :5] = False
    known[1][..., -6:] = False
    flows = []
    for value in (0.0, 255.0):
        volumes = [np.where(there, volume, value) for volume, there in zip((fixed, moving), known)]
        flows.append(refine(*volumes, None, RefinementConfig(6), known=known))
    np.testing.assert_allclose(flows[0], flows[1], atol=1e-3)
    unaware = refine(*volumes, None, RefinementConfig(6))
    assert np.abs(unaware - flows[0]).max() > 0.1


def test_a_loss_that_is_no_number_raises(pair):
    moving = pair[1].astype("float32")
    moving[16, 16, 16] = np.nan
    with pytest.raises(FloatingPointError, match="step 1"):
        refine(pair[0], moving, None, RefinementConfig(3))


def test_shapes_that_do_not_fit_are_refused(pair):
    fixed, moving, truth, _ = pair
    with pytest.raises(ValueError, match="fixed and moving"):
        refine(fixed, moving[1:], None, RefinementConfig(1))
    with pytest.raises(ValueError, match="flow must be"):
        refine(fixed, moving, truth[1:], RefinementConfig(1))


@pytest.mark.parametrize(
    "values",
    [
        {"steps": -1},
        {"window": 4},
        {"fine_window": 0},
        {"wide_window": 20},
        {"fine_share": 1.5},
        {"similarity": "mse"},
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(InputError, match="refinement"):
        RefinementConfig(**{"steps": 1, **values})


def test_a_data_sets_grid_is_a_case_of_the_scans(pair):
    """The same pair, as volumes of a data set and as scans on that grid, with the same settings."""
    fixed, moving = pair[:2]
    start = np.zeros((*SIZE, 3), np.float32)
    flow, config = refine_volumes(fixed, moving, start, 3)
    assert config == RefinementConfig(3, learning_rate=0.2)
    np.testing.assert_array_equal(flow, refine(fixed, moving, start, config))
    box = np.zeros(3), np.array(SIZE) - 1.0
    grid = imaging.Grid(SIZE, (2.0,) * 3, (0.0,) * 3, (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    scans = [imaging.to_image(volume, grid) for volume in (fixed, moving)]
    options = {"affine": sitk.AffineTransform(3), "image_config": ImageConfig(intensity="none")}
    _, of_scans = refine_scans(*scans, None, 3, box=box, **options)
    assert of_scans == config
    _, stiff = refine_volumes(fixed, moving, start, 1, ct=True)
    assert (stiff.spacing, stiff.regularization) == (3.0, 2.0)


def test_a_data_set_of_fine_volumes_is_refined_as_fine_scans_are(pair):
    fixed, moving = (np.repeat(volume, 4, 2).repeat(4, 1).repeat(4, 0) for volume in pair[:2])
    start = np.zeros((*fixed.shape, 3), np.float32)
    for spacing, fine in (((1.0, 1.0, 1.0), True), ((2.0, 2.0, 2.0), False), (None, True)):
        _, config = refine_volumes(fixed, moving, start, 0, spacing=spacing)
        assert config.fine is fine


def test_what_is_compiled_ahead_is_what_runs(pair):
    fixed, moving = pair[:2]
    config = RefinementConfig(steps=4, spacing=3.0, fine=True)
    descent.compile_ahead(SIZE, config, coarse=True).result()
    levels = [descent._level(size, kept) for size, kept, _ in descent._levels(SIZE, config, True)]
    parts = [
        part
        for level in levels
        for part in (level.flow, level._unlike, level._folds, level._update)
    ]
    assert len(levels) == 2
    assert [part.experimental_get_tracing_count() for part in parts] == [1] * len(parts)
    refine(fixed, moving, None, config)
    assert [part.experimental_get_tracing_count() for part in parts] == [1] * len(parts)


@pytest.mark.parametrize(
    "diffeomorphic, similarity, wide",
    [
        (False, "local_correlation", 0.3),
        (False, "local_correlation", 0.0),
        (True, "local_correlation", 0.3),
        (False, "gradient_fields", 0.3),
    ],
)
def test_a_step_goes_down_the_gradient_of_a_plain_tape(diffeomorphic, similarity, wide):
    size, corner = (9, 10, 11), tf.constant([1.0, 0.0, 1.0])
    config = RefinementConfig(
        1,
        diffeomorphic,
        spacing=2.0,
        window=3,
        wide_window=7,
        wide_weight=wide,
        least_jacobian=0.9,
        similarity=similarity,
    )
    level, rng = Level(size, config), np.random.default_rng(3)
    fixed, moving = (
        Scan(
            tf.constant(rng.random((1, *size, 1)), tf.float32),
            tf.constant(rng.random((1, *size, 1)) > 0.05, tf.float32),
        )
        for _ in range(2)
    )
    coefficients = level.coefficients(tf.constant(rng.normal(0, 0.5, (1, *size, 3)), tf.float32))
    with tf.GradientTape() as tape:
        tape.watch(coefficients)
        flow = level._flow(coefficients)
        warped = warp(moving.intensity, flow, compiled=False)
        known = tf.minimum(fixed.known, warp_nearest(moving.known, tf.stop_gradient(flow)))
        if similarity == "gradient_fields":
            cost = gradient_fields_loss(fixed.intensity, warped, config.edge, known)[0]
        else:
            epsilon = config.epsilon
            cost = local_correlation_loss(fixed.intensity, warped, 3, epsilon, known)[0]
            shown = np.where((fixed.intensity > 0.02) & (warped > 0.02), known, np.float32(0.0))
            cost += wide * local_correlation_loss(fixed.intensity, warped, 7, epsilon, shown)[0]
        lacking = tf.nn.relu(0.9 - jacobian_of_flow(flow, corner))
        cost += config.fold_weight * tf.reduce_mean(tf.square(lacking))
    expected = tape.gradient(cost, coefficients)
    with tf.GradientTape() as tape:
        tape.watch(coefficients)
        flow = level.flow(coefficients)
    value, upstream = level.cost(fixed, moving, flow, corner)
    gradient = tape.gradient(flow, coefficients, upstream)
    assert float(value) == pytest.approx(float(cost), rel=1e-4)
    scale = float(tf.reduce_max(tf.abs(expected)))
    assert scale > 1e-4
    np.testing.assert_allclose(gradient, expected, atol=1e-3 * scale)
