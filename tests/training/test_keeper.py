"""Which checkpoints stay: the last ones, the best one, and the old one when the disk is full."""

import contextlib
import json
import resource

import numpy as np
import pytest

import ldr_tf
from ldr_tf.config import NetworkConfig, OptimisationConfig, RunConfig
from ldr_tf.runs import checkpoints
from ldr_tf.training.keeper import Keeper, SavingError
from ldr_tf.training.run import resume
from ldr_tf.training.state import TrainingState


def make(folder, keep=3):
    config = RunConfig(
        network=NetworkConfig(image_size=(16, 16, 16), channels=4),
        optimisation=OptimisationConfig(keep_checkpoints=keep),
    )
    state = TrainingState(config)
    checkpoints.write_config(str(folder), config)
    return state, Keeper(state, str(folder))


def mark(state, number):
    """Makes the weights tell which step they are of."""
    state.network.stems[0].conv1.bias.assign(np.full(4, number, "float32"))
    state.step.assign(number)


def marked(folder):
    return ldr_tf.load_run(str(folder)).stems[0].conv1.bias.numpy()[0]


@contextlib.contextmanager
def full_disk(most):
    """No file may grow beyond so many bytes: what a full disk looks like to a writer."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_the_last_ones_stay(tmp_path):
    state, keeper = make(tmp_path, keep=2)
    for step in (1, 2, 3):
        mark(state, step)
        keeper.save(step)
    names = sorted(path.stem for path in tmp_path.glob("checkpoints/*.index"))
    assert names == ["ckpt-2", "ckpt-3"]
    assert marked(tmp_path) == 3


def test_the_best_is_a_run_of_its_own(tmp_path):
    state, keeper = make(tmp_path)
    for step, dice in ((1, 0.5), (2, 0.6), (3, 0.4)):
        mark(state, step)
        assert keeper.save_if_best(step, {"dice": dice}) == (step < 3)
        keeper.save(step)
    assert marked(tmp_path) == 3 and marked(tmp_path / "best") == 2
    again = Keeper(state, str(tmp_path))  # as a resumed training opens it
    assert not again.save_if_best(4, {"dice": 0.55})
    mark(state, 5)
    assert again.save_if_best(5, {"dice": 0.7, "folds_percent": 0.1})
    assert marked(tmp_path / "best") == 5
    kept = json.loads((tmp_path / "best" / "validation.json").read_text())
    assert kept == {"step": 5, "dice": 0.7, "folds_percent": 0.1}


def test_without_a_dice_there_is_no_best(tmp_path):
    _, keeper = make(tmp_path)
    assert not keeper.save_if_best(1, {"correlation": 0.9})
    assert not (tmp_path / "best").exists()


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    state, keeper = make(tmp_path)
    mark(state, 1)
    keeper.save(1)
    mark(state, 2)
    with full_disk(20_000), pytest.raises(SavingError, match=r"step 2 cannot be written.*intact"):
        keeper.save(2)
    assert marked(tmp_path) == 1
    fresh, _ = make(tmp_path)
    assert resume(fresh, str(tmp_path)) == 1
    mark(state, 3)
    keeper.save(3)  # there is room again
    assert marked(tmp_path) == 3
