"""Graphs that are kept: when they serve, and what becomes of those that do not."""

import os

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf import cache
from ldr_tf.config import NetworkConfig
from ldr_tf.models.run import flow_function
from ldr_tf.networks.cascade import CascadeNetwork

SIZE = (16, 16, 16)


@pytest.fixture
def folder(tmp_path):
    """The folder of the graphs that are kept."""
    cache.use(str(tmp_path))
    return tmp_path / "graphs"


def network(seed, **changes):
    """A small network with weights of its own."""
    made = CascadeNetwork(NetworkConfig(image_size=SIZE, **{"channels": 2, **changes}))
    rng = np.random.default_rng(seed)
    made.set_weights([rng.normal(0, 0.2, w.shape) for w in made.get_weights()])
    return made


def volumes(size=SIZE):
    rng = np.random.default_rng(3)
    return [tf.constant(rng.uniform(size=(1, *size, 1)), tf.float32) for _ in range(2)]


def check(made, size=SIZE):
    pair = volumes(size)
    (flow,) = flow_function(made, size)(*pair)
    assert np.abs(flow).max() > 0.01
    np.testing.assert_array_equal(flow, made(*pair).flow)


def forbid_tracing(monkeypatch):
    def refuse(*_):
        raise AssertionError("was traced")

    monkeypatch.setattr(CascadeNetwork, "_register", refuse)


def test_a_kept_graph_serves_every_network_of_its_kind(folder, monkeypatch):
    one, other, pair = network(1), network(2), volumes()
    wanted = [made(*pair).flow for made in (one, other)]
    flow_function(one, SIZE)
    assert len(os.listdir(folder)) == 1
    forbid_tracing(monkeypatch)
    for made, flow in zip((one, other), wanted):
        np.testing.assert_array_equal(flow_function(made, SIZE)(*pair)[0], flow)
    assert np.abs(wanted[0] - wanted[1]).max() > 0.01


def test_another_kind_or_size_has_a_graph_of_its_own(folder):
    check(network(1))
    check(network(1), (16, 24, 16))
    check(network(1, channels=3))
    check(network(1, cascades=2))
    assert len(os.listdir(folder)) == 4


@pytest.mark.parametrize("version", ["ldr_tf.__version__", "tensorflow.__version__"])
def test_another_version_makes_its_own(folder, monkeypatch, version):
    check(network(1))
    monkeypatch.setattr(version, "0.0")
    check(network(1))
    assert len(os.listdir(folder)) == 2


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "another graph"])
def test_a_damaged_graph_is_made_anew(folder, damage, monkeypatch):
    check(network(1))
    (path,) = folder.iterdir()
    content = path.read_bytes()
    if damage == "another graph":
        check(network(1, cascades=2))
        (other,) = set(folder.iterdir()) - {path}
        path.write_bytes(other.read_bytes())
    else:
        path.write_bytes(
            {"cut": content[: len(content) // 2], "noise": os.urandom(5000), "empty": b""}[damage]
        )
    check(network(1))
    forbid_tracing(monkeypatch)
    flow_function(network(1), SIZE)


def test_without_a_folder_nothing_is_written(folder):
    cache.use(None)
    check(network(1))
    assert not folder.exists()
