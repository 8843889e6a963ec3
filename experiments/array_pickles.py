"""Reads pickles of numpy arrays without running anything that they name.

A pickle is a program: it names functions and calls them. Here each of the few names by which numpy
writes an array stands for a small recorder of ours; any other name stops the reading before it is
looked up. Neither Python's import nor numpy's own unpickling is ever reached, so it does not
matter which numpy (1 or 2) or Python (2 or 3) wrote a file.
"""

import copy
import os
import pickle
import pickletools
import re

import numpy as np

from ldr_tf.errors import InputError
from ldr_tf.files import open_regular

_DAMAGE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    TypeError,
    ValueError,
)


def read_arrays(path, shape=None):
    """Reads a pickled dictionary of numpy arrays.

    It takes no more memory than a few times the file's size: a pickle may name one text a thousand
    times and have bytes made of it each time, which no writer of arrays does.

    Args:
      path: a pickle of any protocol, by Python 2 or 3 and numpy 1 or 2.
      shape: that of every array, where it is known.

    Returns:
      dict: str -> array of numbers; read-only.

    Raises:
      InputError: the file is missing, truncated, or holds anything else.
    """
    try:
        with open_regular(path) as file:
            _check_memo(file)
            file.seek(0)
            builders = _Builders(_Budget(os.fstat(file.fileno()).st_size), shape)
            content = _ArrayUnpickler(file, builders).load()
    except _Refused as error:
        raise InputError(f"{path}: holds {error}; only numpy arrays are admitted.") from error
    except _OtherShape as error:
        raise InputError(f"{path}: {error}.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except _DAMAGE as error:
        raise InputError(f"{path}: is no whole pickle of arrays ({error}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold a dictionary of arrays, not {_kind(content)}.")
    arrays = {}
    for key, value in content.items():
        if not isinstance(key, str):
            raise InputError(f"{path}: its keys must be text, not {_kind(key)}.")
        if not isinstance(value, _Array) or value.array is None:
            raise InputError(f"{path}: {key!r} must be an array, not {_kind(value)}.")
        arrays[key] = value.array
    return arrays


class _Refused(Exception):
    """The pickle names something that is not admitted."""


class _OtherShape(Exception):
    """An array is not of the shape that all should have."""


def _check_memo(file):
    """Refuses numbers of remembered objects that no writer gives.

    The unpickler makes room for all numbers below: one damaged byte could ask for all the memory.
    """
    for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
        if operation.name in ("PUT", "LONG_BINPUT") and argument > count:
            raise pickle.UnpicklingError(f"it remembers object {argument} as its {count}th")


class _Budget:
    """The bytes that may still be made of texts: in a file each stands for one of its own."""

    def __init__(self, size):
        self._left = size

    def bytes_of(self, content):
        """Returns bytes; those of Python 2 were read as text."""
        if not isinstance(content, str):
            return content
        self._left -= len(content)
        if self._left < 0:
            raise pickle.UnpicklingError("its arrays would be larger than the file itself")
        return content.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    def __init__(self, file, builders):
        super().__init__(file, encoding="latin1")
        self._builders = builders

    def find_class(self, module, name):
        builder = _ADMITTED.get((module.replace("numpy._core", "numpy.core"), name))
        if builder is None:
            raise _Refused(f"{module}.{name}")
        # A method, not a function: a pickle may also set attributes of what it is given.
        return getattr(copy.copy(self._builders), builder)

    def persistent_load(self, pid):
        raise _Refused("a reference to another file")


_ADMITTED = {
    ("numpy", "ndarray"): "array_class",
    ("numpy", "dtype"): "dtype",
    ("numpy.core.multiarray", "_reconstruct"): "reconstruct",
    ("numpy.core.multiarray", "scalar"): "scalar",
    ("numpy.core.numeric", "_frombuffer"): "from_buffer",  # protocol 5
    ("_codecs", "encode"): "encode",  # bytes in protocols 0 to 2 of Python 3
}


class _Builders:
    """What the admitted names stand for; each takes what numpy's own function would."""

    array_class = "numpy.ndarray"

    def __init__(self, budget, shape):
        self._budget, self._shape = budget, shape

    def dtype(self, text, *_):
        return _Type(text)

    def reconstruct(self, array_class, _shape, _letter):
        if array_class != self.array_class:
            raise _Refused("an array of another class")
        return _Array(self._budget, self._shape)

    def from_buffer(self, content, kind, shape, order, axes=None):
        array = _Array(self._budget, self._shape)
        array.fill(content, kind, shape, "C" if order == "K" else order)
        if order == "K" and axes is not None:
            array.array = array.array.transpose(axes)
        return array

    def scalar(self, kind, content):
        return np.frombuffer(self._budget.bytes_of(content), kind.dtype, count=1)[0]

    def encode(self, text, encoding):
        if encoding != "latin1":
            raise _Refused(f"text in {encoding!r}")
        return self._budget.bytes_of(text)


class _Type:
    """Stands for numpy.dtype: numbers alone."""

    def __init__(self, text):
        if not re.fullmatch(r"[<>=|]?[fiub]\d{1,2}", text):
            raise _Refused(f"an array of type {text!r}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state):
        order, *parts = state[1:5]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in parts):
            raise _Refused("an array with fields")
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for an array; `array` is None until its content is known."""

    array = None

    def __init__(self, budget, shape):
        self._budget, self._shape = budget, shape

    def __setstate__(self, state):
        _, shape, kind, fortran, content = state
        self.fill(content, kind, shape, "F" if fortran else "C")

    def fill(self, content, kind, shape, order):
        if self._shape is not None and tuple(shape) != tuple(self._shape):
            raise _OtherShape(f"arrays in it must be {tuple(self._shape)}, not {shape}")
        values = np.frombuffer(self._budget.bytes_of(content), kind.dtype)
        self.array = values.reshape(shape, order=order)


def _kind(value):
    return "an array without content" if isinstance(value, _Array) else type(value).__name__
