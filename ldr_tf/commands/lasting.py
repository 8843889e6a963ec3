"""Objects that stay for as long as the process."""

import contextlib
import gc


@contextlib.contextmanager
def lasting():
    """Has Python's collector of garbage not run in the block; nor look, later, at what it makes.

    TensorFlow makes some million objects while it is imported. To go through them again and again,
    in vain, takes 0.3 s of the import and as much of every pair. The second holds for the first
    block of a process alone: what is kept from the collector is never freed if it becomes garbage.
    """
    gc.disable()
    try:
        yield
    finally:
        if not gc.get_freeze_count():
            gc.freeze()
        gc.enable()
