"""Keeps TensorFlow's start-up lines off the screen.

Up to 2.15 the environment variable does it. Newer versions write about processors and missing GPUs
straight to the file descriptor while they are imported, whatever the variable says.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_ERRORS = "3"


def quiet_tensorflow():
    """Makes a later import of TensorFlow silent, unless the user has set a level of logging."""
    if os.environ.setdefault(_LEVEL, _ERRORS) != _ERRORS or "tensorflow" in sys.modules:
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def quiet_xla():
    """Lets XLA compile something at once, and keeps off the screen what it says the first time.

    It starts TensorFlow's devices: what sets them up comes before. As `quiet_tensorflow`, this does
    nothing for a user who has set a level of logging.
    """
    if os.environ.get(_LEVEL) == _ERRORS:
        import tensorflow as tf

        with _silent_stderr():
            tf.function(lambda: tf.zeros([]), jit_compile=True)()


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow, once, as Python would, and has its import run silently."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def silently(module):
                with _silent_stderr():
                    execute(module)

            spec.loader.exec_module = silently
        return spec


@contextlib.contextmanager
def _silent_stderr():
    """What is written to file descriptor 2 is shown only if the block fails."""
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(screen, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(screen, 2)
            os.close(screen)
