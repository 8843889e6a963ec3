"""Training on several devices and processes is training on one, at the same global batch."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ldr_tf

ROOT = Path(__file__).parents[2]
STEPS = 20

# The training command on a CPU that is told to be several devices.
DRIVER = """
import sys
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
parts = [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[1])
tf.config.set_logical_device_configuration(cpu, parts)
from experiments import train
sys.exit(train.main(["train", *sys.argv[2:]]))
"""


def flags(dataset, teacher, folder, *more):
    return [
        *[
            "--stage=student",
            f"--dataset={dataset}",
            f"--teacher={teacher}",
            "--set=data.validation=",
        ],
        *[
            f"--output={folder}",
            f"--set=optimisation.steps={STEPS}",
            "--set=network.channels=4",
            "--set=augmentation.flip_axis=0",
        ],
        *[
            "--set=optimisation.batch_size=2",
            "--set=optimisation.summarize_every=1",
            "--set=optimisation.learning_rate=1e-3",
            *more,
        ],
    ]


def start(arguments, log, devices=1, **environment):
    command = [sys.executable, "-c", DRIVER, str(devices), *map(str, arguments)]
    environment = {**os.environ, **environment}
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)


def start_workers(arguments, log):
    """Starts the two processes of a training on loopback."""
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("localhost", 0))
    hosts = [f"localhost:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    cluster = {"worker": hosts}
    return [
        start(
            [*arguments, "--set=optimisation.strategy=multi_worker"],
            log,
            TF_CONFIG=json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}),
        )
        for index in range(2)
    ]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["reconstruction"] for line in lines]


def last_step(folder):
    names = [path.stem for path in folder.glob("checkpoints/ckpt-*.index")]
    return max((int(name.split("-")[1]) for name in names), default=0)


@pytest.mark.slow
def test_two_devices_and_two_processes_follow_the_course_of_one(phantoms, student_run, tmp_path):
    runs = {name: tmp_path / name for name in ("one", "mirrored", "workers")}
    with open(tmp_path / "log", "w") as log:
        assert start(flags(phantoms, student_run, runs["one"]), log).wait(300) == 0
        more = ["--set=optimisation.strategy=mirrored"]
        mirrored = flags(phantoms, student_run, runs["mirrored"], *more)
        assert start(mirrored, log, devices=2).wait(300) == 0
        workers = start_workers(flags(phantoms, student_run, runs["workers"]), log)
        assert [worker.wait(300) for worker in workers] == [0, 0]
    wanted = losses(runs["one"])
    assert len(wanted) == STEPS and len(set(wanted)) == STEPS
    for name in ("mirrored", "workers"):
        np.testing.assert_allclose(losses(runs[name]), wanted, rtol=1e-4)
        ldr_tf.load_run(str(runs[name]))


@pytest.mark.slow
def test_a_lost_worker_ends_the_other_and_both_resume(phantoms, student_run, tmp_path):
    run = tmp_path / "run"
    arguments = flags(phantoms, student_run, run, "--set=optimisation.checkpoint_every=2")
    with open(tmp_path / "log", "w+") as log:
        workers = start_workers(arguments, log)
        while last_step(run) < 4 and workers[0].poll() is None:
            time.sleep(0.05)
        workers[1].kill()
        assert workers[0].wait(300) == 1
        log.seek(0)
        text = log.read()
        assert "restart all of them" in text and "Traceback" not in text, text[-3000:]
        done = last_step(run)
        assert 4 <= done < STEPS
        assert [worker.wait(300) for worker in start_workers(arguments, log)] == [0, 0]
    assert last_step(run) == STEPS
    wanted = tmp_path / "wanted"
    with open(tmp_path / "log2", "w") as log:
        assert start(flags(phantoms, student_run, wanted), log).wait(300) == 0
    assert losses(run)[-1] == pytest.approx(losses(wanted)[-1], rel=1e-3)


@pytest.mark.parametrize(
    "more, words",
    [
        (["--set=optimisation.batch_size=3"], "batch_size must be a multiple of 2 (2 devices"),
        (
            ["--set=optimisation.batch_size=2", "--set=optimisation.xla=on"],
            "optimisation.xla must be auto or off",
        ),
    ],
)
def test_what_several_devices_cannot_do(phantoms, tmp_path, more, words):
    run = tmp_path / "run"
    arguments = [
        *[
            "--stage=student",
            f"--dataset={phantoms}",
            f"--output={run}",
            "--set=optimisation.strategy=mirrored",
        ],
        *more,
    ]
    with open(tmp_path / "log", "w+") as log:
        assert start(arguments, log, devices=2).wait(300) == 2
        log.seek(0)
        assert words in log.read()
    assert not run.exists()
