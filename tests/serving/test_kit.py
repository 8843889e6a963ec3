"""The model card and the serving kit of an export."""

import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import DataConfig, DistillationConfig, RunConfig, public_config
from ldr_tf.config.data import IMAGES
from ldr_tf.records import to_dict
from ldr_tf.serving import card, kit
from tests.servers import NAME


@pytest.fixture(scope="module")
def model_json(moving_export):
    with open(os.path.join(moving_export, "model.json"), encoding="utf-8") as file:
        return json.load(file)


def extra(folder, name):
    with open(os.path.join(folder, "assets.extra", name), encoding="utf-8") as file:
        return file.read()


def test_the_warm_up_replays(moving_export):
    prediction_log_pb2 = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2",
        reason="tensorflow-serving-api is not installed",
    )
    signatures = tf.saved_model.load(moving_export).signatures
    path = os.path.join(moving_export, "assets.extra", "tf_serving_warmup_requests")
    assert os.path.getsize(path) < 5000
    asked = []
    for record in tf.data.TFRecordDataset(path):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == NAME
        inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        assert all(tensor.shape[0] == 1 for tensor in inputs.values())
        outputs = signatures[request.model_spec.signature_name](**inputs)
        assert all(tensor.shape[0] == 1 for tensor in outputs.values())
        asked.append(request.model_spec.signature_name)
    assert sorted(asked) == sorted(signatures)


def test_the_servers_files_name_the_model(moving_export):
    text = extra(moving_export, "models.config")
    assert f'name: "{NAME}"' in text and f'base_path: "/models/{NAME}"' in text
    # Protocol buffers' text format: braces in pairs, one number a line.
    assert text.count("{") == text.count("}") == 2
    batching = extra(moving_export, "batching_parameters.txt")
    assert re.search(r"^num_batch_threads \{ value: 1 \}$", batching, re.MULTILINE)


def test_the_card(moving_export, moving_run, model_json):
    assert model_json["network"]["base_network"] == "LDR" and model_json["image_size"] == [32] * 3
    # LDR of four channels, counted by hand: four convolutions 4^3 with biases, 516 + 2,056 + 8,208
    # + 32,800, and four transposed ones without, 64 * (32 * 16 + 32 * 8 + 16 * 4 + 8 * 3).
    assert model_json["parameters"] == 2 * (516 + 2056 + 8208 + 32800 + 54784)
    with open(os.path.join(moving_run, "config.json"), encoding="utf-8") as file:
        values = json.load(file)
    assert json.loads(extra(moving_export, "config.json")) == values  # nothing to hide in it
    with open(os.path.join(moving_export, "README.md"), encoding="utf-8") as file:
        text = file.read()
    for words in (
        model_json["config_sha256"],
        f"{model_json['parameters']:,}",
        "32 x 32 x 32 voxels",
        "MIT",
        "No validation figures",
        f"--model_config_file=/models/{NAME}/1/assets.extra/models.config",
        # 32^3 voxels: two float32 volumes are 256 KiB, a float32 flow 384 KiB
        "0.25 MiB as float32 and 0.0625 MiB as uint8",
        "0.375 MiB",
    ):
        assert words in text, words
    assert "{" not in text


def test_sizes_of_messages_at_128():
    options = {"xla": True, "half_flow": True}
    text = kit.kit_text("m", 3, (128, 128, 128), options, None, False)
    assert "16 MiB as float32 and 4 MiB as uint8" in text
    assert "24 MiB of\nflow (12 MiB from `register_uint8`) and 8 MiB" in text
    assert "--xla_cpu_compilation_enabled=true" in text
    assert "not measured" in text and "No warm-up requests" in text
    cost = {"seconds": 0.25, "peak_memory_mb": 1234.0, "loaded_memory_mb": 500.0, "machine": "it"}
    text = kit.kit_text("m", 3, (128, 128, 128), {**options, "xla": False}, cost, True)
    assert "0.25 s per pair and at most 1,234 MB" in text and "xla" not in text


def test_paths_of_the_machine_stay_at_home():
    config = RunConfig(
        data=DataConfig(dataset="/home/someone/brains/dataset.json"),
        distillation=DistillationConfig(kind="aldk", teacher="/scratch/runs/teacher"),
    )
    told = public_config(config)
    assert (told.data.dataset, told.distillation.teacher) == ("brains/dataset.json", "teacher")
    assert public_config(told) == told
    assert "/home" not in json.dumps(to_dict(told))
    assert card.config_hash(told) == card.config_hash(told) != card.config_hash(config)
    words = card._training_data(told)
    assert "brains/dataset.json, subset 1: its scans, 20000 steps of 1" in words
    assert words.endswith("taught by teacher")


@pytest.mark.parametrize("images", IMAGES)
def test_every_kind_of_training_images_has_its_words(images):
    config = RunConfig(data=DataConfig(dataset="brains.json", images=images))
    assert "brains.json, subset 1: " in card._training_data(config)


def test_evaluation_figures(tmp_path):
    assert card.evaluation_figures(str(tmp_path)) == {}
    lines = [
        {"step": 5, "validation/dice": 0.25},
        {"step": 10, "validation/dice": 0.5},
        {"step": 12, "reconstruction": 1.0},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text + '{"step": 15, "validation/dice": 0.7')
    assert card.evaluation_figures(str(tmp_path)) == {"step": 10, "dice": 0.5}
    (tmp_path / "validation.json").write_text('{"step": 3, "dice": 0.75}')
    assert card.evaluation_figures(str(tmp_path)) == {"step": 3, "dice": 0.75}


def test_constants_of_a_few_bytes():
    for dtype in (tf.float32, tf.uint8, tf.int32):
        proto = kit._constant(dtype, [1, 64, 64, 64, 1])
        assert proto.ByteSize() < 40
        array = tf.make_ndarray(proto)
        assert array.shape == (1, 64, 64, 64, 1) and array.dtype == dtype.as_numpy_dtype
        np.testing.assert_array_equal(np.unique(array), [0])
