"""Learning rates and the learning strategy at steps computed by hand."""

import pytest

from ldr_tf.config import DistillationConfig, TrainingConfig
from ldr_tf.training.schedules import is_full_step, learning_rate


def test_cosine_falls_from_the_rate_to_zero():
    config = TrainingConfig(steps=100, learning_rate=2.0, schedule="cosine")
    rates = [learning_rate(config, step) for step in (0, 25, 50, 100, 130)]
    assert rates == pytest.approx([2.0, 1.7071068, 1.0, 0.0, 0.0])


def test_rcn_halves_by_epochs_of_20000():
    config = TrainingConfig(steps=200000, learning_rate=1e-4, schedule="rcn")
    steps = (0, 59999, 60000, 80000, 160000, 190000)
    wanted = [1e-4, 1e-4, 5e-5, 2.5e-5, 1e-4 / 64, 1e-4 / 64]
    assert [learning_rate(config, step) for step in steps] == pytest.approx(wanted)


def test_constant_is_constant():
    config = TrainingConfig(steps=10, learning_rate=3e-4, schedule="constant")
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
