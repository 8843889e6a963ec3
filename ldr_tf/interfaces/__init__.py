"""Nipype interfaces of the commands: `Register` and `Warp`, nodes of a workflow.

Each runs its command in a process of its own, so that TensorFlow stays out of the workflow's. Needs
the package nipype, the extra `nipype`; without it this import is an ImportError.
"""

try:
    import nipype  # noqa: F401
except ImportError as error:
    raise ImportError(
        'ldr_tf.interfaces needs the package nipype: pip install "ldr_tf[nipype]".'
    ) from error

from ldr_tf.interfaces.register import Register
from ldr_tf.interfaces.warp import Warp

__all__ = ["Register", "Warp"]
