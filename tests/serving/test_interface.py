"""What servers and their clients see of an export: names, types, shapes, REST bodies, errors."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

SHOWN = pathlib.Path(__file__).with_name("saved_model_cli_show.txt")
SERVING = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"
INITIAL = "__saved_model_init_op"


@pytest.fixture(scope="module")
def loaded(moving_export):
    return tf.saved_model.load(moving_export)


@pytest.fixture(scope="module")
def definitions(moving_export):
    """Signature -> SignatureDef, which servers read."""
    with open(os.path.join(moving_export, "saved_model.pb"), "rb") as file:
        return SavedModel.FromString(file.read()).meta_graphs[0].signature_def


def recorded():
    """Returns (signature, "inputs" or "outputs", key) -> (dtype, shape, tensor), as recorded."""
    found, signature = {}, None
    pattern = r"(inputs|outputs)\['(\w+)'\] tensor_info:\s+dtype: (\w+)\s+shape: (.*)\s+name: (\S+)"
    for part in SHOWN.read_text(encoding="utf-8").split("signature_def['")[1:]:
        signature = part.split("'")[0]
        for side, key, dtype, shape, tensor in re.findall(pattern, part):
            found[signature, side, key] = dtype, shape, tensor
    return found


def shape_text(shape):
    return f"({', '.join(str(dim.size) for dim in shape.dim)})"


def test_names_types_and_shapes_are_the_recorded_ones(definitions):
    found = {}
    for signature, definition in definitions.items():
        if signature == INITIAL:
            continue
        assert definition.method_name == "tensorflow/serving/predict"
        for side in ("inputs", "outputs"):
            for key, info in getattr(definition, side).items():
                dtype = tf.dtypes.DType(info.dtype).name.upper()
                dtype = {"FLOAT32": "FLOAT"}.get(dtype, dtype)
                found[signature, side, key] = (
                    f"DT_{dtype}",
                    shape_text(info.tensor_shape),
                    info.name,
                )
    wanted = recorded()
    assert wanted.pop((INITIAL, "outputs", INITIAL))
    assert found == wanted
    assert len(found) == 16 and all(shape.startswith("(-1") for _, shape, _ in found.values())


def test_the_c_program_names_the_recorded_tensors():
    path = SERVING.parents[1] / "examples" / "serving" / "register.c"
    told = re.findall(r'TF_GraphOperationByName\(graph, "(\w+)"\)', path.read_text("utf-8"))
    wanted = {
        side + key: tensor.split(":")
        for (signature, side, key), (_, _, tensor) in recorded().items()
        if signature == "serving_default"
    }
    operations = [wanted[name][0] for name in ("inputsfixed", "inputsmoving", "outputsflow")]
    assert told == operations
    assert [wanted["outputsflow"][1], wanted["outputswarped"]] == ["0", [operations[2], "1"]]


@pytest.mark.slow
def test_saved_model_cli_shows_what_is_recorded(moving_export):
    command = [os.path.join(os.path.dirname(sys.executable), "saved_model_cli"), "show", "--all"]
    if not os.path.exists(command[0]):
        command[:1] = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli"]
    done = subprocess.run(
        [*command, "--dir", moving_export], check=True, capture_output=True, text=True, timeout=300
    )
    # What follows lists operations in an order that changes.
    assert done.stdout.split("The MetaGraph with")[0] == SHOWN.read_text(encoding="utf-8")


# REST. A server turns JSON into tensors of the signature's types, and the answer into JSON: in
# rows, each instance an object or, where the signature has one tensor, its value; or in columns,
# each tensor whole, again without its name where there is but one.


def rest(loaded, definitions, body):
    """Answers the body of a request to MODEL:predict as TensorFlow Serving defines it."""
    asked = json.loads(body)
    name = asked.pop("signature_name", "serving_default")
    (form, content), *more = asked.items()
    assert not more
    types = {key: tf.dtypes.DType(i.dtype) for key, i in definitions[name].inputs.items()}
    if form == "instances":
        rows = [row if isinstance(row, dict) else {next(iter(types)): row} for row in content]
        content = {key: [row[key] for row in rows] for key in rows[0]}
    elif not isinstance(content, dict):
        content = {next(iter(types)): content}
    assert set(content) == set(types)
    tensors = {key: tf.constant(value, types[key]) for key, value in content.items()}
    columns = {
        k: tensor.numpy().tolist() for k, tensor in loaded.signatures[name](**tensors).items()
    }
    columns = {k: [v.decode() for v in c] if k == "config" else c for k, c in columns.items()}
    alone = next(iter(columns)) if len(columns) == 1 else None
    if form == "inputs":
        return json.loads(json.dumps({"outputs": columns[alone] if alone else columns}))
    assert len({len(column) for column in columns.values()}) == 1  # rows need one batch size
    rows = [dict(zip(columns, values)) for values in zip(*columns.values())]
    return json.loads(json.dumps({"predictions": [r[alone] if alone else r for r in rows]}))


def test_the_bodies_in_the_documentation(loaded, definitions, moving_run):
    text = SERVING.read_text(encoding="utf-8")
    bodies = re.findall(r"^curl \S+:predict -d '(.*)'$", text, re.MULTILINE)
    answers = [rest(loaded, definitions, body) for body in bodies]
    assert [list(answer) for answer in answers] == [["predictions"], ["outputs"]]
    with open(moving_run / "config.json", encoding="utf-8") as file:
        config = json.load(file)
    for answer in answers:
        (told,) = next(iter(answer.values()))
        assert json.loads(told) == config


@pytest.mark.parametrize("signature", ["serving_default", "register_uint8"])
def test_volumes_in_rows_and_columns(loaded, definitions, levels, signature):
    volumes = {"fixed": levels[0], "moving": levels[1]}
    dtype = np.uint8 if signature == "register_uint8" else np.float32
    wanted = loaded.signatures[signature](
        **{key: tf.constant(volume.astype(dtype)) for key, volume in volumes.items()}
    )
    columns = {key: volume.tolist() for key, volume in volumes.items()}
    rows = [{key: volume[i] for key, volume in columns.items()} for i in range(2)]
    named = {} if signature == "serving_default" else {"signature_name": signature}
    in_rows = rest(loaded, definitions, json.dumps({**named, "instances": rows}))
    in_columns = rest(loaded, definitions, json.dumps({**named, "inputs": columns}))
    for key in ("flow", "warped"):
        np.testing.assert_allclose(in_columns["outputs"][key], wanted[key], rtol=0, atol=1e-4)
        found = [row[key] for row in in_rows["predictions"]]
        np.testing.assert_allclose(found, wanted[key], rtol=0, atol=1e-4)


def test_labels_and_flows_in_rows(loaded, definitions):
    # A flow of one voxel along x takes each label from the next plane; the last one is repeated.
    labels = np.arange(32).reshape(32, 1, 1, 1) * np.ones((32, 32, 32, 1), int)
    flow = np.zeros((32, 32, 32, 3))
    flow[..., 0] = 1
    row = {"labels": labels.tolist(), "flow": flow.tolist()}
    body = json.dumps({"signature_name": "warp_nearest", "instances": [row]})
    (found,) = rest(loaded, definitions, body)["predictions"]
    assert np.shape(found) == labels.shape  # no name: there is one output
    np.testing.assert_array_equal(found, np.minimum(labels + 1, 31))


# A wrong type never reaches the graph: the runtime refuses it and tells the tensor's position.


@pytest.mark.parametrize(
    ("signature", "wrong", "dtype"),
    [
        ("serving_default", "fixed", "uint8"),
        ("serving_default", "moving", "uint8"),
        ("serving_default", "moving", "float64"),
        ("register_uint8", "fixed", "float32"),
        ("register_uint8", "moving", "int32"),
        ("warp_linear", "image", "int32"),
        ("warp_linear", "flow", "float16"),
        ("warp_nearest", "labels", "uint8"),
        ("warp_nearest", "flow", "int32"),
        ("describe", "index", "int64"),
    ],
)
def test_a_wrong_type_is_told_by_its_place(loaded, definitions, signature, wrong, dtype):
    inputs = definitions[signature].inputs
    tensors = {}
    for key, info in inputs.items():
        shape = [max(dim.size, 1) for dim in info.tensor_shape.dim]
        tensors[key] = tf.zeros(shape, dtype if key == wrong else info.dtype)
    place = sorted(inputs).index(wrong)
    words = rf"input #{place}\(zero-based\) was expected to be a \w+ tensor but is a .*tensor"
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        loaded.signatures[signature](**tensors)
