"""Exports a run's network as a SavedModel for TF Serving.

python -m experiments.export --run=RUN --output=DIR        -> DIR/1/saved_model.pb ...
"""

import sys

from absl import flags

from ldr_tf.commands import cli

FLAGS = cli.new_flags()
_RUN = flags.DEFINE_string("run", None, "run folder", required=True, flag_values=FLAGS)
_OUTPUT = flags.DEFINE_string("output", None, "model folder", required=True, flag_values=FLAGS)
_VERSION = flags.DEFINE_integer(
    "version", 1, "version, a folder of its own in it", lower_bound=1, flag_values=FLAGS
)


def run():
    from ldr_tf.export import export

    print(f"exported: {export(_RUN.value, _OUTPUT.value, _VERSION.value)}")


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
