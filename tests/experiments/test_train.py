"""The training command: it learns, resumes, and refuses."""

import dataclasses
import json
import os
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

import ldr_tf
from experiments import make_teacher_flows, train
from ldr_tf.config import NetworkConfig, RunConfig, run_config
from ldr_tf.errors import InputError
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.training.run import load_initial


def flags(dataset, output, *more):
    return [
        "train",
        f"--dataset={dataset}",
        f"--output={output}",
        "--set=network.channels=4",
        "--set=optimisation.steps=6",
        "--set=optimisation.checkpoint_every=2",
        "--set=optimisation.summarize_every=1",
        *more,
    ]


def losses(folder, name="reconstruction"):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


def test_run_folder_is_complete(phantoms, student_run):
    config = run_config(json.loads((student_run / "config.json").read_text()))
    assert config.stage == "student"
    assert config.data.dataset == str(phantoms)
    assert config.network.image_size == (32, 32, 32)
    assert config.image.orientation == "RAS"
    assert list(student_run.glob("checkpoints/*.index"))
    assert list(student_run.glob("events/*"))
    validation = losses(student_run, "validation/dice")
    assert set(validation) == {6} and 0.0 < validation[6] < 1.0
    assert 0.0 <= losses(student_run, "waiting_percent")[6] <= 100.0
    assert losses(student_run, "peak_memory_mb")[6] > 100.0


def test_load_run_answers_as_the_interface_says(student_run, volumes):
    network = ldr_tf.load_run(str(student_run))
    answer = network(*volumes)
    assert answer.flow.shape == (1, 32, 32, 32, 3)
    np.testing.assert_array_equal(answer.stages[-1].composed, answer.flow)
    np.testing.assert_array_equal(answer.stages[0].warped, answer.warped)


def test_a_run_of_before_flow_resolution_loads(student_run, volumes, tmp_path):
    shutil.copytree(student_run, tmp_path / "run")
    values = json.loads((student_run / "config.json").read_text())
    assert values["network"].pop("flow_resolution") == "full"
    (tmp_path / "run" / "config.json").write_text(json.dumps(values))
    wanted, found = (ldr_tf.load_run(str(run)) for run in (student_run, tmp_path / "run"))
    assert found.run_config == wanted.run_config
    np.testing.assert_array_equal(found(*volumes).flow, wanted(*volumes).flow)


def test_student_learns_with_its_teacher(phantoms, tmp_path, capfd):
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    base = [
        "--set=network.base_network=LDR",
        "--set=optimisation.learning_rate=3e-3",
        "--set=augmentation.deformation=0",
        "--set=data.validation=",
    ]
    code = train.main(
        flags(phantoms, teacher, "--stage=teacher", "--set=optimisation.steps=80", *base)
    )
    assert code == 0
    course = list(losses(teacher).values())
    assert np.mean(course[-12:]) < 0.8 * np.mean(course[:12])  # twelve pairs make an epoch
    more = ["--stage=student", f"--teacher={teacher}", "--set=data.validation="]
    assert train.main(flags(phantoms, student, *more)) == 0
    assert sorted(losses(student, "critic_distance")) == [3, 6]  # every third step is full
    assert "step 6/6" in capfd.readouterr().err  # plain lines off a terminal


def test_student_learns_from_stored_flows(phantoms, student_run, tmp_path):
    store, student = tmp_path / "flows.h5", tmp_path / "student"
    make = [f"--teacher={student_run}", f"--dataset={phantoms}", f"--output={store}"]
    assert make_teacher_flows.main(["make_teacher_flows", *make, "--subset=1"]) == 0
    more = [
        "--stage=student",
        f"--teacher_flows={store}",
        "--set=distillation.kind=flow",
        "--set=augmentation.flip_axis=0",
    ]
    assert train.main(flags(phantoms, student, *more)) == 0
    assert sorted(losses(student, "flow_regression")) == [3, 6]
    best = ldr_tf.load_run(str(student / "best"))  # every command takes it as a run
    assert best.run_config.distillation.teacher_flows == str(store)


