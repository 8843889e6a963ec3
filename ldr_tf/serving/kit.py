"""What a server needs beside the graph: warm-up requests, its configuration, how to start it."""

import os

import tensorflow as tf

from ldr_tf.errors import InputError
from ldr_tf.serving.signatures import input_shapes

WARM_UP_NAME = "tf_serving_warmup_requests"
MODELS_NAME = "models.config"
BATCHING_NAME = "batching_parameters.txt"

_TYPES = {"register_uint8": {"fixed": tf.uint8, "moving": tf.uint8}}
_INTEGERS = {"labels": tf.int32, "index": tf.int32}


def has_serving_api():
    """Tells whether tensorflow-serving-api, the extra `serving`, is installed."""
    try:
        import tensorflow_serving.apis.prediction_log_pb2  # noqa: F401
    except ImportError:
        return False
    return True


def predict_request(model, signature, tensors, outputs=()):
    """Returns a PredictRequest.

    Args:
      model: the model's name on the server.
      signature: the signature's name.
      tensors: input name -> TensorProto.
      outputs: names of the outputs wanted; empty for all.

    Raises:
      InputError: tensorflow-serving-api is not installed.
    """
    try:
        from tensorflow_serving.apis import predict_pb2
    except ImportError as error:
        raise InputError(
            'tensorflow-serving-api is needed to talk to a server: pip install "ldr_tf[serving]".'
        ) from error
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, tensor in tensors.items():
        request.inputs[name].CopyFrom(tensor)
    request.output_filter.extend(outputs)
    return request


def write_warm_up(path, model, size):
    """Writes a request of one pair for every signature, as records of PredictionLog.

    The volumes are constant: a constant tensor takes a few bytes, and the network's time does not
    depend on the values.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    with tf.io.TFRecordWriter(path) as writer:
        for signature, inputs in input_shapes(size).items():
            tensors = {}
            for name, shape in inputs.items():
                dtype = _TYPES.get(signature, _INTEGERS).get(name, tf.float32)
                tensors[name] = _constant(dtype, [1, *shape[1:]])
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(predict_request(model, signature, tensors))
            writer.write(log.SerializeToString())


def write_configuration(folder, model):
    """Writes models.config and batching_parameters.txt."""
    files = {MODELS_NAME: _MODELS.format(model=model), BATCHING_NAME: _BATCHING}
    for name, text in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(text)


def kit_text(model, version, size, options, cost, warm):
    """Returns the section of the README about serving.

    Args:
      model: the model's name, that of its folder.
      version: its version.
      size: of the volumes.
      options: {"xla", "half_flow"}.
      cost: {"seconds", "peak_memory_mb", "loaded_memory_mb", "machine"} of one pair, or None.
      warm: whether warm-up requests were written.
    """
    voxels = size[0] * size[1] * size[2]
    half = options["half_flow"]
    if cost is None:
        time = "not measured at export; `python -m experiments.export --measure` does."
    else:
        time = (
            f"{cost['seconds']:.2f} s per pair and at most {cost['peak_memory_mb']:,.0f} MB in the "
            f"process ({cost['loaded_memory_mb']:,.0f} MB of it before the first request), "
            f"measured at export: {cost['machine']}, one request at a time."
        )
    xla = ""
    if options["xla"]:
        xla = _XLA
    return _TEXT.format(
        model=model,
        place=f"/models/{model}/{version}/assets.extra",
        models=MODELS_NAME,
        batching=BATCHING_NAME,
        flag=" \\\n    --xla_cpu_compilation_enabled=true" if options["xla"] else "",
        xla=xla,
        time=time,
        warm=_WARM if warm else _COLD,
        size=", ".join(map(str, size)),
        float_in=_megabytes(voxels * 8),
        byte_in=_megabytes(voxels * 2),
        flow=_megabytes(voxels * 12),
        byte_flow=_megabytes(voxels * (6 if half else 12)),
        byte_type="float16" if half else "float32",
        warped=_megabytes(voxels * 4),
    )


def _constant(dtype, shape):
    """Returns zeros as a TensorProto that holds a single value for all elements."""
    proto = tf.make_tensor_proto(0, dtype, [])
    proto.ClearField("tensor_content")
    if dtype == tf.float32:
        proto.float_val[:] = [0.0]
    else:
        proto.int_val[:] = [0]
    for extent in shape:
        proto.tensor_shape.dim.add(size=extent)
    return proto


def _megabytes(count):
    return f"{count / 2**20:.3g} MiB"


_MODELS = """\
model_config_list {{
  config {{
    name: "{model}"
    base_path: "/models/{model}"
    model_platform: "tensorflow"
  }}
}}
"""

_BATCHING = """\
# One pair uses all cores and its own memory, so requests wait for each other instead of running
# side by side; one request may hold up to four pairs.
num_batch_threads { value: 1 }
max_batch_size { value: 4 }
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 64 }
"""

_XLA = """
This export's warp is compiled by XLA. The CPU server refuses it unless it is started with
`--xla_cpu_compilation_enabled`; the first request of each batch size compiles for about a second.
"""

_WARM = "The server replays `tf_serving_warmup_requests`, one request for each signature."
_COLD = (
    "No warm-up requests: tensorflow-serving-api (the extra `serving`) was not installed at export."
)

_TEXT = """\
## Signatures

All sizes but the batch are fixed. Tensors of another size, an empty batch and numbers that are not
finite are refused (INVALID_ARGUMENT) by the graph, with the tensor's name; wrong types by the
runtime.

| signature | inputs | outputs |
| --- | --- | --- |
| `serving_default` | `fixed`, `moving`: float32, 0..255 | `flow`, `warped`: float32 |
| `register_uint8` | `fixed`, `moving`: uint8 | `flow`: {byte_type}; `warped`: float32 |
| `warp_linear` | `image`: float32, `flow`: float32 | `warped`: float32 |
| `warp_nearest` | `labels`: int32, `flow`: float32 | `warped`: int32 |
| `describe` | `index`: int32 [batch], any numbers | `config`: the run's config, JSON |

Volumes are [batch, {size}, 1]. A flow is [batch, {size}, 3], voxels, a backward map:
warped(p) = moving(p + flow(p)), coordinates clamped to the volume.

## Serving

From the folder that holds the model's folder `{model}`:

```
docker run --rm -p 8500:8500 -p 8501:8501 \\
    --mount type=bind,source="$PWD/{model}",target=/models/{model} tensorflow/serving \\
    --model_config_file={place}/{models} \\
    --enable_batching --batching_parameters_file={place}/{batching} \\
    --tensorflow_intra_op_parallelism=CORES --tensorflow_inter_op_parallelism=2{flag}
```

Port 8500 speaks gRPC, 8501 REST (which writes numbers as text: not for volumes).
CORES: the physical cores that the container may use; hyper-threads do not help convolutions. Time
and memory: {time}
{xla}
{warm}

## Size of messages

A request of one pair is {float_in} as float32 and {byte_in} as uint8; the answer holds {flow} of
flow ({byte_flow} from `register_uint8`) and {warped} of warped image. gRPC's clients refuse
answers above 4 MB unless told otherwise: set `grpc.max_receive_message_length` (and
`grpc.max_send_message_length` where it is limited) to -1. TensorFlow Serving itself takes messages
of up to 2 GiB; proxies in between have limits of their own. `output_filter: "flow"` leaves out the
warped image. `ldr-register --model=grpc://HOST:8500/{model}` does all of this.
"""
