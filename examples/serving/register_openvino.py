"""Registers two raw volumes by an exported network in OpenVINO, without TensorFlow.

pip install numpy openvino==2026.4.1
python register_openvino.py models/student/1 fixed.raw moving.raw 128 128 128

The model is an export's folder, which OpenVINO reads as it is, or the .xml of an export with
--format=openvino. Volumes: see README.md.
"""

import sys
import time

import figures
import openvino


def main(model, *words):
    """Runs the network twice; prints the figures of its answer."""
    fixed, moving = figures.read_volumes(*words)
    inputs = {"fixed": fixed, "moving": moving}
    if model.endswith(".xml"):
        network = openvino.Core().read_model(model)
        network.reshape({name: volume.shape for name, volume in inputs.items()})
    else:
        shapes = [(name, volume.shape) for name, volume in inputs.items()]
        network = openvino.convert_model(model, input=shapes)
    # Some processors would compute in half precision, which errs by tenths of a voxel.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.compile_model(network, "CPU", settings)
    compiled(inputs)  # the first call also prepares
    start = time.perf_counter()
    answer = compiled(inputs)
    figures.show(answer["flow"], answer["warped"], time.perf_counter() - start)


if __name__ == "__main__":
    main(*sys.argv[1:])
