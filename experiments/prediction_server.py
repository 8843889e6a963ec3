"""A stand-in for TensorFlow Serving: its PredictionService over gRPC, on exported models.

    python -m experiments.prediction_server --model=models/student --port=8500

For tests and load measurements where the real server is not at hand: it loads a SavedModel in
Python and answers Predict alone. It says its address once it takes requests, and ends with Ctrl-C.
"""

import concurrent.futures
import os
import queue
import sys
import threading
import time

import numpy as np
from absl import flags

from ldr_tf.commands import cli
from ldr_tf.errors import InputError

FLAGS = cli.new_flags()
_MODEL = flags.DEFINE_string(
    "model", None, "folder of an export; its name is the model's", required=True, flag_values=FLAGS
)
_PORT = flags.DEFINE_integer("port", 8500, "0: any that is free", 0, 65535, flag_values=FLAGS)
_BATCH = flags.DEFINE_integer(
    "batch", 1, "pairs that are answered together, at most", 1, flag_values=FLAGS
)
_WAIT = 0.01
"""Seconds for which a pair waits for others to join it."""

_THREADS = 16


class Refused(Exception):
    """What a request is answered with instead of a result.

    Attributes:
      code: the name of a grpc.StatusCode.
    """

    def __init__(self, code, details):
        super().__init__(details)
        self.code = code


class PredictionServer:
    """Serves SavedModels over loopback until `kill`.

    Attributes:
      address: HOST:PORT.
      port: its port.
    """

    def __init__(self, models, port=0, credentials=None, batch=1):
        """Starts it.

        Args:
          models: {name: folder of a SavedModel}.
          port: 0 for any.
          credentials: grpc's, for TLS; or None.
          batch: pairs that are answered together at most.
        """
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import prediction_service_pb2_grpc as service

        self._models = {name: tf.saved_model.load(str(path)) for name, path in models.items()}
        self._batch, self._batchers, self._lock = batch, {}, threading.Lock()
        outer = self

        class Service(service.PredictionServiceServicer):
            def Predict(self, request, context):
                try:
                    return outer.answer(request)
                except Refused as refused:
                    context.abort(grpc.StatusCode[refused.code], str(refused))

        sizes = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(_THREADS),
            options=[*sizes, ("grpc.so_reuseport", 0)],
        )
        service.add_PredictionServiceServicer_to_server(Service(), self._server)
        if credentials is None:
            self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        else:
            self.port = self._server.add_secure_port(f"localhost:{port}", credentials)
        self.address = f"127.0.0.1:{self.port}"
        self._server.start()

    def answer(self, request):
        """Returns the PredictResponse of a PredictRequest.

        Raises:
          Refused: no such model; tensors that the signature does not take.
        """
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        spec = request.model_spec
        if spec.name not in self._models:
            raise Refused("NOT_FOUND", "Servable not found for request")
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        outputs = self._run(spec.name, spec.signature_name, inputs)
        response = predict_pb2.PredictResponse()
        for name in request.output_filter or outputs:
            response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
        return response

    def _run(self, model, signature, inputs):
        run = self._models[model].signatures[signature]
        if self._batch == 1:
            return _outputs(run, inputs)
        shapes = tuple((name, array.shape[1:]) for name, array in sorted(inputs.items()))
        with self._lock:
            key = model, signature, shapes
            if key not in self._batchers:
                self._batchers[key] = _Batcher(run, self._batch)
        return self._batchers[key](inputs)

    def kill(self):
        """Ends at once, whatever is being answered."""
        self._server.stop(None).wait(10)


def _outputs(run, inputs):
    import tensorflow as tf

    try:
        found = run(**{name: tf.constant(array) for name, array in inputs.items()})
    except tf.errors.InvalidArgumentError as error:
        raise Refused("INVALID_ARGUMENT", error.message) from error
    return {name: tensor.numpy() for name, tensor in found.items()}


class _Batcher:
    """Answers requests of one shape together: those that come while others are waiting."""

    def __init__(self, run, most):
        self._run, self._most, self._queue = run, most, queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def __call__(self, inputs):
        future = concurrent.futures.Future()
        self._queue.put((inputs, future))
        return future.result()

    def _work(self):
        while True:
            waiting = [self._queue.get()]
            until = time.monotonic() + _WAIT
            while len(waiting) < self._most:
                try:
                    left = max(0.0, until - time.monotonic())
                    waiting.append(self._queue.get(timeout=left))
                except queue.Empty:
                    break
            self._answer(waiting)

    def _answer(self, waiting):
        counts = [len(next(iter(inputs.values()))) for inputs, _ in waiting]
        ends = np.cumsum(counts)[:-1]
        try:
            joined = {
                name: np.concatenate([inputs[name] for inputs, _ in waiting])
                for name in waiting[0][0]
            }
            outputs = {k: np.split(v, ends) for k, v in _outputs(self._run, joined).items()}
        except Exception as error:  # every client is to hear of it
            for _, future in waiting:
                future.set_exception(error)
            return
        for number, (_, future) in enumerate(waiting):
            future.set_result({name: parts[number] for name, parts in outputs.items()})


def version_folder(folder):
    """Returns the folder of the newest version in an export's folder, which may be one itself."""
    versions = [name for name in os.listdir(folder) if name.isdigit()]
    return os.path.join(folder, max(versions, key=int)) if versions else folder


def run():
    """Serves until it is interrupted; returns the exit code."""
    folder = _MODEL.value
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: there is no such folder.")
    if not os.path.isfile(os.path.join(version_folder(folder), "saved_model.pb")):
        raise InputError(f"{folder}: holds no saved_model.pb; it must be an export's folder.")
    name = os.path.basename(os.path.abspath(folder))
    server = PredictionServer({name: version_folder(folder)}, _PORT.value, batch=_BATCH.value)
    print(f"grpc://{server.address}/{name}", flush=True)
    threading.Event().wait()
    return 0


def main(argv=None):
    """Entry point; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