def test_a_stopped_training_resumes_to_the_same_weights(phantoms, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    common = [
        "--stage=student",
        "--set=data.validation=",
        "--set=augmentation.deformation=0.4",
        "--set=augmentation.flip_axis=0",
    ]
    assert train.main(flags(phantoms, whole, *common)) == 0

    from experiments.progress import TrainingProgress

    taken = []

    def on_step(self, step):
        taken.append(step)
        if len(taken) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingProgress, "on_step", on_step)
        assert train.main(flags(phantoms, parts, *common)) == 1
    assert taken == [1, 2, 3]
    assert train.main(flags(phantoms, parts, *common)) == 0
    for a, b in zip(*(ldr_tf.load_run(str(run)).get_weights() for run in (whole, parts))):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_init_takes_over_the_weights(phantoms, student_run, tmp_path):
    common = [
        "--stage=student",
        "--set=data.validation=",
        "--set=optimisation.learning_rate=1e-12",
        f"--init={student_run}",
    ]
    assert train.main(flags(phantoms, tmp_path / "run", *common, "--set=optimisation.steps=1")) == 0
    first, second = (ldr_tf.load_run(str(run)) for run in (student_run, tmp_path / "run"))
    for a, b in zip(first.get_weights(), second.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("affine_stem, taken", [("none", True), ("light", False)])
def test_init_may_come_from_another_grid(affine_stem, taken, monkeypatch):
    """Dense stems alone learn on any; an affine stem's last layer knows its own."""
    size = {"none": (32, 32, 32), "light": (48, 48, 48)}[affine_stem]
    network = NetworkConfig(affine_stem=affine_stem, image_size=size, channels=2)
    coarse = CascadeNetwork(network)
    monkeypatch.setattr("ldr_tf.runs.checkpoints.load_run", lambda path, **_: coarse)
    fine = dataclasses.replace(network, image_size=(64, 64, 64))
    config = RunConfig(network=fine, init="runs/coarse")
    if taken:
        assert load_initial(config) is coarse
    else:
        with pytest.raises(InputError, match=r"network\.image_size is"):
            load_initial(config)


def test_what_is_not_finite_is_named_and_the_checkpoint_kept(phantoms, tmp_path, capfd):
    run = tmp_path / "run"
    common = [
        "--stage=student",
        "--set=data.validation=",
        "--set=optimisation.learning_rate=1e30",
        "--set=optimisation.schedule=constant",
    ]
    assert train.main(flags(phantoms, run, *common, "--set=optimisation.summarize_every=5")) == 1
    shown = capfd.readouterr().err
    assert "step 2: " in shown and "(pairs: phantoms/" in shown and "intact" in shown
    assert "Traceback" not in shown


def test_what_is_not_finite_can_be_skipped(phantoms, student_run, tmp_path):
    from ldr_tf.training import run
    from ldr_tf.training import step as steps

    broken, original = tmp_path / "run", steps.reconstruction_loss

    def now_and_then(*arguments):
        terms = original(*arguments)
        bad = tf.equal(state_step(), 2)
        terms["reconstruction"] *= tf.where(bad, np.nan, 1.0)
        return terms

    states = []

    def state_step():
        return states[0].step

    class Spy(steps.TrainingStep):
        def __init__(self, state, *others):
            states.append(state)
            super().__init__(state, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "reconstruction_loss", now_and_then)
        patch.setattr(run, "TrainingStep", Spy)
        common = [
            "--stage=student",
            "--set=data.validation=",
            "--set=optimisation.on_nonfinite=skip",
        ]
        assert train.main(flags(phantoms, broken, *common)) == 0
    assert losses(broken, "skipped_steps")[6] == 1
    weights = ldr_tf.load_run(str(broken)).get_weights()
    assert all(np.isfinite(value).all() for value in weights)


@pytest.mark.parametrize(
    "more, words",
    [
        (["--set=loss.similarity=ssim"], "loss.similarity must be one of correlation"),
        (["--set=distillation.gamma=1.5", "--teacher=RUN"], "distillation.gamma"),
        (["--set=optimisation.steps=many"], "optimisation.steps must be an integer"),
        (["--set=optimisation.steps=0"], "optimisation.steps must be at least 1"),
        (
            ["--set=distillation.critic.size=8,eight,8"],
            "distillation.critic.size must be an integer",
        ),
        (["--set=stepz=3"], "unknown setting 'stepz'"),
        (["--set=steps=3"], "distillation.critic.steps or optimisation.steps?"),
        (["--set=loss.similarity"], "is FIELD=VALUE"),
        (["--profile=5:3"], "--profile must be FIRST:LAST"),
        (["--set=distillation.kind=aldk"], "needs a teacher"),
        (["--teacher=RUN", "--teacher_flows=STORE"], "only one of them"),
        (["--teacher_flows=STORE"], "cannot be read as HDF5"),
        (["--set=optimisation.precision=half"], "optimisation.precision"),
        (
            ["--set=optimisation.batch_size=4", "--set=optimisation.accumulate=3"],
            "optimisation.batch_size must be a multiple",
        ),
        (["--teacher=nowhere"], "nowhere: is not a run folder"),
        (["--subset=3"], "no scheme or subset '3'"),
        (["--set=data.validation=5"], "no scheme or subset '5'"),
        (["--config=CONFIG"], "unknown field optimisation.stepz"),
        (["--init=RUN", "--set=network.channels=2"], "different network"),
        (["--init=RUN", "--set=network.flow_resolution=half"], "different network"),
        (["--set=network.flow_resolution=quarter"], "must be one of full, half"),
        (
            ["--set=network.flow_resolution=half", "--set=network.base_network=VTN"],
            "may be half for base_network LDR",
        ),
        (["--stage=pupil"], "stage"),
        (["--output=CONFIG"], "must be a folder"),
    ],
)
def test_bad_input_is_one_sentence(more, words, phantoms, student_run, tmp_path, capfd):
    config = tmp_path / "config.json"
    config.write_text('{"optimisation": {"stepz": 3}}')
    more = [flag.replace("RUN", str(student_run)) for flag in more]
    more = [flag.replace("CONFIG", str(config)) for flag in more]
    output = tmp_path / "run"
    assert train.main(flags(phantoms, output, "--stage=student", *more)) == 2
    shown = capfd.readouterr().err
    assert words in shown
    assert "Traceback" not in shown
    assert len([line for line in shown.splitlines() if line.startswith("train: ")]) == 1
    assert not output.exists()


def test_another_config_is_refused_with_the_difference(phantoms, student_run, capfd):
    again = [
        "--stage=student",
        f"--dataset={phantoms}",
        f"--output={student_run}",
        "--set=network.channels=4",
    ]
    assert (
        train.main(
            ["train", *again, "--set=optimisation.steps=6", "--set=optimisation.learning_rate=2e-3"]
        )
        == 2
    )
    assert "optimisation.learning_rate was 0.001, now 0.002" in capfd.readouterr().err


def test_override_takes_over_what_may_change(phantoms, tmp_path, capfd):
    run = tmp_path / "run"
    common = ["--stage=student", "--set=data.validation="]
    assert train.main(flags(phantoms, run, *common)) == 0
    longer = flags(
        phantoms, run, *common, "--set=optimisation.steps=8", "--set=optimisation.summarize_every=2"
    )
    assert train.main(longer) == 2
    assert "optimisation.steps was 6, now 8; optimisation.summarize_every" in capfd.readouterr().err
    assert train.main([*longer, "--override"]) == 0
    assert max(losses(run)) == 8
    assert json.loads((run / "config.json").read_text())["optimisation"]["steps"] == 8
    assert train.main([*longer, "--override", "--set=network.channels=2"]) == 2
    assert "network.channels was 4, now 2)" in capfd.readouterr().err


def test_teacher_of_another_size_is_refused(phantoms, student_run, tmp_path, capfd):
    config = json.loads((student_run / "config.json").read_text())
    config["network"]["image_size"] = [48, 48, 48]
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps(config))
    (other / "checkpoints").symlink_to(student_run / "checkpoints")
    more = ["--stage=student", f"--teacher={other}"]
    assert train.main(flags(phantoms, tmp_path / "run", *more)) == 2
    assert "must have the same size" in capfd.readouterr().err


def test_broken_checkpoint_is_refused(phantoms, student_run, tmp_path):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(student_run, broken)
    for path in broken.glob("checkpoints/*.data*"):
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ldr_tf.InputError, match="not a readable checkpoint"):
        ldr_tf.load_run(str(broken))
    shutil.rmtree(broken / "checkpoints")
    with pytest.raises(ldr_tf.InputError, match="has no checkpoint yet"):
        ldr_tf.load_run(str(broken))


def test_images_painted_from_labels(phantoms, tmp_path):
    output = tmp_path / "painted"
    more = [
        "--stage=student",
        "--set=data.images=synthetic",
        "--set=data.cache=true",
        "--set=data.validation=",
    ]
    assert train.main(flags(phantoms, output, *more)) == 0
    painted = losses(output)
    assert len(painted) == 6 and all(np.isfinite(value) for value in painted.values())
    config = run_config(json.loads((output / "config.json").read_text()))
    assert config.data.images == "synthetic"
