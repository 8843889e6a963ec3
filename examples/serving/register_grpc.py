"""Registers two raw volumes by TensorFlow Serving, with tensorflow-serving-api alone.

pip install tensorflow-serving-api==2.15.1        (2.21.0 beside TensorFlow 2.21)
python register_grpc.py localhost:8500/student fixed.raw moving.raw 128 128 128

docs/serving.md tells how to start the server; volumes: see README.md.
"""

import sys
import time

import figures
import grpc
import tensorflow as tf  # tensorflow-serving-api requires it; only its TensorProtos are used
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def main(address, *words):
    """Asks the server twice; prints the figures of its answer."""
    address, name = address.split("/")
    fixed, moving = figures.read_volumes(*words)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    request.model_spec.signature_name = "serving_default"
    request.inputs["fixed"].CopyFrom(tf.make_tensor_proto(fixed))
    request.inputs["moving"].CopyFrom(tf.make_tensor_proto(moving))
    # gRPC takes no message above 4 MB unless told otherwise; an answer of 128^3 has 32.
    unlimited = [("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(address, options=unlimited) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            service.Predict(request, timeout=60)  # the first call may still prepare
            start = time.perf_counter()
            answer = service.Predict(request, timeout=60)
        except grpc.RpcError as error:
            sys.exit(f"{error.code().name}: {error.details()}")
    flow, warped = (tf.make_ndarray(answer.outputs[name]) for name in ("flow", "warped"))
    figures.show(flow, warped, time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
