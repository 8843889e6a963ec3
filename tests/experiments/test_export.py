"""The exported SavedModel answers as the run's network does."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

import ldr_tf
from experiments import evaluate, export, train


@pytest.fixture(scope="module")
def exported(student_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    command = ["export", f"--run={student_run}", f"--output={folder}", "--nomeasure"]
    assert export.main(command) == 0
    return folder / "1"


def test_signature_equals_the_network_in_file_intensities(exported, student_run, volumes):
    loaded = tf.saved_model.load(str(exported))
    fixed, moving = (np.tile(volume * 255, (2, 1, 1, 1, 1)) for volume in volumes)
    served = loaded.signatures["serving_default"](
        fixed=tf.constant(fixed), moving=tf.constant(moving)
    )
    wanted = ldr_tf.load_run(str(student_run))(fixed / 255, moving / 255)
    np.testing.assert_allclose(served["flow"], wanted.flow, atol=1e-4)
    np.testing.assert_allclose(served["warped"] / 255, wanted.warped, atol=1e-4)


def test_graph_holds_plain_operations_only(exported):
    model = SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    functions = model.meta_graphs[0].graph_def.library.function
    operations = {node.op for function in functions for node in function.node_def}
    assert "GatherV2" in operations  # the search looks where the warp is
    assert not any("Xla" in operation for operation in operations)
    assert not any(function.attr["_XlaMustCompile"].b for function in functions)


def test_half_resolution_exports_plain_operations(phantoms, volumes, tmp_path):
    run, model = tmp_path / "run", tmp_path / "model"
    flags = [
        "--stage=student",
        f"--dataset={phantoms}",
        f"--output={run}",
        "--set=network.channels=4",
    ]
    half = [
        "--set=network.flow_resolution=half",
        "--set=network.cascades=2",
        "--set=optimisation.steps=3",
        "--set=data.validation=",
    ]
    assert train.main(["train", *flags, *half]) == 0
    assert export.main(["export", f"--run={run}", f"--output={model}", "--nomeasure"]) == 0
    test_graph_holds_plain_operations_only(model / "1")
    serve = tf.saved_model.load(str(model / "1")).signatures["serving_default"]
    fixed, moving = (tf.constant(volume) for volume in volumes)
    wanted = ldr_tf.load_run(str(run))(fixed, moving)
    assert wanted.flow.shape == (1, 32, 32, 32, 3)
    np.testing.assert_allclose(
        serve(fixed=fixed * 255, moving=moving * 255)["flow"], wanted.flow, atol=1e-4
    )


def test_student_alone_travels(exported, student_run):
    variables = tf.train.list_variables(str(exported / "variables" / "variables"))
    floats = [shape for _, shape in variables if shape and len(shape) != 0]
    count = sum(int(np.prod(shape)) for shape in floats)
    network = ldr_tf.load_run(str(student_run))
    assert count - network.count_params() < 10  # a string of the object graph at the most


def test_an_existing_version_is_kept(exported, student_run, capfd):
    before = (exported / "saved_model.pb").read_bytes()
    command = ["export", f"--run={student_run}", f"--output={exported.parent}", "--nomeasure"]
    assert export.main(command) == 2
    assert "exists already" in capfd.readouterr().err
    assert (exported / "saved_model.pb").read_bytes() == before
    assert export.main([*command, "--version=2"]) == 0
    assert (exported.parent / "2" / "saved_model.pb").exists()


def test_no_run_no_export(tmp_path, capfd):
    assert export.main(["export", f"--run={tmp_path}", f"--output={tmp_path / 'out'}"]) == 2
    assert "is not a run folder" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_overwriting_keeps_the_old_until_the_new_is_whole(
    student_run, exported, tmp_path, monkeypatch, capfd
):
    shutil.copytree(exported, tmp_path / "1")
    old = (tmp_path / "1" / "model.json").read_bytes()
    command = ["export", f"--run={student_run}", f"--output={tmp_path}", "--overwrite"]
    seen = []

    def broken(folder):
        seen.append((tmp_path / "1" / "model.json").read_bytes())
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "_measured", broken)
    assert export.main(command) == 1
    assert seen == [old] and (tmp_path / "1" / "model.json").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    assert export.main([*command, "--nomeasure"]) == 0
    assert json.loads((tmp_path / "1" / "model.json").read_text())["name"] == tmp_path.name
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    tf.saved_model.load(str(tmp_path / "1"))


def test_a_run_without_a_checkpoint(student_run, tmp_path, capfd):
    (tmp_path / "run").mkdir()
    shutil.copy(student_run / "config.json", tmp_path / "run")
    command = ["export", f"--run={tmp_path / 'run'}", f"--output={tmp_path / 'out'}"]
    assert export.main(command) == 2
    assert "has no checkpoint yet" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_card_of_a_training_run(exported, student_run):
    content = json.loads((exported / "model.json").read_text())
    assert "phantoms.json, subset 1: its scans" in content["training_data"]
    assert str(student_run.parents[1]) not in (exported / "README.md").read_text()
    assert 0 < content["evaluation"]["dice"] < 1


def test_the_cost_of_a_pair_is_measured(exported):
    cost = export._measured(str(exported))
    assert 0 < cost["seconds"] < 100
    assert 100 < cost["loaded_memory_mb"] <= cost["peak_memory_mb"]


def test_an_export_is_evaluated_as_its_run(exported, student_run, phantoms, tmp_path):
    command = ["evaluate", f"--run={student_run}", f"--run={exported.parent}", "--names=run,export"]
    command += [f"--dataset={phantoms}", f"--output={tmp_path}", "--limit=1", "--report=none"]
    assert evaluate.main(command) == 0
    methods = json.loads((tmp_path / "summary.json").read_text())["methods"]
    assert methods["export"]["parameters"] == methods["run"]["parameters"]
    assert methods["export"]["dice"]["mean"] == pytest.approx(methods["run"]["dice"]["mean"], 1e-4)
