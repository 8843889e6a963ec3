"""Objects that stay for as long as the process."""

import contextlib
import gc


@contextlib.contextmanager
def lasting():
    """Has Python's collector of garbage neither run in the block nor ever look at what it makes.

    TensorFlow makes some million objects while it is imported. To go through them again and again,
    in vain, takes 0.3 s of the import and as much of every pair.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
