"""Refinement of phantoms whose true deformation is known."""

import numpy as np
import pytest

from data.phantoms import jacobian_determinant, make_subject
from ldr_tf.errors import InputError
from ldr_tf.refinement import RefinementConfig, refine

SIZE = (32, 34, 36)  # a half resolution is tried from 32 on


@pytest.fixture(scope="module")
def pair():
    """A subject, the template it is a deformation of, and the flow from one to the other."""
    subject, template = make_subject(1, 0, SIZE), make_subject(1, None, SIZE)
    fixed, moving = (p.volume.astype("float32") / 255 for p in (subject, template))
    return fixed, moving, subject.flow, subject.labels > 0


def error_of(flow, pair):
    """Mean end-point error in voxels inside the body; outside it nothing can be seen."""
    return float(np.linalg.norm(flow - pair[2], axis=-1)[pair[3]].mean())


@pytest.mark.parametrize("diffeomorphic", [False, True])
def test_recovers_a_known_deformation(pair, diffeomorphic):
    fixed, moving = pair[:2]
    seen = []
    config = RefinementConfig(40, diffeomorphic)
    result = refine(fixed, moving, None, config, lambda step, loss: seen.append((step, loss)))
    assert result.flow.shape == (*SIZE, 3)
    assert result.flow.dtype == np.float32
    assert error_of(result.flow, pair) < 0.5 * error_of(0.0, pair)
    assert result.similarity_after > result.similarity_before + 0.1
    assert jacobian_determinant(result.flow).min() > 0
    assert [step for step, _ in seen] == list(range(1, 41))
    losses = [loss for _, loss in seen]
    assert losses[19] < 0.8 * losses[0]  # at half the resolution
    assert losses[39] < losses[20]
    assert result.seconds > 0


@pytest.mark.parametrize("diffeomorphic", [False, True])
def test_starts_from_a_given_flow(pair, diffeomorphic):
    fixed, moving, truth, _ = pair
    result = refine(fixed, moving, truth, RefinementConfig(1, diffeomorphic))
    # One step of Adam moves a coefficient by 0.1 voxels: the start must have been kept.
    assert error_of(result.flow, pair) < 0.25
    assert error_of(0.0, pair) > 1.0


@pytest.mark.parametrize("flow", [None, "truth"])
def test_no_steps_return_the_start(pair, flow):
    fixed, moving, truth, _ = pair
    result = refine(fixed, moving, truth if flow else None, RefinementConfig(0))
    np.testing.assert_array_equal(result.flow, truth if flow else np.zeros_like(truth))
    assert result.similarity_after == result.similarity_before


def test_the_penalty_prevents_folds(pair):
    fixed, moving = pair[0], pair[0][::-1].copy()  # a mirror image cannot be reached without folds
    start = np.zeros_like(pair[2])
    folds = []
    for weight in (0.0, 10.0):
        config = RefinementConfig(20, regularization=0.02, fold_weight=weight)
        flow = refine(fixed, moving, start, config).flow
        folds.append(np.mean(jacobian_determinant(flow) <= 0))
    assert folds[0] > 0.01
    assert folds[1] < 0.2 * folds[0]


def test_what_lies_beyond_a_scans_end_does_not_matter(pair):
    fixed, moving = pair[:2]
    known = [np.ones(SIZE, bool), np.ones(SIZE, bool)]
    known[0][:, :5] = False
    known[1][..., -6:] = False
    flows = []
    for value in (0.0, 1.0):
        volumes = [np.where(there, volume, value) for volume, there in zip((fixed, moving), known)]
        flows.append(refine(*volumes, None, RefinementConfig(6), known=known).flow)
    np.testing.assert_allclose(flows[0], flows[1], atol=1e-3)
    unaware = refine(*volumes, None, RefinementConfig(6)).flow
    assert np.abs(unaware - flows[0]).max() > 0.1


def test_a_loss_that_is_no_number_raises(pair):
    moving = pair[1].copy()
    moving[16, 16, 16] = np.nan
    with pytest.raises(FloatingPointError, match="step 1"):
        refine(pair[0], moving, None, RefinementConfig(3))


def test_shapes_that_do_not_fit_are_refused(pair):
    fixed, moving, truth, _ = pair
    with pytest.raises(ValueError, match="fixed and moving"):
        refine(fixed, moving[1:], None, RefinementConfig(1))
    with pytest.raises(ValueError, match="flow must be"):
        refine(fixed, moving, truth[1:], RefinementConfig(1))


@pytest.mark.parametrize("values", [{"steps": -1}, {"steps": 1, "window": 4}])
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(InputError, match="refinement"):
        RefinementConfig(**values)
