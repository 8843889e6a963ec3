"""Every kind of model that a name may stand for."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

import ldr_tf
from ldr_tf.config import NetworkConfig, public_config
from ldr_tf.errors import InputError
from ldr_tf.imaging import to_array
from ldr_tf.models import load_model
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs import checkpoints
from ldr_tf.serving.export import export


@pytest.fixture(scope="module")
def exported(student_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(str(student_run), str(folder), version=9)
    return folder


def test_none():
    assert load_model("none") is None


def test_bfloat16_is_for_networks_that_bear_it(student_run, monkeypatch, volumes):
    run, coarse = (
        load_model(str(student_run), precision) for precision in ("float32", "mixed_bfloat16")
    )
    tensors = [tf.constant(volume) for volume in volumes]
    errors = np.abs(coarse(*tensors).flow - run(*tensors).flow)
    assert 0.0 < errors.max() < 0.05
    other = CascadeNetwork(NetworkConfig("VoxelMorph", image_size=(16, 16, 16)))
    monkeypatch.setattr(checkpoints, "load_run", lambda name, precision: other)
    assert load_model("a") is other
    with pytest.raises(InputError, match=r"^a: bfloat16 is for .*, not for VoxelMorph"):
        load_model("a", "mixed_bfloat16")


def test_an_exported_model_answers_as_its_run(exported, student_run, volumes):
    run, served = load_model(str(student_run)), load_model(str(exported))
    assert served.run_config == public_config(run.run_config)
    assert served.count_params() == run.count_params()
    tensors = [tf.constant(volume) for volume in volumes]
    np.testing.assert_allclose(served(*tensors).flow, run(*tensors).flow, atol=1e-4)
    np.testing.assert_allclose(served(*tensors).warped, run(*tensors).warped, atol=1e-4)


def test_the_highest_version_counts(exported, tmp_path):
    for version in ("9", "10"):
        shutil.copytree(exported / "9", tmp_path / version)
    path = tmp_path / "10" / "assets.extra" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "data": {**config["data"], "subset": "the tenth"}}))
    assert load_model(str(tmp_path)).run_config.data.subset == "the tenth"
    assert load_model(str(tmp_path / "9")).run_config.data.subset == config["data"]["subset"]


def test_registration_by_an_exported_model(exported, student_run):
    rng = np.random.default_rng(0)
    scans = [sitk.GetImageFromArray(rng.uniform(1, 200, (30, 34, 32))) for _ in range(2)]
    fields = [
        to_array(ldr_tf.register(*scans, str(model), affine="none").displacement)
        for model in (exported, student_run)
    ]
    np.testing.assert_allclose(*fields, atol=2e-3)


def test_a_damaged_export_is_refused(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "model")
    (tmp_path / "model" / "9" / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(str(tmp_path / "model"))
    shutil.rmtree(tmp_path / "model" / "9" / "assets.extra")
    with pytest.raises(InputError, match="assets"):
        load_model(str(tmp_path / "model"))
    with pytest.raises(InputError, match="not a run folder"):
        load_model(str(tmp_path / "nothing"))
