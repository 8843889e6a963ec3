"""Frozen records from and to plain dictionaries, and what their fields are held to.

A record is built by `from_dict`, which refuses unknown keys, wrong types and values out of range
with an InputError that names the field.
"""

import dataclasses
import typing

from ldr_tf.errors import InputError

_SPOKEN = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}


def require(condition, sentence):
    """Raises InputError with the sentence unless the condition holds."""
    if not condition:
        raise InputError(sentence)


def require_choice(value, choices, field):
    """Refuses a field's value that is none of the choices."""
    require(value in choices, f"{field} must be one of {', '.join(choices)}, not {value!r}.")


def require_range(value, low, high, field):
    """Refuses a field's number outside low..high."""
    require(low <= value <= high, f"{field} must lie in {low}..{high}, not {value}.")


def to_dict(record):
    """Returns a record as plain dictionaries, lists and numbers."""
    return dataclasses.asdict(record)


def from_dict(cls, values, where=""):
    """Builds the record `cls` from a plain dictionary; absent keys keep their defaults.

    Args:
      cls: a frozen dataclass.
      values: dictionary, nested for nested records.
      where: dotted prefix used in messages, for example "training.".

    Raises:
      InputError: unknown key, wrong type or value out of range.
    """
    require(
        isinstance(values, dict), f"{where[:-1] or 'the config'} must be an object with fields."
    )
    types = typing.get_type_hints(cls)
    unknown = sorted(set(values) - set(types))
    require(
        not unknown,
        f"unknown field {where}{unknown[0] if unknown else ''}; known: {', '.join(sorted(types))}.",
    )
    return cls(**{key: _convert(types[key], value, where + key) for key, value in values.items()})


def _convert(wanted, value, field):
    """Returns `value` as the type `wanted` of `field`, refused where it is something else."""
    if dataclasses.is_dataclass(wanted):
        return from_dict(wanted, value, field + ".")
    arguments = typing.get_args(wanted)
    if typing.get_origin(wanted) is typing.Union:
        return None if value is None else _convert(arguments[0], value, field)
    if typing.get_origin(wanted) is tuple:
        require(
            isinstance(value, (list, tuple)) and len(value) == len(arguments),
            f"{field} must be a list of {len(arguments)} numbers, not {value!r}.",
        )
        return tuple(_convert(kind, item, field) for kind, item in zip(arguments, value))
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    require(
        isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)),
        f"{field} must be {_SPOKEN[wanted]}, not {value!r}.",
    )
    return value


def differences(first, second, prefix=""):
    """Lists the fields in which two records differ, as (field, first's value, second's value)."""
    rows = []
    for field in dataclasses.fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if dataclasses.is_dataclass(a):
            rows += differences(a, b, f"{prefix}{field.name}.")
        elif a != b:
            rows.append((prefix + field.name, a, b))
    return rows
