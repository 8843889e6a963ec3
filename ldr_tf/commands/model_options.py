"""How a network is run, or asked for on a server."""

import dataclasses
import os
from typing import Optional

import platformdirs

from ldr_tf.config.network import RUN_PRECISIONS
from ldr_tf.files import check_output_folder
from ldr_tf.records import Record, setting


@dataclasses.dataclass(frozen=True)
class ModelOptions(Record):
    """How the model of a registration is run; each field is a flag of ldr-register."""

    precision: str = setting(
        "auto",
        "in which the network computes; bfloat16 is faster on processors with instructions for it, "
        "with a flow some hundredths of a voxel off; auto: that, where processor and network bear "
        "it, else float32",
        choices=RUN_PRECISIONS,
    )
    timeout: float = setting(60.0, "seconds that a server's answer may take", least=0.0)
    retries: int = setting(
        5,
        "how often to try anew where a server cannot be reached, after 0.5 s, 1 s, 2 s .. at most "
        "8 s",
        least=0,
    )
    tls_ca: Optional[str] = setting(
        None, "PEM file of the certificates that a server's TLS rests on"
    )
    cache: Optional[str] = setting(
        None,
        "folder in which what takes long to make is kept from run to run, nothing that a result "
        "depends on; none: nothing is kept (default: the user's own for such things)",
    )

    @property
    def cache_folder(self):
        """The folder that `cache` stands for, or None; InputError where it cannot be one."""
        if self.cache == "none":
            return None
        if self.cache is None:
            return platformdirs.user_cache_dir("ldr_tf", appauthor=False)
        check_output_folder(self.cache)
        return os.path.abspath(self.cache)
