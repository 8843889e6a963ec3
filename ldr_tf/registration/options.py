"""How two scans are registered: the choices that a caller has."""

import dataclasses
from typing import Optional

from ldr_tf.errors import InputError
from ldr_tf.imaging import AFFINE_METHODS
from ldr_tf.records import Record, setting

QUALITIES = {"fast": (0, 20), "balanced": (4, 60), "best": (30, 120)}
"""Steps of refinement, after a model's answer and without a model."""

BRAIN_CHOICES = ("auto", "extract", "given", "none")

SIMILARITIES = ("auto", "local_correlation", "gradient_fields")

_LARGEST = 3.4e38
"""About the largest float32."""


@dataclasses.dataclass(frozen=True)
class RegistrationOptions(Record):
    """What may be chosen of a registration; each field is a flag of ldr-register, too."""

    affine: str = setting(
        "auto",
        "affine step first: none; moments (a shift that brings the centres of mass together); full "
        "(rigid, then affine by mutual information); auto: none where head or body already overlap "
        "by a Dice of 0.85, else full",
        choices=AFFINE_METHODS,
    )
    quality: str = setting(
        "balanced",
        "how much time to spend: fast (the model's answer), balanced (a short refinement of it on "
        "the pair itself) or best (a long one)",
        choices=tuple(QUALITIES),
    )
    refine_steps: Optional[int] = setting(
        None,
        "steps of refinement, in place of those that quality stands for (fast 0, balanced 4, best "
        "30; without a model 20, 60, 120)",
        least=0,
    )
    diffeomorphic: bool = setting(False, "refine by a velocity field: no folds")
    unfold: bool = setting(
        True, "smooth the displacement field where it folds, and only there, until it does not"
    )
    similarity: str = setting(
        "auto",
        "what the refinement compares: local_correlation (grey values; scans of one contrast), "
        "gradient_fields (edges; across contrasts, such as T1 and FLAIR) or auto: what the scans "
        "show after the affine step",
        choices=SIMILARITIES,
    )
    brain: str = setting(
        "auto",
        "which part of the scans counts: their brains (extract, by the package deepbet), what lies "
        "in fixed_mask and moving_mask (given), the whole of them (none) or auto: the masks that "
        "are given and, of a scan without one that is a whole head, its brain, if deepbet is "
        "installed; what is warped is the whole scan in any case",
        choices=BRAIN_CHOICES,
    )
    inverse: bool = setting(False, "compute the inverse displacement too, and its residual")
    background: Optional[float] = setting(
        None,
        "value of the warped scan outside the moving one (by default the moving scan's padding; "
        "without padding the lowest value of a CT, 0 for other scans)",
        least=-_LARGEST,
        most=_LARGEST,
    )
    max_memory: Optional[float] = setting(
        None,
        "GB that a registration may take; refused where it is estimated to take more (by default "
        "what the machine has free)",
        least=0.0,
        most=1e6,
    )

    def recorded(self):
        """Returns the options on which the result depends, as a dictionary."""
        values = dataclasses.asdict(self)
        del values["max_memory"]
        return values

    def steps(self, alone):
        """Returns the steps of refinement.

        Args:
          alone: whether there is no model.

        Raises:
          InputError: a kind of refinement was chosen, but there is to be none.
        """
        steps = QUALITIES[self.quality][alone]
        if self.refine_steps is not None:
            steps = self.refine_steps
        if self.diffeomorphic and not steps:
            raise InputError(
                "diffeomorphic is a kind of refinement, of which there is none: quality must be "
                "balanced or best, or refine_steps above 0."
            )
        return steps
