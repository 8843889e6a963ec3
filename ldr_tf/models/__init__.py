"""What computes the flow of a pair of volumes: one interface, one file for each kind of model."""

from ldr_tf.models.loading import as_model, load_model
from ldr_tf.models.model import RegistrationModel

__all__ = ["RegistrationModel", "as_model", "load_model"]
