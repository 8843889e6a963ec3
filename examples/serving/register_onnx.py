"""Registers two raw volumes by an exported network in ONNX Runtime, without TensorFlow.

pip install numpy onnxruntime
python register_onnx.py models/student/1/model.onnx fixed.raw moving.raw 128 128 128

The model is that of an export with --format=onnx. Volumes: see README.md.
"""

import sys
import time

import figures
import onnxruntime


def main(model, *words):
    """Runs the network twice; prints the figures of its answer."""
    fixed, moving = figures.read_volumes(*words)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    inputs = {"fixed": fixed, "moving": moving}
    session.run(["flow", "warped"], inputs)  # the first call also prepares
    start = time.perf_counter()
    flow, warped = session.run(["flow", "warped"], inputs)
    figures.show(flow, warped, time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
