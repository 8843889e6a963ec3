"""A training as a call, on data of its own: what it writes, that it resumes, what it refuses."""

import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import (
    AugmentationConfig,
    DataConfig,
    DistillationConfig,
    NetworkConfig,
    OptimisationConfig,
    RunConfig,
)
from ldr_tf.errors import InputError
from ldr_tf.files import only_writer
from ldr_tf.runs.checkpoints import load_run
from ldr_tf.training.loop import TrainingError
from ldr_tf.training.observer import Observer
from ldr_tf.training.run import train_run

SIZE = (16, 16, 16)


class Noise:
    """Batches of noise, a function of the step; fulfils what `train_run` asks of data."""

    classes = 0

    def __init__(self, change=lambda step, batch: batch):
        self._change = change

    def batches(self, first_step=0, shard=(0, 1)):
        def make():
            step = first_step
            while True:
                volumes = np.random.default_rng(step).integers(0, 256, (2, 1, *SIZE, 1), np.uint8)
                batch = {"fixed": volumes[0], "moving": volumes[1], "example": np.int64([step])}
                yield self._change(step, batch)
                step += 1

        return make()

    def pair_names(self, step):
        return f"pair {step}"


class Listener(Observer):
    def __init__(self):
        self.scalars, self.validations, self.runs = {}, {}, []

    def on_run(self, config, parameters, first_step):
        self.runs.append((config.stage, parameters, first_step))

    def on_scalars(self, step, scalars):
        self.scalars[step] = scalars

    def on_validation(self, step, figures):
        self.validations[step] = figures


def make_config(**optimisation):
    values = {"steps": 4, "learning_rate": 1e-3, "checkpoint_every": 2, "summarize_every": 2}
    return RunConfig(
        network=NetworkConfig(image_size=SIZE, channels=2),
        data=DataConfig("noise"),
        augmentation=AugmentationConfig(0.0),
        optimisation=OptimisationConfig(**{**values, **optimisation}),
    )


def weights(folder):
    return load_run(str(folder)).get_weights()


def test_a_run_folder_is_written_and_told_about(tmp_path):
    folder, heard = str(tmp_path / "run"), Listener()
    figures = iter([0.25, 0.75])

    def validation(network):
        assert network.config.image_size == SIZE
        return lambda: {"dice": next(figures)}

    config = make_config(validate_every=2)
    assert train_run(config, folder, Noise(), validation, heard) == 4
    assert json.loads((tmp_path / "run" / "config.json").read_text())["data"]["dataset"] == "noise"
    assert heard.runs == [("student", load_run(folder).count_params(), 0)]
    assert heard.validations == {2: {"dice": 0.25}, 4: {"dice": 0.75}}
    assert sorted(heard.scalars) == [2, 4]
    assert {"reconstruction", "gradient_norm", "peak_memory_mb"} <= set(heard.scalars[4])
    best = json.loads((tmp_path / "run" / "best" / "validation.json").read_text())
    assert best == {"step": 4, "dice": 0.75}


def test_what_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    config = make_config()
    train_run(config, str(tmp_path / "whole"), Noise())
    asked = iter([False, True])
    part = str(tmp_path / "part")
    assert train_run(config, part, Noise(), should_stop=lambda: next(asked)) == 2
    heard = Listener()
    assert train_run(config, part, Noise(), observer=heard) == 4
    assert heard.runs[0][2] == 2
    for a, b in zip(weights(tmp_path / "whole"), weights(part)):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_each_objective_is_logged_under_its_own_name(tmp_path):
    """Every third step is full; a line of the log has the newest of both."""
    teacher = str(tmp_path / "teacher")
    train_run(make_config(), teacher, Noise())
    heard = Listener()
    distillation = DistillationConfig("flow", teacher=teacher)
    config = dataclasses.replace(make_config(summarize_every=4), distillation=distillation)
    train_run(config, str(tmp_path / "student"), Noise(), observer=heard)
    scalars = heard.scalars[4]
    assert "loss" not in scalars
    wanted = 0.3 * scalars["reconstruction"] + 0.7 * scalars["flow_regression"]
    # The full step was the third, the reconstruction's number is the fourth's.
    assert np.isfinite(wanted) and scalars["full_loss"] > 0
    assert scalars["full_loss"] != scalars["reconstruction"]


def test_weights_that_are_not_finite_never_reach_the_validation(tmp_path):
    """Though the losses are logged rarely: they are looked at before every validation."""
    called = []

    def validation(network):
        return lambda: called.append(1) or {"dice": 0.5}

    config = make_config(steps=9, learning_rate=1e30, schedule="constant", summarize_every=9)
    config = dataclasses.replace(
        config, optimisation=dataclasses.replace(config.optimisation, validate_every=3)
    )
    with pytest.raises(TrainingError, match=r"step 2: .*\(pairs: pair 1\); .* intact"):
        train_run(config, str(tmp_path / "run"), Noise(), validation)
    assert not called


def test_memory_that_is_short_is_called_by_its_name(tmp_path):
    def exhausted(step, batch):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")

    with pytest.raises(TrainingError, match=r"out of memory \(OOM when"):
        train_run(make_config(), str(tmp_path / "run"), Noise(exhausted))


def test_an_error_of_the_data_is_not_taken_for_one_of_the_disk(tmp_path):
    def unreadable(step, batch):
        raise OSError("the scan's disk is gone")

    with pytest.raises(OSError, match="the scan's disk"):
        train_run(make_config(), str(tmp_path / "run"), Noise(unreadable))


def test_two_trainings_into_one_folder_are_refused(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with only_writer(str(folder)), pytest.raises(InputError, match="another process"):
        train_run(make_config(), str(folder), Noise())
    assert not (folder / "config.json").exists()


def test_another_config_is_refused_unless_it_may_change(tmp_path):
    folder = str(tmp_path / "run")
    train_run(make_config(), folder, Noise())
    longer = make_config(steps=6)
    with pytest.raises(InputError, match=r"optimisation\.steps was 4, now 6"):
        train_run(longer, folder, Noise())
    assert train_run(longer, folder, Noise(), override=True) == 6
    other = dataclasses.replace(longer, network=NetworkConfig(image_size=SIZE, channels=4))
    with pytest.raises(InputError, match=r"network\.channels was 2, now 4"):
        train_run(other, folder, Noise(), override=True)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"distillation": DistillationConfig("aldk")}, "needs a teacher"),
        ({"distillation": DistillationConfig("aldk", teacher="nowhere")}, "nowhere: is not a run"),
        ({"init": "nowhere"}, "nowhere: is not a run folder"),
    ],
)
def test_what_is_refused_leaves_no_folder(change, words, tmp_path):
    folder = str(tmp_path / "run")
    with pytest.raises(InputError, match=words):
        train_run(dataclasses.replace(make_config(), **change), folder, Noise())
    assert not os.path.exists(folder)


def test_the_profiler_records_the_steps_named(tmp_path):
    folder = tmp_path / "run"
    train_run(make_config(), str(folder), Noise(), profile=(2, 3))
    assert list(folder.glob("plugins/profile/*/*.xplane.pb"))
