"""Learning rates and the learning strategy at steps computed by hand."""

import pytest

from ldr_tf.config import DistillationConfig, OptimisationConfig
from ldr_tf.training.schedules import is_full_step, learning_rate


def test_cosine_falls_from_the_rate_to_zero():
    config = OptimisationConfig(steps=100, learning_rate=2.0, schedule="cosine")
    rates = [learning_rate(config, step) for step in (0, 25, 50, 100, 130)]
    assert rates == pytest.approx([2.0, 1.7071068, 1.0, 0.0, 0.0])


def test_cosine_restarts_in_cycles_twice_as_long():
    config = OptimisationConfig(steps=700, learning_rate=2.0, schedule="cosine_restarts")
    # Cycles of 100, 200 and 400 steps; halfway through each the cosine is at one half.
    steps = (0, 50, 100, 200, 300, 500, 699, 700)
    wanted = [2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 0.0, 0.0]
    assert [learning_rate(config, step) for step in steps] == pytest.approx(wanted, abs=1e-4)


def test_rcn_halves_by_epochs_of_20000():
    config = OptimisationConfig(steps=200000, learning_rate=1e-4, schedule="rcn")
    steps = (0, 59999, 60000, 80000, 160000, 190000)
    wanted = [1e-4, 1e-4, 5e-5, 2.5e-5, 1e-4 / 64, 1e-4 / 64]
    assert [learning_rate(config, step) for step in steps] == pytest.approx(wanted)


def test_an_epoch_is_as_long_as_the_config_says():
    config = OptimisationConfig(steps=900, learning_rate=8.0, schedule="rcn", epoch_steps=100)
    assert [learning_rate(config, step) for step in (299, 300, 400)] == [8.0, 4.0, 2.0]


def test_rcn_finetuning():
    config = OptimisationConfig(steps=100000, learning_rate=5e-6, schedule="rcn_finetune")
    steps = (0, 59999, 60000, 80000, 150000)
    wanted = [5e-6, 5e-6, 2.5e-6, 1.25e-6, 1.25e-6]
    assert [learning_rate(config, step) for step in steps] == pytest.approx(wanted)


def test_the_releases_ldr_alone_restarts_its_cosine_five_times():
    config = OptimisationConfig(steps=100000, learning_rate=1e-4, schedule="ldr_released")
    # periods of 20,000 steps: at their starts the cosine is 1, halfway 1/2
    steps = (0, 10000, 20000, 30000, 40000, 95000)
    quarter = (1 + 0.5**0.5 * -1) / 2  # at three quarters of a period
    wanted = [1e-4, 5e-5, 1e-4 / 8, 1e-4 / 16, 1e-4 / 16, 1e-4 / 64 * quarter]
    assert [learning_rate(config, step) for step in steps] == pytest.approx(wanted)


def test_constant_is_constant():
    config = OptimisationConfig(steps=10, learning_rate=3e-4, schedule="constant")
    assert {learning_rate(config, step) for step in range(10)} == {3e-4}


@pytest.mark.parametrize(
    "options, wanted",
    [
        ({"kind": "none"}, "000000"),
        ({"kind": "aldk", "reconstruction_steps": 2}, "001001"),
        ({"kind": "aldk", "reconstruction_steps": 0}, "111111"),
        ({"kind": "flow", "reconstruction_steps": 1}, "010101"),
        (
            {
                "kind": "aldk",
                "reconstruction_steps": 1,
                "until_step": 3,
                "afterwards": "reconstruction",
            },
            "010000",
        ),
        (
            {"kind": "aldk", "reconstruction_steps": 2, "until_step": 3, "afterwards": "full"},
            "001111",
        ),
        (
            {"kind": "aldk", "reconstruction_steps": 2, "until_step": 3, "afterwards": "same"},
            "001001",
        ),
    ],
)
def test_learning_strategy(options, wanted):
    config = DistillationConfig(**options)
    assert "".join(str(int(is_full_step(config, step))) for step in range(6)) == wanted
