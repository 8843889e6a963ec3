"""An exported model under load: latency, memory, wrong requests, a restart in the middle.

    python -m experiments.benchmark serving --model=models/student --output=DIR
    python -m experiments.benchmark serving --model=models/student --server=tensorflow_model_server

Starts a server, a process of its own, on an export, and sends it pairs of random volumes, so many
at a time, as `ldr-register` does. Every answer is compared with the network's own; every
`--wrong_every`-th request is too small and must be refused with the tensor's name. Halfway through
the server is killed and started again: what is being asked then is asked anew, and its wait counts.

Rows: without and with batching. `memory_MB` is what the server holds at the end, `growth_percent`
how much more that is than when, since the restart, a tenth of the row's requests were answered.
"""

import concurrent.futures
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time

import numpy as np
from absl import flags

from ldr_tf.errors import InputError

_PATIENCE = 120
_RESTART = {"timeout": 120.0, "retries": 12}


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_string(
        "model", None, "folder of an export", required=True, flag_values=flag_values
    )
    flags.DEFINE_integer("requests", 1000, "of each row", 20, flag_values=flag_values)
    flags.DEFINE_integer("concurrency", 8, "requests at a time", 1, flag_values=flag_values)
    flags.DEFINE_integer("wrong_every", 50, "0: none", 0, flag_values=flag_values)
    flags.DEFINE_integer(
        "batch", 4, "pairs together, in the second row", 2, flag_values=flag_values
    )
    flags.DEFINE_bool("restart", True, "kill the server halfway", flag_values=flag_values)
    flags.DEFINE_string(
        "server",
        None,
        "a tensorflow_model_server program; without it experiments.prediction_server",
        flag_values=flag_values,
    )


def run(model, requests=1000, concurrency=8, wrong_every=50, batch=4, restart=True, server=None):
    """Measures; returns the rows of the table."""
    if not os.path.isdir(model):
        raise InputError(f"{model}: there is no such folder.")
    rows = []
    for together in (1, batch):
        with Server(os.path.abspath(model), together, server) as running:
            rows.append(_load(running, requests, concurrency, wrong_every, restart))
            rows[-1] = {"batch": together, "at_a_time": concurrency, **rows[-1]}
    return rows


def _load(server, requests, concurrency, wrong_every, restart):
    """Sends all requests; returns the figures of a row."""
    from experiments.prediction_server import version_folder
    from ldr_tf.models import load_model
    from ldr_tf.models.server import Connection, ServerModel

    own = load_model(version_folder(server.model))
    rng = np.random.default_rng(0)
    size = own.network.image_size
    pairs = [rng.integers(0, 256, (2, *size)).astype(np.float32) for _ in range(4)]
    wanted = [own.flow(*pair) for pair in pairs]
    thread, seconds, memory, refused = threading.local(), [], [], []
    begin = requests // 2 if restart else 0

    def ask(number):
        if restart and number == begin:
            server.restart()
        if not hasattr(thread, "model"):
            thread.model = ServerModel(server.address, Connection(**_RESTART))
        if wrong_every and number % wrong_every == wrong_every - 1:
            _check_refused(thread.model, [volume[:-1] for volume in pairs[0]])
            refused.append(number)
            return
        start = time.perf_counter()
        flow = thread.model.flow(*pairs[number % len(pairs)])
        seconds.append(time.perf_counter() - start)
        np.testing.assert_allclose(flow, wanted[number % len(pairs)], atol=1e-3)
        held = server.memory()
        if held is not None:
            memory.append((number, held))

    start = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(concurrency) as threads:
        for _ in threads.map(ask, range(requests)):
            pass
    took = time.perf_counter() - start
    settled = begin + requests // 10
    memory = sorted(memory)
    early, last = next(held for number, held in memory if number >= settled), memory[-1][1]
    p50, p90, p99 = np.percentile(seconds, (50, 90, 99))
    return {
        "answered": len(seconds),
        "refused": len(refused),
        "p50_ms": 1000 * p50,
        "p90_ms": 1000 * p90,
        "p99_ms": 1000 * p99,
        "longest_ms": 1000 * max(seconds),
        "pairs_per_second": len(seconds) / took,
        "memory_MB": last,
        "growth_percent": 100 * (last / early - 1),
    }


def _check_refused(model, volumes):
    """Sends volumes of a wrong size; AssertionError unless the server refuses them by name."""
    try:
        model.flow(*volumes)
    except InputError as error:
        if "refused the request" not in str(error) or "fixed" not in str(error):
            raise AssertionError(f"refused without the tensor's name: {error}") from error
    else:
        raise AssertionError("volumes of a wrong size were taken")


class Server:
    """A server process on an export; a context manager.

    It puts up to `batch` pairs together; `program` is a tensorflow_model_server, None stands for
    experiments.prediction_server.

    Attributes:
      model: the export's folder.
      address: grpc://HOST:PORT/NAME.
    """

    def __init__(self, model, batch, program=None):
        self.model, self._batch, self._program = model, batch, program
        self._port, self._process = _free_port(), None
        self.address = f"grpc://127.0.0.1:{self._port}/{os.path.basename(model)}"

    def __enter__(self):
        self._start()
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def restart(self):
        """Kills it and starts it again at the same address."""
        self._process.kill()
        self._process.wait()
        self._start()

    def memory(self):
        """Returns the MB that it holds, None while it is being started again."""
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self._process.pid).memory_info().rss / 2**20
        return None

    def _start(self):
        from ldr_tf.models.server import Connection, ServerModel

        self._process = subprocess.Popen(
            self._command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                ServerModel(self.address, Connection(timeout=10.0, retries=0)).close()
                return
            except InputError as error:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise InputError(f"the server did not start: {error}") from error
                time.sleep(0.2)

    def _command(self):
        if self._program is None:
            return [
                *[sys.executable, "-m", "experiments.prediction_server", f"--model={self.model}"],
                *[f"--port={self._port}", f"--batch={self._batch}"],
            ]
        command = [self._program, f"--port={self._port}", f"--model_base_path={self.model}"]
        command.append(f"--model_name={os.path.basename(self.model)}")
        if self._batch > 1:
            from experiments.prediction_server import version_folder
            from ldr_tf.serving.kit import BATCHING_NAME

            extra = os.path.join(version_folder(self.model), "assets.extra")
            command.append("--enable_batching")
            command.append(f"--batching_parameters_file={os.path.join(extra, BATCHING_NAME)}")
        return command


def _free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]
