"""How two scans are registered: the choices that a caller has."""

import dataclasses
from typing import Optional

from ldr_tf.errors import InputError
from ldr_tf.imaging import AFFINE_METHODS
from ldr_tf.records import Record, setting

_STEPS_ALONE = 100
"""Steps of refinement where there is no model and nothing else was said."""


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
    refine_steps: Optional[int] = setting(
        None,
        "steps of refinement on the pair itself, after the model (by default 0; without a model "
        f"{_STEPS_ALONE})",
        least=0,
    )
    diffeomorphic: bool = setting(False, "refine by a velocity field: no folds")
    inverse: bool = setting(False, "compute the inverse displacement too, and its residual")

    def steps(self, alone):
        """Returns the steps of refinement.

        Args:
          alone: whether there is no model.

        Raises:
          InputError: a kind of refinement was chosen, but there is to be none.
        """
        default = _STEPS_ALONE if alone else 0
        steps = default if self.refine_steps is None else self.refine_steps
        if self.diffeomorphic and not steps:
            raise InputError("diffeomorphic is a kind of refinement and needs refine_steps.")
        return steps
