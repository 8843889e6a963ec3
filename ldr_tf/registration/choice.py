"""Which model suits two scans, where nobody says it: the model `auto`."""

from ldr_tf.beside import beside
from ldr_tf.registration.brains import BRAIN_RADIUS

AUTO = "auto"
"""The name that stands for a choice by what the scans show."""

_BRAIN_T1 = "brain-t1"
# `Look.inwards` of brains: in T1 (41) at least 0.390, in FLAIR (15) 0.215, in T2 (one alone) -0.27.
_INWARDS = 0.1


class AutoModel:
    """Chooses for each pair among what comes with the package.

    `brain-t1` for two brains without skull in T1 or FLAIR, by what their scans show; for anything
    else no model, which leaves the work to the refinement.
    """

    def __init__(self, precision="auto"):
        """Takes the precision in which the model computes, see `load_model`; loads nothing yet."""
        self._precision, self._loading = precision, None

    def prepare(self):
        """Starts to load, beside whatever else is done, what most pairs need; returns at once."""
        if self._loading is None:
            from ldr_tf.models import load_model  # and TensorFlow, for which others need not wait

            self._loading = beside(load_model, _BRAIN_T1, self._precision)

    @property
    def brain(self):
        """The RegistrationModel `brain-t1`."""
        self.prepare()
        return self._loading.result()

    def choose(self, looks):
        """Returns a RegistrationModel or None, and in a sentence what was chosen and why.

        Args:
          looks: what the fixed and the moving scan show, `evidence.looks_of`.
        """
        for name, look in zip(("fixed", "moving"), looks):
            sign = _unlike_brain(look)
            if sign is not None:
                return None, (
                    f"the {name} scan {sign}: no model, refinement alone ({_BRAIN_T1} is for two "
                    "brains without skull in T1 or FLAIR)."
                )
        reason = f"both scans look like brains without skull in T1 or FLAIR: {_BRAIN_T1}."
        return self.brain, reason


def _unlike_brain(look):
    """Returns in words what tells a scan from a brain without skull in T1 or FLAIR, or None."""
    if look is None:
        return "is a CT or shows nothing"
    least, most = BRAIN_RADIUS
    if not least <= look.radius <= most:
        extent = "more" if look.radius > most else "less"
        return f"shows {extent} than a brain, as a ball of {look.radius:.0f} mm fits into it"
    if look.inwards is None or look.inwards <= _INWARDS:
        return "shows neither T1 nor FLAIR, as it does not grow brighter from its surface inwards"
    return None
