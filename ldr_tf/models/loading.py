"""Which kind of model a name stands for."""

from ldr_tf.errors import InputError
from ldr_tf.models import exported, run, server
from ldr_tf.models.model import RegistrationModel
from ldr_tf.runs.precision import check_precision

NONE = "none"
"""The name that stands for no model: the affine step and refinement alone."""


def load_model(name, precision="auto", connection=None):
    """Returns the model that a name stands for.

    Args:
      name: "none"; a run folder, or the name of a shipped model; a folder that
        `ldr_tf.serving.export` has written, of which the highest version is taken, or a version's
        folder in it; or "grpc://HOST:PORT/MODEL" (see `ldr_tf.models.server.ServerModel`).
      precision: one of `ldr_tf.config.network.RUN_PRECISIONS`. An exported model computes in the
        one in which it was exported, a server's in its own, which nobody here knows.
      connection: a `ldr_tf.models.server.Connection`, for a server.

    Returns:
      A `RegistrationModel`; None for "none".

    Raises:
      ValueError: there is no such precision.
      InputError: the folder is none of these, or damaged; the server does not answer; this model
        cannot compute in that precision.
    """
    check_precision(precision)
    on_server, version = name.startswith(server.SCHEMES), exported.version_folder(name)
    if name != NONE and not on_server and version is None:
        return run.load(name, precision)
    if (name == NONE or on_server) and precision == "bfloat16":
        raise InputError(f"{name}: bfloat16 can be asked for of networks that are loaded here.")
    if name == NONE:
        return None
    if on_server:
        return server.ServerModel(name, connection)
    model = exported.ExportedModel(version)
    if precision not in ("auto", model.precision):
        raise InputError(f"{name}: was exported in {model.precision}, not in {precision}.")
    return model


def as_model(model):
    """Returns what `ldr_tf.register` takes as a model as a RegistrationModel, or None.

    Args:
      model: a RegistrationModel; a name, see `load_model`; a network, as `ldr_tf.load_run` returns
        it; or None.
    """
    if model is None or isinstance(model, RegistrationModel):
        return model
    if callable(model):
        return run.RunModel("the network", model)
    return load_model(str(model))
