"""Networks that move visibly, their exports, and a PredictionService in this process."""

import concurrent.futures
import contextlib
import threading

import numpy as np
import pytest
import tensorflow as tf

from ldr_tf.config import NetworkConfig, RunConfig
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs.checkpoints import write_run
from ldr_tf.serving.export import export

NAME = "moving-student"


def make_run(folder, size, **network):
    """Writes a run with random weights whose flows reach several voxels; returns the folder."""
    config = RunConfig(network=NetworkConfig(image_size=(size,) * 3, **network))
    made = CascadeNetwork(config.network)
    rng = np.random.default_rng(1)
    for variable in made.variables:
        scale = (2.0 / np.prod(variable.shape[:-1])) ** 0.5 if len(variable.shape) > 1 else 0.1
        variable.assign(rng.normal(scale=2 * scale, size=variable.shape))
    write_run(str(folder), made, config)
    return folder


@pytest.fixture(scope="session")
def moving_run(tmp_path_factory):
    """A run of two cascades at 32^3."""
    folder = tmp_path_factory.mktemp("moving") / "run"
    return make_run(folder, 32, cascades=2, channels=4)


@pytest.fixture(scope="session")
def moving_export(moving_run, tmp_path_factory):
    """Its export, the folder of version 1."""
    return export(str(moving_run), str(tmp_path_factory.mktemp("models") / NAME))


@pytest.fixture(scope="session")
def levels():
    """A pair of uint8 volumes [2, 32, 32, 32, 1], smooth."""
    grid = np.stack(np.meshgrid(*[np.arange(32)] * 3, indexing="ij"), -1) / 32
    volumes = [np.sin(7 * grid + shift).prod(-1) for shift in (0, 0.4, 0.8)]
    volumes = [np.uint8(255 * (v / 2 + 0.5))[..., None] for v in volumes]
    return np.stack([volumes[0], volumes[1]]), np.stack([volumes[1], volumes[2]])


class PredictionServer:
    """Serves exports over loopback with tensorflow-serving-api's own service definition.

    Attributes:
      address: HOST:PORT.
      asked: names of the signatures asked for, in order.
      gate: cleared, it holds every answer back until it is set.
      entered: set once a request is being answered.
    """

    def __init__(self, models, port=0, credentials=None):
        import grpc
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        loaded = {name: tf.saved_model.load(str(folder)) for name, folder in models.items()}
        self.asked, self.gate, self.entered = [], threading.Event(), threading.Event()
        self.gate.set()
        outer = self

        class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
            def Predict(self, request, context):
                outer.asked.append(request.model_spec.signature_name)
                outer.entered.set()
                outer.gate.wait(30)
                if request.model_spec.name not in loaded:
                    context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found for request")
                signature = loaded[request.model_spec.name].signatures[
                    request.model_spec.signature_name
                ]
                inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
                try:
                    outputs = signature(**inputs)
                except tf.errors.InvalidArgumentError as error:
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
                answer = predict_pb2.PredictResponse()
                for name in request.output_filter or outputs:
                    answer.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name].numpy()))
                return answer

        sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(4), options=[*sizes, ("grpc.so_reuseport", 0)]
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port(f"localhost:{port}", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def kill(self):
        """Ends at once, whatever is being answered."""
        self._server.stop(None).wait(10)
        self.gate.set()


@pytest.fixture
def serve():
    """Starts servers: serve({name: folder}, port); all are ended afterwards."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    with contextlib.ExitStack() as stack:

        def start(models, port=0, credentials=None):
            server = PredictionServer(models, port, credentials)
            stack.callback(server.kill)
            return server

        yield start
