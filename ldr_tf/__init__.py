"""Fast deformable registration of 3D scans: a light student network taught by a heavy teacher.

`import ldr_tf` is cheap: TensorFlow is imported when a name that needs it is first used.
"""

import importlib
import os

# TensorFlow reads this once, while it is imported. By itself it takes oneDNN's convolutions only on
# processors with AVX512_VNNI or AMX; without them a training step takes nine times as long on AVX2.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

_LAZY = {
    "load_run": "ldr_tf.runs.checkpoints",
    "register": "ldr_tf.registration.register",
    "InputError": "ldr_tf.errors",
}

__all__ = ["InputError", "__version__", "load_run", "register"]


def __getattr__(name):
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
