"""A model on a TensorFlow Serving server, called over gRPC as if it were here."""

import dataclasses
import re
import time
from typing import Optional

import numpy as np
import tensorflow as tf

from ldr_tf.config import run_config
from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.errors import InputError
from ldr_tf.json_text import parse_json
from ldr_tf.models.model import RegistrationModel
from ldr_tf.serving.kit import predict_request

SCHEMES = ("grpc://", "grpcs://")
"""How the address of a model on a server begins; the second asks for TLS."""

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0
_ADDRESS = re.compile(r"grpcs?://(?P<server>[^/\s]+:\d+)/(?P<model>[^/\s]+)(?:/(?P<version>\d+))?")
_OPTIONS = [
    # gRPC's 4 MB are less than any volume that is registered.
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),  # ours are told and counted
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


@dataclasses.dataclass(frozen=True)
class Connection:
    """How to talk to a server.

    Attributes:
      timeout: seconds that one answer may take.
      retries: how often a request is sent anew where the server cannot be reached; the waits
        between are 0.5 s, 1 s, 2 s .. at most 8 s.
      tls_ca: PEM file of the certificates to trust, which asks for TLS too; None: with grpcs://
        those that gRPC brings.
    """

    timeout: float = 60.0
    retries: int = 5
    tls_ca: Optional[str] = None


class ServerModel(RegistrationModel):
    """An exported network on a server; takes volumes of the very size in its config.

    Its signature `describe` tells the config. Volumes go as uint8 where they are whole numbers, a
    quarter of the bytes, else as float32.
    """

    def __init__(self, address, connection=None):
        """Connects.

        Args:
          address: "grpc://HOST:PORT/MODEL" or with "/VERSION" at the end; grpcs:// for TLS.
          connection: a Connection.

        Raises:
          InputError: no such address, no answer, or one that no export of ours gives; a package
            that is missing.
        """
        found = _ADDRESS.fullmatch(address)
        if found is None:
            raise InputError(f"{address}: must be grpc://HOST:PORT/MODEL.")
        self._address, self._connection = address, connection or Connection()
        self._model, version = found["model"], found["version"]
        self._version = None if version is None else int(version)
        self._channel, self._predict = _open(address, found["server"], self._connection)
        config, self._answering = self._describe()
        super().__init__(address, config, free_size=False, precision=None)

    @property
    def parameters(self):
        return None  # the server does not tell

    def _weights(self):
        return [np.int64(self._answering)]  # its version is all that the server tells of them

    def _flow(self, fixed, moving):
        volumes = {"fixed": fixed, "moving": moving}
        signature = "serving_default"
        if all(_is_whole(volume) for volume in volumes.values()):
            volumes = {name: volume.astype(np.uint8) for name, volume in volumes.items()}
            signature = "register_uint8"
        flow, _ = self._ask(signature, volumes, "flow")
        flow, wanted = flow.astype(np.float32), (*fixed.shape[:-1], 3)
        if flow.shape != wanted or not np.isfinite(flow).all():
            raise InputError(
                f"{self._address}: answered with a flow of shape {flow.shape} that is not "
                f"{wanted} finite numbers."
            )
        return flow

    def close(self):
        """Ends the connection."""
        self._channel.close()

    def _describe(self):
        """Returns the RunConfig, and the number of the version that answers."""
        text, version = self._ask("describe", {"index": np.zeros(1, np.int32)}, "config")
        try:
            config = run_config(parse_json(text.ravel()[0], "config"))
        except (InputError, IndexError) as error:
            raise InputError(
                f"{self._address}: describes itself in a way that this version of ldr_tf does "
                f"not understand ({error})."
            ) from error
        return config, version

    def _ask(self, signature, arrays, output):
        """Returns one output of a signature, as an array, and the version that gave it."""
        tensors = {name: tf.make_tensor_proto(array) for name, array in arrays.items()}
        request = predict_request(self._model, signature, tensors, [output])
        if self._version is not None:
            request.model_spec.version.value = self._version
        answer = self._send(request)
        if output not in answer.outputs:
            raise InputError(f"{self._address}: answered without {output!r}; is it our export?")
        try:
            return tf.make_ndarray(answer.outputs[output]), answer.model_spec.version.value
        except (ValueError, TypeError) as error:
            raise InputError(f"{self._address}: answered with a damaged {output!r}.") from error

    def _send(self, request):
        import grpc

        wait, start = _FIRST_WAIT, time.perf_counter()
        for attempt in range(self._connection.retries + 1):
            if attempt:
                time.sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            try:
                return self._predict(request, timeout=self._connection.timeout)
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise InputError(self._refusal(error)) from error
                last = error
        seconds = time.perf_counter() - start
        raise InputError(
            f"{self._address}: the server cannot be reached or went away ({_details(last)}); "
            f"tried {self._connection.retries + 1} times in {seconds:.0f} s."
        ) from last

    def _refusal(self, error):
        """Returns the sentence for an answer that a second try would not change."""
        code, details = error.code().name, _details(error)
        sentence = {
            "DEADLINE_EXCEEDED": f"did not answer within {self._connection.timeout:g} s",
            "NOT_FOUND": f"has no such model ({details})",
            "INVALID_ARGUMENT": f"refused the request ({details})",
            "FAILED_PRECONDITION": f"refused the request ({details})",
            "RESOURCE_EXHAUSTED": f"or a proxy before it has no room for the request ({details})",
        }.get(code, f"answered {code} ({details})")
        return f"{self._address}: the server {sentence}."


def _open(address, server, connection):
    """Returns a channel and its method Predict."""
    try:
        import grpc
        from tensorflow_serving.apis import prediction_service_pb2_grpc
    except ImportError as error:
        raise InputError(
            f"{address}: tensorflow-serving-api is needed to talk to a server: "
            'pip install "ldr_tf[serving]".'
        ) from error
    if connection.tls_ca is None and not address.startswith("grpcs://"):
        channel = grpc.insecure_channel(server, options=_OPTIONS)
    else:
        trusted = None if connection.tls_ca is None else _read_certificates(connection.tls_ca)
        channel = grpc.secure_channel(server, grpc.ssl_channel_credentials(trusted), _OPTIONS)
    return channel, prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict


def _read_certificates(path):
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise InputError(f"{path}: holds no certificate; it must be a PEM file.")
    return content


def _is_whole(volume):
    """Whether a volume can be sent as uint8: made of whole numbers 0..255."""
    inside = volume.min() >= 0 and volume.max() <= INTENSITY_MAX
    return inside and np.array_equal(np.rint(volume), volume)


def _details(error):
    """Returns what the server says, in one line that is not too long."""
    text = " ".join((error.details() or error.code().name).split())
    return text if len(text) <= 300 else text[:300] + ".."
