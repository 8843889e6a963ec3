"""Students against teachers: how many times faster one is than the other."""

import numpy as np

_TEACHERS = ("VTN with affine stem", "VTN")
_SLOWER = {
    "LDR": _TEACHERS,
    "LDR of 8 channels": _TEACHERS,
    "LDR at half resolution": (*_TEACHERS, "LDR"),
    "LDR of 8 channels at half resolution": (*_TEACHERS, "LDR of 8 channels"),
}
"""Network -> those of as many cascades with which it is compared. With the affine stem VTN is the
paper's whole teacher; without it, dense stems are compared."""


def compared(names):
    """Lists those of the networks, named "NETWORK, CASCADES", that are in a comparison."""
    pairs = _pairs(names)
    return [name for name in names if any(name in pair for pair in pairs)]


def rows(seconds):
    """Makes rows of the table.

    Args:
      seconds: name of a network -> seconds of its rounds, all networks in turns.

    Returns:
      [{"name": "A / B", "times": median over the rounds of A's seconds over B's}].
    """
    return [
        {
            "name": f"{slower} / {name}",
            "times": float(np.median(np.divide(seconds[slower], seconds[name]))),
        }
        for slower, name in _pairs(seconds)
    ]


def _pairs(names):
    pairs = []
    for name in names:
        network, _, cascades = name.rpartition(", ")
        for slower in _SLOWER.get(network, ()):
            if f"{slower}, {cascades}" in names:
                pairs.append((f"{slower}, {cascades}", name))
    return pairs
