"""Imports a TensorFlow 1 checkpoint of RCN or of the LDR release as a run folder.

    python -m experiments.import_checkpoint --checkpoint=PREFIX_OR_FOLDER --output=RUN \\
        --base_network=VTN --cascades=3 --image_size=128

Unless flags give them, network and cascades come from an args.json beside the checkpoint; the
anatomy is liver if the data set named there has "liver" in its path. ldr-register, evaluate, export
and further training (train --init=RUN) accept the run folder.
"""

import os
import sys

from absl import flags

from experiments.grid_flags import parse_size
from ldr_tf.commands import cli
from ldr_tf.errors import InputError
from ldr_tf.files import check_output_folder

FLAGS = cli.new_flags()
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    None,
    "prefix of a checkpoint, or a folder, whose latest one is taken",
    required=True,
    flag_values=FLAGS,
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "run folder to make", required=True, flag_values=FLAGS
)
_BASE_NETWORK = flags.DEFINE_enum(
    "base_network",
    None,
    ["VTN", "VoxelMorph", "LDRReleased"],
    "network; the release's own name LDR means LDRReleased",
    flag_values=FLAGS,
)
_CASCADES = flags.DEFINE_integer("cascades", None, "dense stems", lower_bound=1, flag_values=FLAGS)
_REP = flags.DEFINE_integer(
    "rep", 1, "repetitions with shared weights", lower_bound=1, flag_values=FLAGS
)
_ANATOMY = flags.DEFINE_enum(
    "anatomy", None, ["brain", "liver"], "which arrangement of LDRReleased", flag_values=FLAGS
)
_IMAGE_SIZE = flags.DEFINE_list(
    "image_size", ["128"], "voxels a side, or along x, y, z", flag_values=FLAGS
)


def run():
    size = parse_size(_IMAGE_SIZE.value)
    if os.path.exists(_OUTPUT.value):
        raise InputError(f"{_OUTPUT.value}: exists already; choose another --output.")
    check_output_folder(_OUTPUT.value)

    from ldr_tf.config import DataConfig, RunConfig
    from ldr_tf.networks.cascade import CascadeNetwork
    from ldr_tf.runs import checkpoints, legacy

    prefix = legacy.find_checkpoint(_CHECKPOINT.value)
    arguments = legacy.read_arguments(prefix)
    base_network = _BASE_NETWORK.value or arguments.base_network
    cascades = _CASCADES.value or arguments.cascades
    for flag, value in (("base_network", base_network), ("cascades", cascades)):
        if value is None:
            raise InputError(f"--{flag} is needed: there is no args.json beside the checkpoint.")
    dataset = arguments.dataset or ""
    anatomy = _ANATOMY.value or ("liver" if "liver" in dataset else "brain")
    config = RunConfig(
        stage="teacher",
        network=legacy.network_config(base_network, cascades, _REP.value, anatomy, size),
        data=DataConfig(dataset=dataset),
    )
    network = CascadeNetwork(config.network)
    left = legacy.load_weights(network, prefix)
    checkpoints.write_run(_OUTPUT.value, network, config)
    for what, names in left.items():
        print(f"left, {what}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}")
    print(
        f"imported: {base_network}, {cascades} cascade{'s' if cascades > 1 else ''}, "
        f"{network.count_params():,} parameters -> {_OUTPUT.value}"
    )


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv)


if __name__ == "__main__":
    sys.exit(main())
