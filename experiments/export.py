"""Exports a run's network as a SavedModel for TF Serving, or for ONNX Runtime or OpenVINO.

    python -m experiments.export --run=RUN --output=DIR        -> DIR/1/saved_model.pb ...

DIR/1 holds saved_model.pb and variables/; README.md and model.json, the model card; and in
assets.extra warm-up requests, models.config, batching parameters and the run's config. README.md
covers the signatures, how to start the server, the time and memory of a request and the size of its
messages.

--format=onnx writes DIR/1/model.onnx instead, --format=openvino model.xml and model.bin, both with
the model card. What was written is run, and refused if its flow differs from the network's by more
than 1e-3 voxel. The extras `onnx` and `openvino` bring the packages.
"""

import json
import os
import subprocess
import sys

from absl import flags

from ldr_tf.commands import cli
from ldr_tf.config.network import RUN_PRECISIONS

FLAGS = cli.new_flags()
_RUN = flags.DEFINE_string("run", None, "run folder", required=True, flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string("output", None, "model folder", required=True, flag_values=FLAGS)
_VERSION = flags.DEFINE_integer(
    "version", 1, "version number, the subfolder's name", lower_bound=1, flag_values=FLAGS
)
_FORMAT = flags.DEFINE_enum(
    "format", "saved_model", ["saved_model", "onnx", "openvino"], "what to write", flag_values=FLAGS
)
_XLA = flags.DEFINE_bool(
    "xla",
    False,
    "compile the warp by XLA; a CPU server then needs --xla_cpu_compilation_enabled",
    flag_values=FLAGS,
)
_HALF_FLOW = flags.DEFINE_bool(
    "half_flow", False, "register_uint8 returns the flow as float16", flag_values=FLAGS
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    "float32",
    RUN_PRECISIONS,
    "in which the graph computes (a SavedModel's); bfloat16 is for servers with instructions for "
    "it, and slow and less exact elsewhere; auto: as processor and network bear it here",
    flag_values=FLAGS,
)
_OVERWRITE = flags.DEFINE_bool(
    "overwrite", False, "replace an existing version, once the new one is whole", flag_values=FLAGS
)
_MEASURE = flags.DEFINE_bool(
    "measure",
    True,
    "measure time and memory per pair on this machine (a SavedModel's)",
    flag_values=FLAGS,
)


def run():
    from ldr_tf.serving.export import export

    target = export(
        _RUN.value,
        _OUTPUT.value,
        _VERSION.value,
        form=_FORMAT.value,
        xla=_XLA.value,
        half_flow=_HALF_FLOW.value,
        precision=_PRECISION.value,
        overwrite=_OVERWRITE.value,
        measure=_measured if _MEASURE.value else None,
    )
    print(f"exported: {target}")


def _measured(folder):
    """Returns the cost of a pair, measured in a process that has only TensorFlow."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pair_cost.py")
    answer = subprocess.run(
        [sys.executable, script, folder],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
