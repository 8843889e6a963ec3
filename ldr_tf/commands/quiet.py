"""Keeps off the screen what libraries write there by themselves.

TensorFlow's start-up lines: up to 2.15 the environment variable does it; newer versions write about
processors and missing GPUs straight to the file descriptor while they are imported, whatever the
variable says. ITK, MetaIO, VNL and HDF5 write there what they dislike in a file.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import sys
import tempfile

from ldr_tf.errors import InputError

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

    _found = False

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow" or self._found:
            return None
        self._found = True  # and it stays in its place: another thread may look through the list
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def silently(module):
                with _silent_stderr():
                    execute(module)

            spec.loader.exec_module = silently
        return spec


@contextlib.contextmanager
def quiet_native(wanted=True):
    """Keeps off the screen what is written to the file descriptors 1 and 2 in the block.

    For reading, writing and importing: Python's own prints in the block are lost too. If the block
    fails, with anything but an InputError, whose sentence says it all, the lines are shown on 2.

    Args:
      wanted: False: all of it is shown as it comes.
    """
    if not wanted:
        yield
        return
    with _kept((1, 2)) as show:
        try:
            yield
        except InputError:
            raise
        except BaseException:
            show()
            raise


@contextlib.contextmanager
def _silent_stderr():
    """What is written to file descriptor 2 is shown only if the block fails."""
    with _kept((2,)) as show:
        try:
            yield
        except BaseException:
            show()
            raise


@contextlib.contextmanager
def _kept(descriptors):
    """Turns descriptors to a file; yields a function that shows what it holds, on the old 2."""
    sys.stdout.flush()
    sys.stderr.flush()
    screens = {}
    with tempfile.TemporaryFile() as kept:

        def show():
            kept.seek(0)
            os.write(screens[2], kept.read())

        try:
            for descriptor in descriptors:
                screens[descriptor] = os.dup(descriptor)
                os.dup2(kept.fileno(), descriptor)
            yield show
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for descriptor, screen in screens.items():
                os.dup2(screen, descriptor)
                os.close(screen)
