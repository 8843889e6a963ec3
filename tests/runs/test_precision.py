"""In which precision a network computes: what processor, network and user have to say to it."""

import builtins
import io

import h5py
import numpy as np
import pytest
import tensorflow as tf

import ldr_tf
from experiments import pack
from ldr_tf.config import NetworkConfig, RunConfig
from ldr_tf.errors import InputError
from ldr_tf.keras import keras
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs import checkpoints, packed, precision

REAL = precision.has_bfloat16  # before the tests' own stands in for it
CONFIG = NetworkConfig(image_size=(32, 32, 32), channels=2, cascades=2)


def network_with_flows(scale):
    keras.utils.set_random_seed(1)
    network = CascadeNetwork(CONFIG)
    for stem in network.stems:
        (head,) = stem.heads
        head.kernel.assign(scale * tf.random.stateless_normal(head.kernel.shape, [1, 2]))
    return network


def packed_run(tmp_path, scale):
    """Packs a network whose flows are as long as `scale`; returns the folder."""
    checkpoints.write_run(
        str(tmp_path / "run"), network_with_flows(scale), RunConfig(network=CONFIG)
    )
    checkpoints.pack_run(str(tmp_path / "run"), str(tmp_path / "packed"), "a card")
    return str(tmp_path / "packed")


@pytest.mark.parametrize(
    "asked, error, able, chosen",
    [
        ("auto", 0.03, True, "bfloat16"),
        ("auto", 0.03, False, "float32"),
        ("auto", 0.06, True, "float32"),
        ("auto", np.nan, True, "float32"),
        ("auto", None, True, "float32"),
        ("float32", 0.03, True, "float32"),
        ("bfloat16", None, False, "bfloat16"),
    ],
)
def test_the_choice(monkeypatch, asked, error, able, chosen):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: able)
    assert precision.choose(asked, error) == chosen


def test_no_such_precision(student_run):
    with pytest.raises(ValueError, match="must be one of auto, float32, bfloat16, not 'mixed_b"):
        ldr_tf.load_run(str(student_run), precision="mixed_bfloat16")


@pytest.mark.parametrize(
    "text, able",
    [
        ("processor: 0\nflags\t: fpu avx512_bf16 amx_tile\n", True),
        ("flags : avx2 amx_bf16\n", True),
        ("flags : avx2 avx512_bf16x\n", False),
        ("Features : asimd bf16\n", False),
        (None, False),
    ],
)
def test_what_the_processor_says(monkeypatch, text, able):
    def opened(path, **_):
        assert path == "/proc/cpuinfo"
        if text is None:
            raise FileNotFoundError(path)
        return io.StringIO(text)

    monkeypatch.setattr(builtins, "open", opened)
    assert REAL.__wrapped__() is able


def test_a_packed_run_knows_what_bfloat16_costs(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    folder = packed_run(tmp_path, 0.01)
    exact = ldr_tf.load_run(folder, precision="float32")
    chosen = ldr_tf.load_run(folder)
    assert precision.precision_of(exact) == "float32"
    assert precision.precision_of(chosen) == "bfloat16"
    assert 0.0 < chosen.bfloat16_error == exact.bfloat16_error < precision.MOST_ERROR
    measured = precision.bfloat16_error(exact, chosen)  # of weights in half precision
    assert chosen.bfloat16_error == pytest.approx(measured, rel=0.5)
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    assert precision.precision_of(ldr_tf.load_run(folder)) == "float32"


def test_a_network_that_does_not_bear_it(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    folder = packed_run(tmp_path, 3.0)
    assert precision.precision_of(ldr_tf.load_run(folder)) == "float32"
    for run in (folder, str(tmp_path / "run")):
        with pytest.raises(
            InputError, match=r"(packed|run): bfloat16 changes its flow by .* voxel"
        ):
            ldr_tf.load_run(run, precision="bfloat16")


def test_runs_that_nobody_measured(tmp_path, monkeypatch, capsys):
    run = packed_run(tmp_path, 0.01)
    assert packed.read_bfloat16_error(run) is None  # this processor could not measure it
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    assert precision.precision_of(ldr_tf.load_run(run)) == "float32"
    asked = ldr_tf.load_run(run, precision="bfloat16")
    assert precision.precision_of(asked) == "bfloat16" and asked.bfloat16_error > 0
    (tmp_path / "card.md").write_text("a card")
    flags = [f"--run={tmp_path / 'run'}", f"--card={tmp_path / 'card.md'}"]
    assert pack.main(["pack", *flags, f"--output={tmp_path / 'again'}"]) == 0
    assert "where a processor has instructions for it" in capsys.readouterr().out
    monkeypatch.setattr(precision, "has_bfloat16", lambda: False)
    assert pack.main(["pack", *flags, f"--output={tmp_path / 'third'}"]) == 0
    assert "float32 everywhere" in capsys.readouterr().out


@pytest.mark.parametrize(
    "value, words",
    [(0.001, "check sum"), ("much", "must be a number"), ([0.01, 0.01], "must be a number")],
)
def test_an_error_that_was_changed_or_is_none(tmp_path, monkeypatch, value, words):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    folder = packed_run(tmp_path, 0.01)
    with h5py.File(f"{folder}/{packed.WEIGHTS_NAME}", "r+") as file:
        file.attrs[packed.BFLOAT16_ERROR] = value
    with pytest.raises(InputError, match=words):
        ldr_tf.load_run(folder)


def test_an_answer_that_is_no_number_bears_nothing():
    class Answers:
        def __init__(self, *values):
            self.config, self._values = CONFIG, iter(values)

        def __call__(self, fixed, moving):
            return CascadeNetwork(CONFIG)(fixed, moving)._replace(
                flow=tf.fill([2], next(self._values))
            )

    assert precision.bfloat16_error(Answers(1.0, 1.0), Answers(1.0, 1.25)) == 0.25
    assert np.isnan(precision.bfloat16_error(Answers(1.0, 1.0), Answers(1.0, np.nan)))
    with pytest.raises(InputError, match="a: bfloat16 changes its flow by nan voxel"):
        precision.check_error("a", np.nan)


def test_on_a_gpu_it_is_float32(monkeypatch):
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    assert precision.choose("auto", 0.01) == "bfloat16"
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert precision.choose("auto", 0.01) == "float32"


@pytest.mark.parametrize("base", ["LDR", "VTN", "Pyramid", "VoxelMorph"])
def test_heads_compute_in_float32(base):
    config = NetworkConfig(base, image_size=(64, 64, 64), channels=2)
    (stem,) = CascadeNetwork(config, precision="mixed_bfloat16").stems
    assert {head.compute_dtype for head in stem.heads} == {"float32"}
    others = {layer.compute_dtype for layer in stem.submodules if hasattr(layer, "kernel")}
    assert "bfloat16" in others
