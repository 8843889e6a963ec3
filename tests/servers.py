"""Networks that move visibly, their exports, and a PredictionService in this process."""

import contextlib
import threading

import numpy as np
import pytest

from experiments.prediction_server import PredictionServer
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


class WatchedServer(PredictionServer):
    """A PredictionServer whose answers can be held back.

    Attributes:
      asked: names of the signatures asked for, in order.
      gate: cleared, it holds every answer back until it is set.
      entered: set once a request is being answered.
    """

    def __init__(self, models, port=0, credentials=None):
        self.asked, self.gate, self.entered = [], threading.Event(), threading.Event()
        self.gate.set()
        super().__init__(models, port, credentials)

    def answer(self, request):
        self.asked.append(request.model_spec.signature_name)
        self.entered.set()
        self.gate.wait(30)
        return super().answer(request)

    def kill(self):
        super().kill()
        self.gate.set()


@pytest.fixture
def serve():
    """Starts servers: serve({name: folder}, port); all are ended afterwards."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    with contextlib.ExitStack() as stack:

        def start(models, port=0, credentials=None):
            server = WatchedServer(models, port, credentials)
            stack.callback(server.kill)
            return server

        yield start
