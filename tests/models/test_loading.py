"""Every kind of model that a name may stand for."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import tensorflow as tf

import ldr_tf
from ldr_tf.config import public_config
from ldr_tf.errors import InputError
from ldr_tf.imaging import to_array
from ldr_tf.models import as_model, load_model
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.serving.export import export


@pytest.fixture(scope="module")
def exported(student_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(str(student_run), str(folder), version=9)
    return folder


@pytest.fixture
def pair(volumes):
    """Fixed and moving, float32 [32, 32, 32] in 0..255."""
    return [255 * volume[0, ..., 0] for volume in volumes]


def test_none():
    assert load_model("none") is None
    assert as_model(None) is None and as_model("none") is None


def test_a_run_answers_as_its_network(student_run, volumes, pair):
    model, network = load_model(str(student_run)), ldr_tf.load_run(str(student_run))
    flow = model.flow(*pair)
    assert flow.dtype == np.float32 and flow.shape == (32, 32, 32, 3)
    wanted = network(*map(tf.constant, volumes)).flow[0]
    np.testing.assert_allclose(flow, wanted, atol=1e-5)
    assert (model.network, model.image) == (network.config, network.run_config.image)
    assert model.parameters == network.count_params() and model.precision == "float32"
    assert model.free_size and model.takes((17, 30, 16))
    with pytest.raises(ValueError, match="of one size"):
        model.flow(pair[0], pair[1][1:])
    with pytest.raises(ValueError, match="of one size"):
        model.flow(*volumes)


def test_what_was_traced_beforehand_is_not_traced_again(student_run, pair, monkeypatch):
    wanted = load_model(str(student_run)).flow(*pair)
    model, traces = load_model(str(student_run)), []
    real = CascadeNetwork._register
    monkeypatch.setattr(CascadeNetwork, "_register", lambda *a: traces.append(1) or real(*a))
    model.prepare((32, 32, 32))
    np.testing.assert_array_equal(model.flow(*pair), wanted)
    model.flow(*pair)
    model.prepare((32, 32, 32))
    model.flow(*pair)
    assert len(traces) == 1
    model.prepare((-1, 32, 32))  # what fails beforehand is not missed
    np.testing.assert_array_equal(model.flow(*pair), wanted)


def test_a_network_and_a_path_are_models_too(student_run, pair):
    network, model = ldr_tf.load_run(str(student_run)), load_model(str(student_run))
    for other in (as_model(network), as_model(student_run)):
        assert other.fingerprint == model.fingerprint
        np.testing.assert_array_equal(other.flow(*pair), model.flow(*pair))
    assert as_model(model) is model


def test_the_fingerprint_changes_with_the_weights_and_the_config(student_run):
    one, other = (ldr_tf.load_run(str(student_run)) for _ in range(2))
    variable = other.variables[0]
    variable.assign_add(tf.ones_like(variable) / 1024)
    changed = ldr_tf.load_run(str(student_run))
    changed.run_config = public_config(changed.run_config)
    assert len({as_model(network).fingerprint for network in (one, other, changed)}) == 3


def test_bfloat16_is_for_networks_that_are_loaded_here(student_run, exported, pair):
    run, coarse = (load_model(str(student_run), kind) for kind in ("float32", "bfloat16"))
    assert coarse.precision == "bfloat16"
    errors = np.abs(coarse.flow(*pair) - run.flow(*pair))
    assert 0.0 < errors.max() < 0.05
    for name in ("none", "grpc://localhost:1/model"):
        with pytest.raises(InputError, match=f"^{name}: bfloat16 can be asked for of networks"):
            load_model(name, "bfloat16")
    with pytest.raises(InputError, match="model: was exported in float32, not in bfloat16"):
        load_model(str(exported), "bfloat16")


def test_a_card_that_tells_no_precision(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "m")
    path = tmp_path / "m" / "9" / "model.json"
    content = json.loads(path.read_text())
    for spoilt in (
        {**content, "precision": "half"},
        [content],
        {**content, "precision": ["float32"]},
    ):
        path.write_text(json.dumps(spoilt))
        with pytest.raises(InputError, match="precision must be one of float32, bfloat16, not"):
            load_model(str(tmp_path / "m"))
    del content["precision"]  # of an earlier version
    path.write_text(json.dumps(content))
    assert load_model(str(tmp_path / "m")).precision == "float32"


def test_an_export_in_bfloat16(student_run, pair, tmp_path):
    with pytest.raises(InputError, match=r"onnx: .* bfloat16 are a SavedModel's alone"):
        export(str(student_run), str(tmp_path / "m"), form="onnx", precision="bfloat16")
    export(str(student_run), str(tmp_path / "m"), precision="bfloat16")
    served = load_model(str(tmp_path / "m"))
    assert served.precision == "bfloat16"
    wanted = load_model(str(student_run), "bfloat16").flow(*pair)
    np.testing.assert_allclose(served.flow(*pair), wanted, atol=2e-3)
    assert "bfloat16" in (tmp_path / "m" / "1" / "README.md").read_text()
    with pytest.raises(InputError, match="was exported in bfloat16, not in float32"):
        load_model(str(tmp_path / "m"), "float32")


def test_an_exported_model_answers_as_its_run(exported, student_run, pair):
    run, served = load_model(str(student_run)), load_model(str(exported))
    assert (served.network, served.image) == (run.network, run.image)
    assert served.parameters == run.parameters
    assert not served.free_size and served.takes((32, 32, 32)) and not served.takes((32, 32, 48))
    np.testing.assert_allclose(served.flow(*pair), run.flow(*pair), atol=1e-4)


def test_the_highest_version_counts(exported, tmp_path):
    for version in ("9", "10"):
        shutil.copytree(exported / "9", tmp_path / version)
    assert load_model(str(tmp_path)).name == str(tmp_path / "10")
    assert load_model(str(tmp_path / "9")).name == str(tmp_path / "9")


def test_registration_by_an_exported_model(exported, student_run):
    rng = np.random.default_rng(0)
    scans = [sitk.GetImageFromArray(rng.uniform(1, 200, (30, 34, 32))) for _ in range(2)]
    fields = [
        to_array(ldr_tf.register(*scans, str(model), affine="none", quality="fast").displacement)
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
