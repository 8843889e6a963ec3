"""A training that is killed at any moment ends with the weights of one never interrupted."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import ldr_tf

ROOT = Path(__file__).parents[2]
KILLS = 3


def start(dataset, folder, log):
    command = [
        *[sys.executable, "-m", "experiments.train", "--stage=student", f"--dataset={dataset}"],
        *[
            f"--output={folder}",
            "--set=optimisation.deterministic=true",
            "--set=optimisation.steps=40",
            "--set=optimisation.checkpoint_every=2",
        ],
        *[
            "--set=network.channels=4",
            "--set=optimisation.learning_rate=1e-3",
            "--set=augmentation.flip_axis=0",
            "--set=data.validation=",
        ],
        *[
            "--set=network.cascades=2",
            "--set=optimisation.batch_size=2",
            "--set=optimisation.summarize_every=10",
        ],
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)


def steps_done(folder):
    numbers = [int(path.stem.split("-")[1]) for path in folder.glob("checkpoints/ckpt-*.index")]
    return max(numbers, default=0)


@pytest.mark.slow
def test_killed_three_times_ends_bit_identical(phantoms, tmp_path):
    chance = random.Random(0)
    with open(tmp_path / "log", "w") as log:
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        assert start(phantoms, whole, log).wait(300) == 0
        for kill in range(KILLS):
            process = start(phantoms, parts, log)
            wanted = steps_done(parts) + 2 + 2 * kill
            while steps_done(parts) < wanted and process.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.2))  # anywhere: in a step, while saving
            process.kill()
            assert process.wait() != 0, "finished before it could be killed"
        assert 0 < steps_done(parts) < 40
        assert start(phantoms, parts, log).wait(300) == 0
    for a, b in zip(*(ldr_tf.load_run(str(run)).get_weights() for run in (whole, parts))):
        np.testing.assert_array_equal(a, b)
    assert not [name for name in os.listdir(parts) if name.startswith(".")]
