"""Registers a moving scan to a fixed one by a network on a TensorFlow Serving server.

    python -m experiments.serve_client --server=HOST:PORT --fixed=F --moving=M --output=DIR

The scans are read, prepared, carried back and measured here, as ldr-register does, whose further
flags and outputs these are; the network alone runs on the server. The same as
ldr-register --model=grpc://HOST:PORT/NAME.
"""

import sys

from absl import flags

from ldr_tf.commands import cli, register

FLAGS = cli.new_flags()
_SERVER = flags.DEFINE_string(
    "server", None, "HOST:PORT of the server's gRPC port", required=True, flag_values=FLAGS
)
_MODEL_NAME = flags.DEFINE_string(
    "model_name", "student", "the model's name on the server", flag_values=FLAGS
)
_MODEL_VERSION = flags.DEFINE_integer(
    "model_version", None, "its version; default: the server's choice", flag_values=FLAGS
)
_TLS = flags.DEFINE_bool(
    "tls", False, "speak TLS, with --tls_ca or the usual certificates", flag_values=FLAGS
)
for _name in register.FLAGS:
    if _name != "model":
        FLAGS[_name] = register.FLAGS[_name]
flags.mark_flag_as_required("output", flag_values=FLAGS)


def run():
    scheme = "grpcs" if _TLS.value else "grpc"
    version = "" if _MODEL_VERSION.value is None else f"/{_MODEL_VERSION.value}"
    register.FLAGS["model"].value = f"{scheme}://{_SERVER.value}/{_MODEL_NAME.value}{version}"
    register.FLAGS.mark_as_parsed()
    return register.run()


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
