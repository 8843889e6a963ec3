"""Which model suits two scans, where nobody says it: the model `auto`."""

from ldr_tf.registration.brains import BRAIN_RADIUS, HEAD_RADIUS

AUTO = "auto"
"""The name that stands for a choice by what the scans show."""

CHOSEN = _BRAIN_T1, _HEAD_ANY = "brain-t1", "head-any"
"""The shipped models among which it chooses."""

# `Look.inwards` of brains: in T1 (41) at least 0.390, in FLAIR (15) 0.215, in T2 (one alone) -0.27.
_INWARDS = 0.1


class AutoModel:
    """Chooses for each pair among what comes with the package.

    `brain-t1` for two brains without skull in T1 or FLAIR; `head-any` where each scan shows a head
    or a brain, in whatever contrast; for anything else no model, which leaves the work to the
    refinement. It goes by what the scans show.
    """

    def __init__(self, precision="auto"):
        """Takes the precision in which models compute, see `load_model`; loads nothing yet."""
        self._precision = precision
        self._loaded = {}

    def shipped(self, name):
        """Returns the RegistrationModel of a name, which is loaded once."""
        from ldr_tf.models import load_model  # and TensorFlow, for which others need not wait

        if name not in self._loaded:
            self._loaded[name] = load_model(name, self._precision)
        return self._loaded[name]

    def choose(self, looks):
        """Returns a RegistrationModel or None, and in a sentence what was chosen and why.

        Args:
          looks: what the fixed and the moving scan show, `evidence.looks_of`.
        """
        sign = _first(_unlike_head, looks)
        if sign is not None:
            return None, (
                f"{sign}: no model, refinement alone (the models that ship are for brains and "
                "whole heads)."
            )
        sign = _first(_unlike_brain, looks)
        if sign is not None:
            return self.shipped(_HEAD_ANY), (
                f"{sign}: {_HEAD_ANY}, for whole heads and brains in any contrast ({_BRAIN_T1} is "
                "for two brains without skull in T1 or FLAIR)."
            )
        return self.shipped(_BRAIN_T1), (
            f"both scans look like brains without skull in T1 or FLAIR: {_BRAIN_T1}."
        )


def _first(sign_of, looks):
    """Returns in words the first sign that `sign_of` finds in fixed or moving scan, or None."""
    for name, look in zip(("fixed", "moving"), looks):
        sign = sign_of(look)
        if sign is not None:
            return f"the {name} scan {sign}"
    return None


def _unlike_head(look):
    """Returns in words what tells a scan from a head or a brain, or None."""
    if look is None:
        return "is a CT or shows nothing"
    least, most = BRAIN_RADIUS[0], HEAD_RADIUS[1]
    if not least <= look.radius <= most:
        extent = "more than a head" if look.radius > most else "less than a brain"
        return f"shows {extent}, as a ball of {look.radius:.0f} mm fits into it"
    return None


def _unlike_brain(look):
    """Returns in words what tells a head from a brain without skull in T1 or FLAIR, or None."""
    if look.radius > BRAIN_RADIUS[1]:
        return f"shows more than a brain, as a ball of {look.radius:.0f} mm fits into it"
    if look.inwards is None or look.inwards <= _INWARDS:
        return "shows neither T1 nor FLAIR, as it does not grow brighter from its surface inwards"
    return None
