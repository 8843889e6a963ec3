"""Packed runs: the same network in half precision, and the models that ship."""

import os
import shutil

import h5py
import numpy as np
import pytest
import tensorflow as tf

import ldr_tf
from experiments import pack
from ldr_tf.config import NetworkConfig, RunConfig
from ldr_tf.errors import InputError
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs import checkpoints, packed


@pytest.fixture
def folder(student_run, tmp_path):
    (tmp_path / "card.md").write_text("# A card\n")
    flags = [f"--run={student_run}", f"--card={tmp_path / 'card.md'}"]
    assert pack.main(["pack", *flags, f"--output={tmp_path / 'packed'}"]) == 0
    return tmp_path / "packed"


def test_a_packed_run_answers_as_the_run(folder, student_run, volumes):
    assert sorted(os.listdir(folder)) == ["README.md", "config.json", "weights.h5"]
    run, again = ldr_tf.load_run(str(student_run)), ldr_tf.load_run(str(folder))
    tensors = [tf.constant(volume) for volume in volumes]
    flow = run(*tensors).flow
    np.testing.assert_allclose(again(*tensors).flow, flow, atol=5e-3 * np.abs(flow).max())
    assert again.config == run.config
    assert again.run_config.data.dataset.endswith(
        "/phantoms.json"
    )  # without the folders further up
    assert str(student_run.parent) not in (folder / "config.json").read_text()


def test_weights_are_the_nearest_half_precision_numbers(folder, student_run):
    run, again = ldr_tf.load_run(str(student_run)), ldr_tf.load_run(str(folder))
    for a, b in zip(run.get_weights(), again.get_weights()):
        np.testing.assert_array_equal(a.astype(np.float16).astype(np.float32), b)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    network = CascadeNetwork(NetworkConfig(channels=1))
    network.variables[0].assign(tf.fill(network.variables[0].shape, 1e6))
    with pytest.raises(InputError, match="half precision"):
        packed.write_weights(str(tmp_path), network)
    assert os.listdir(tmp_path) == []


def test_bad_input(folder, student_run, tmp_path, capsys):
    flags = [f"--run={student_run}", f"--output={folder}"]
    assert pack.main(["pack", *flags, f"--card={tmp_path / 'card.md'}"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert pack.main(["pack", *flags, f"--card={tmp_path / 'none.md'}"]) == 2
    assert "none.md" in capsys.readouterr().err
    other = CascadeNetwork(NetworkConfig(channels=2))
    with pytest.raises(InputError, match="another network"):
        packed.read_weights(str(folder), other)
    (folder / "weights.h5").write_bytes(b"no HDF5")
    with pytest.raises(InputError, match="cannot be read"):
        ldr_tf.load_run(str(folder))


def _spoilt(folder, change):
    network = CascadeNetwork(NetworkConfig(channels=1))
    packed.write_weights(str(folder), network)
    with h5py.File(folder / "weights.h5", "r+") as file:
        change(file)
    return network


def _replace(file, value):
    del file["000"]
    if value is None:
        file.create_group("000")
    else:
        file["000"] = value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda file: _replace(file, None), "000 must be a data set, not a group"),
        (lambda file: _replace(file, file["001"][()].astype("i4")), "000 must hold floats"),
        (lambda file: _replace(file, h5py.ExternalLink("x.h5", "/a")), "a link to another file"),
        (lambda file: file.create_group("more"), "another network"),
        (lambda file: file["000"].write_direct(file["000"][()] * 2), "check sum"),
    ],
)
def test_weights_that_are_no_longer_those_that_were_written(tmp_path, change, words):
    network = _spoilt(tmp_path, change)
    with pytest.raises(InputError, match=words):
        packed.read_weights(str(tmp_path), network)


def test_weights_without_a_check_sum_load_but_not_those_that_are_no_numbers(tmp_path):
    network = _spoilt(tmp_path, lambda file: file.attrs.pop(packed.CHECK_SUM))
    packed.read_weights(str(tmp_path), network)
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        file["000"][...] = np.nan
    with pytest.raises(InputError, match="holds numbers that are none"):
        packed.read_weights(str(tmp_path), network)


def test_no_flipped_byte_of_the_weights_goes_unnoticed(tmp_path):
    network = CascadeNetwork(NetworkConfig(channels=1))
    packed.write_weights(str(tmp_path), network)
    path = tmp_path / "weights.h5"
    whole, wanted = path.read_bytes(), [v.astype(np.float16) for v in network.get_weights()]
    for place in np.random.default_rng(0).integers(0, len(whole), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        try:
            packed.read_weights(str(tmp_path), network)
        except InputError:
            continue
        for values, right in zip(network.get_weights(), wanted):
            np.testing.assert_array_equal(values, right.astype(np.float32))


def test_a_checkpoint_that_is_not_finite_is_refused(tmp_path):
    network = CascadeNetwork(NetworkConfig(channels=1))
    network.variables[3].assign(tf.fill(network.variables[3].shape, np.nan))
    config = RunConfig(network=NetworkConfig(channels=1))
    checkpoints.write_run(str(tmp_path / "run"), network, config)
    with pytest.raises(InputError, match=r"the weight .* is not finite"):
        ldr_tf.load_run(str(tmp_path / "run"))
    with pytest.raises(InputError, match="exists already"):
        checkpoints.write_run(str(tmp_path / "run"), network, config)


def test_a_name_means_a_shipped_model_unless_a_folder_is_there(folder, tmp_path, monkeypatch):
    shutil.copytree(folder, tmp_path / "shipped" / "brain")
    monkeypatch.setattr(packed, "_SHIPPED", str(tmp_path / "shipped"))
    monkeypatch.chdir(tmp_path)
    assert packed.shipped_names() == ["brain"]
    ldr_tf.load_run("brain")
    os.mkdir("brain")
    with pytest.raises(InputError, match=r"config\.json"):
        ldr_tf.load_run("brain")
    with pytest.raises(InputError, match="no such folder"):
        ldr_tf.load_run("heart")


def test_every_shipped_model_is_small_and_says_what_it_is():
    assert "brain-t1" in packed.shipped_names()
    for name in packed.shipped_names():
        place = packed.find_run(name)
        sizes = [os.path.getsize(os.path.join(place, file)) for file in os.listdir(place)]
        assert sum(sizes) < 12e6
        with open(os.path.join(place, packed.CARD_NAME), encoding="utf-8") as file:
            card = file.read()
        assert "icence" in card and "Dice" in card
        with h5py.File(os.path.join(place, packed.WEIGHTS_NAME)) as file:
            assert all(dataset.dtype == np.float16 for dataset in file.values())
            assert packed.CHECK_SUM in file.attrs
        ldr_tf.load_run(name)
