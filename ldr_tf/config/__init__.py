"""What defines a run: frozen records, one file each, saved as JSON beside the weights.

Every field is declared once, in its record, see `ldr_tf.records.setting`. Each part of the code is
given only the record that it needs.
"""

from ldr_tf.config.augmentation import AugmentationConfig
from ldr_tf.config.data import DataConfig
from ldr_tf.config.distillation import CriticConfig, DistillationConfig
from ldr_tf.config.image import ImageConfig
from ldr_tf.config.loss import LossConfig
from ldr_tf.config.network import NetworkConfig
from ldr_tf.config.older import read_config_values
from ldr_tf.config.optimisation import OptimisationConfig
from ldr_tf.config.run import CHANGEABLE, RunConfig, public_config, run_config

__all__ = [
    "CHANGEABLE",
    "AugmentationConfig",
    "CriticConfig",
    "DataConfig",
    "DistillationConfig",
    "ImageConfig",
    "LossConfig",
    "NetworkConfig",
    "OptimisationConfig",
    "RunConfig",
    "public_config",
    "read_config_values",
    "run_config",
]
