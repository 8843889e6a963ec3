"""Local correlation against loops over voxels, and its gradients against automatic ones."""

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.ops.local_correlation import OFFSETS, local_correlation


def by_loops(fixed, moving, neighbours):
    batch, x, y, z, channels = fixed.shape
    result = np.zeros((batch, x, y, z, neighbours))
    for p in np.ndindex(batch, x, y, z):
        for k, offset in enumerate(OFFSETS[neighbours]):
            q = np.array(p[1:]) + offset
            if (q >= 0).all() and (q < (x, y, z)).all():
                result[(*p, k)] = fixed[p] @ moving[(p[0], *q)] / channels
    return result


def features(size=(3, 4, 5), channels=2, batch=2):
    rng = np.random.default_rng(1)
    return rng.normal(size=(2, batch, *size, channels)).astype("float32")


def test_offsets():
    assert OFFSETS[27][0] == (-1, -1, -1) and OFFSETS[27][13] == (0, 0, 0)
    assert OFFSETS[27][14] == (0, 0, 1)  # z last, as in the arrays
    x, y, z = (1, 0, 0), (0, 1, 0), (0, 0, 1)
    others = [tuple(-n for n in axis) for axis in (x, y, z)]
    assert sorted(OFFSETS[7]) == sorted([(0, 0, 0), x, y, z, *others])
    assert len(set(OFFSETS[27])) == 27


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("neighbours", [7, 27])
@pytest.mark.parametrize("size", [(3, 4, 5), (1, 2, 1)])
def test_equals_loops(size, neighbours, compiled):
    fixed, moving = features(size)
    found = local_correlation(fixed, moving, neighbours, compiled)
    assert found.shape == (2, *size, neighbours)
    np.testing.assert_allclose(found, by_loops(fixed, moving, neighbours), atol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_best_neighbour_is_where_the_features_went(compiled):
    """What `moving` shows one voxel further along y, `fixed` shows here."""
    moving = features((6, 6, 6), channels=64)[1]
    fixed = np.roll(moving, -1, axis=2)
    found = local_correlation(fixed, moving, 27, compiled).numpy()
    best = found[:, 1:-1, 1:-1, 1:-1].argmax(-1)
    np.testing.assert_array_equal(best, OFFSETS[27].index((0, 1, 0)))


@pytest.mark.parametrize("neighbours", [7, 27])
def test_gradients(neighbours):
    """The compiled form's, written out, against those of the plain form and against loops."""
    fixed, moving = map(tf.constant, features())
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(*fixed.shape[:-1], neighbours)).astype("float32")
    found = []
    for compiled in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([fixed, moving])
            loss = tf.reduce_sum(weights * local_correlation(fixed, moving, neighbours, compiled))
        found.append(tape.gradient(loss, [fixed, moving]))
    for ours, automatic in zip(*found):
        np.testing.assert_allclose(ours, automatic, atol=1e-6)
    # The correlation is linear in each argument: the gradient's product with it is the loss.
    for gradient, argument in zip(found[0], (fixed, moving)):
        loss = (weights * by_loops(fixed.numpy(), moving.numpy(), neighbours)).sum()
        assert float(tf.reduce_sum(gradient * argument)) == pytest.approx(loss, abs=1e-4)
    # And one voxel alone, by hand: the corner sees itself and its inner neighbours.
    wanted = sum(
        weights[0, 0, 0, 0, k] * moving.numpy()[(0, *offset)] / 2
        for k, offset in enumerate(OFFSETS[neighbours])
        if min(offset) >= 0
    )
    np.testing.assert_allclose(found[0][0][0, 0, 0, 0], wanted, atol=1e-6)


def test_sizes_that_are_not_known_before_the_graph_runs():
    fixed, moving = features()
    spec = tf.TensorSpec([None, None, None, None, 2])
    plain = tf.function(
        lambda fixed, moving: local_correlation(fixed, moving, 7, compiled=False),
        input_signature=[spec, spec],
    )
    np.testing.assert_allclose(plain(fixed, moving), by_loops(fixed, moving, 7), atol=1e-6)


def test_refusals():
    volume = tf.zeros([1, 4, 4, 4, 2])
    with pytest.raises(ValueError, match="one grid"):
        local_correlation(volume, tf.zeros([1, 4, 4, 5, 2]))
    with pytest.raises(ValueError, match="as many channels, not 2 and 3"):
        local_correlation(volume, tf.zeros([1, 4, 4, 4, 3]))
    with pytest.raises(ValueError, match="7 or 27, not 9"):
        local_correlation(volume, volume, 9)
