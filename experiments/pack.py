"""Packs a run for distribution: config, weights in half precision, a model card.

    python -m experiments.pack --run=RUN --card=CARD.md --output=FOLDER

Every command that takes a run folder accepts the result. In ldr_tf/shipped it comes with the
package and is known by its name.
"""

import sys

from absl import flags

from ldr_tf.commands import cli
from ldr_tf.errors import InputError

FLAGS = cli.new_flags()
_RUN = flags.DEFINE_string("run", None, "run folder", required=True, flag_values=FLAGS)
_CARD = flags.DEFINE_string(
    "card", None, "text file that becomes its README.md", required=True, flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string("output", None, "folder to make", required=True, flag_values=FLAGS)


def run():
    from ldr_tf.runs.checkpoints import pack_run

    try:
        with open(_CARD.value, encoding="utf-8") as file:
            card = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{_CARD.value}: cannot be read as text ({error}).") from error
    error = pack_run(_RUN.value, _OUTPUT.value, card)
    print(f"packed: {_OUTPUT.value}; {_about(error)}")


def _about(error):
    """Says in which precision the network will compute where nobody says."""
    from ldr_tf.runs.precision import MOST_ERROR

    if error is None:
        return "float32 everywhere, as this processor cannot tell what bfloat16 would cost"
    where = "where a processor has instructions for it" if error <= MOST_ERROR else "nowhere"
    return f"bfloat16, which changes its flow by {error:.2g} voxel, {where}"


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
