"""Converts the config.json of earlier versions to the current form.

The previous form had `training` and a flat `distillation`, and named data set and teacher at the
top level. Forms before it lacked some fields; where the default is not what was done then, the
value is filled in here.
"""

from ldr_tf.records import require

_MOVED = {
    "dataset": "data.dataset",
    "subset": "data.subset",
    "teacher": "distillation.teacher",
    "teacher_flows": "distillation.teacher_flows",
    "training.images": "data.images",
    "training.painted": "data.painted",
    "training.paired": "data.paired",
    "training.augmentation": "augmentation.deformation",
    "training.flip_axis": "augmentation.flip_axis",
    "training.shift": "augmentation.shift",
    "training.similarity": "loss.similarity",
    "training.regularization": "loss.regularization",
    "training.label_weight": "loss.label_weight",
    "distillation.objective": "distillation.critic.objective",
    "distillation.constraint": "distillation.critic.constraint",
    "distillation.penalty": "distillation.critic.penalty",
    "distillation.beta": "distillation.critic.beta",
    "distillation.feature_reduction": "distillation.critic.feature_reduction",
    "distillation.flow_unit": "distillation.critic.flow_unit",
    "distillation.flow_length": "distillation.critic.flow_length",
    "distillation.critic_size": "distillation.critic.size",
    "distillation.critic_learning_rate": "distillation.critic.learning_rate",
    "distillation.critic_steps": "distillation.critic.steps",
}
_REST = {"training": "optimisation"}


def read_config_values(values):
    """Returns the values of a config, of any version, in the current form.

    Args:
      values: nested dictionaries, with all or some of the fields.

    Raises:
      InputError: it is not a dictionary.
    """
    require(isinstance(values, dict), "the config must be an object with fields.")
    if not _is_earlier(values):
        return values
    flat = dict(_flattened(values))
    # Complete configs older than this field measured the slope by the sum.
    if "distillation.flow_unit" in flat:
        flat.setdefault("distillation.flow_length", "sum")
    result = {}
    for name, value in flat.items():
        head, _, tail = name.partition(".")
        _put(result, _MOVED.get(name, f"{_REST.get(head, head)}.{tail}" if tail else name), value)
    return result


def _is_earlier(values):
    if {"training", "dataset", "subset", "teacher", "teacher_flows"} & set(values):
        return True
    distillation = values.get("distillation")
    flat = isinstance(distillation, dict) and {f"distillation.{name}" for name in distillation}
    return bool(flat) and bool(flat & set(_MOVED))


def _flattened(values, prefix=""):
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _put(target, name, value):
    *path, last = name.split(".")
    for part in path:
        target = target.setdefault(part, {})
    target[last] = value
