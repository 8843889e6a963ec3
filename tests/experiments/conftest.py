"""A tiny data set and networks of known flow, for the tests of the evaluation."""

import collections
import json

import h5py
import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import NetworkConfig, RunConfig

SIZE = 16
Output = collections.namedtuple("Output", "flow warped")


class ShiftNetwork:
    """Moves by two voxels along x, which registers scan 1 to scan 0."""

    def __init__(self, affine_stem="none", size=(64, 64, 64)):
        self.run_config = RunConfig(network=NetworkConfig(affine_stem=affine_stem, image_size=size))

    def count_params(self):
        return 1234567

    def get_weights(self):
        return []

    def __call__(self, fixed, moving):
        flow = tf.zeros_like(tf.repeat(fixed, 3, axis=-1)) + [2.0, 0.0, 0.0]
        return Output(flow, tf.roll(moving, -2, axis=1))


def write_tiny_dataset(folder):
    """Three scans in RCN's form: a cube that lies at x = 2, 4 and 6; returns the JSON's path."""
    with h5py.File(folder / "scans.h5", "w") as file:
        for index, start in enumerate((2, 4, 6)):
            labels = np.zeros((SIZE,) * 3, np.uint8)
            labels[start : start + 4, 4:8, 4:8] = 1
            group = file.create_group(str(index))
            group["volume"] = labels * np.uint8(200)
            group["segmentation"] = labels
            group["point"] = np.float32([[start, 4, 4]] + [[-1, -1, -1]] * 5)
    manifest = {
        "files": {"tiny": {"type": "HDF5", "path": "scans.h5"}},
        "subsets": {"all": ["tiny/0", "tiny/1", "tiny/2"], "two": ["tiny/0", "tiny/1"], "none": []},
        "schemes": {"1": {"all": 1.0}, "2": {"two": 1.0}},
        "image_size": [SIZE] * 3,
        "image_type": "liver",
        "segmentation_class_value": {"cube": 1, "other": 7},
    }
    manifest["subsets"]["one"] = ["tiny/0"]
    path = folder / "tiny.json"
    path.write_text(json.dumps(manifest))
    return path


@pytest.fixture
def tiny_dataset(tmp_path):
    """Path of the JSON of `write_tiny_dataset`."""
    return write_tiny_dataset(tmp_path)


@pytest.fixture
def fake_runs(monkeypatch):
    """Stands in for `load_run`: run paths to networks."""
    runs = {"runs/student": ShiftNetwork(), "runs/teacher": ShiftNetwork()}
    monkeypatch.setattr("ldr_tf.runs.checkpoints.load_run", lambda path, **_: runs[path])
    return runs
