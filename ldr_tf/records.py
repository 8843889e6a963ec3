"""Frozen records, whose fields are declared once, with their meaning and limits.

A record is a frozen dataclass derived from `Record` whose fields come from `setting`: default,
meaning, choices and range are in one place, and checks, messages, command lines and help are made
from them. Records are built from plain dictionaries (`from_dict`) or from texts (`from_settings`);
what does not fit raises an InputError that names the field.
"""

import dataclasses
import difflib
import typing

from ldr_tf.errors import InputError

_LARGEST = 1e300
_LARGEST_WHOLE = 1 << 63
_SPOKEN = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}


def setting(default, meaning, *, choices=None, least=None, most=None, above=None, changeable=False):
    """Declares a field of a record.

    Args:
      default: its value unless given.
      meaning: the help text, without a full stop.
      choices: the values that it may have; None for any.
      least, most, above: bounds of a number (or of each of several); `above` is exclusive.
      changeable: whether a run may resume after it was changed.
    """
    about = {
        "meaning": meaning,
        "choices": choices,
        "least": least,
        "most": most,
        "above": above,
        "changeable": changeable,
    }
    return dataclasses.field(default=default, metadata=about)


class Record:
    """Base of the records; checks every field against its declaration on creation.

    Attributes:
      PREFIX: the record's place in a run's config, such as "loss."; for messages.
    """

    PREFIX = ""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and "meaning" in field.metadata:
                _check(value, field.metadata, self.PREFIX + field.name)


def _check(value, about, name):
    choices = about["choices"]
    if choices is not None:
        spoken = ", ".join(map(str, choices))
        require(value in choices, f"{name} must be one of {spoken}, not {value!r}.")
    numbers = value if isinstance(value, tuple) else (value,)
    for bound, fits, words in (
        ("least", lambda number, limit: number >= limit, "at least"),
        ("most", lambda number, limit: number <= limit, "at most"),
        ("above", lambda number, limit: number > limit, "above"),
    ):
        limit = about[bound]
        # NaN fits no bound.
        if limit is not None and not all(fits(number, limit) for number in numbers):
            raise InputError(f"{name} must be {words} {limit}, not {value}.")


def require(condition, sentence):
    """Raises InputError with the sentence unless the condition holds."""
    if not condition:
        raise InputError(sentence)


def to_dict(record):
    """Returns a record as plain dictionaries, lists and numbers."""
    return dataclasses.asdict(record)


def from_dict(cls, values, where=""):
    """Builds the record `cls` from a plain dictionary; absent keys keep their defaults.

    Args:
      cls: a frozen dataclass.
      values: dictionary, nested for nested records.
      where: dotted prefix used in messages, for example "loss.".

    Raises:
      InputError: unknown key, wrong type or value out of range.
    """
    require(
        isinstance(values, dict), f"{where[:-1] or 'the config'} must be an object with fields."
    )
    types = typing.get_type_hints(cls)
    unknown = sorted(set(map(str, values)) - set(types))
    if unknown:
        raise InputError(f"unknown field {where}{unknown[0]}; known: {', '.join(sorted(types))}.")
    return cls(**{key: _convert(types[key], value, where + key) for key, value in values.items()})


def _convert(wanted, value, field):
    """Returns `value` as the type `wanted`; raises InputError, naming `field`, if it is not one."""
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
    if wanted is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        require(-_LARGEST <= value <= _LARGEST, f"{field} must be a finite number, not {value}.")
        return float(value)
    require(
        isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)),
        f"{field} must be {_SPOKEN[wanted]}, not {value!r}.",
    )
    require(wanted is not int or abs(value) < _LARGEST_WHOLE, f"{field} must fit 64 bits.")
    return value


def from_settings(cls, texts):
    """Returns texts such as "loss.similarity=mse" as a nested dictionary for `from_dict`.

    Args:
      cls: the record whose fields are set.
      texts: each FIELD=VALUE, the field with its dots; several numbers are separated by commas, no
        value is "none", a bool is true or false.

    Raises:
      InputError: an unknown field, or a text that is not a value of its type.
    """
    kinds = {row.name: row.kind for row in describe(cls)}
    values = {}
    for text in texts:
        name, equals, word = text.partition("=")
        name = name.strip()
        require(equals, f"{text!r}: a setting is FIELD=VALUE, such as loss.similarity=mse.")
        if name not in kinds:
            raise InputError(f"unknown setting {name!r}; {_hint(name, kinds)}")
        values = merged(values, nested(name, _parsed(kinds[name], word.strip(), name)))
    return values


def _hint(name, known):
    """Returns a hint at the fields that may have been meant by `name`."""
    last = name.rpartition(".")[2]
    likely = [field for field in known if field.rpartition(".")[2] == last]
    likely += difflib.get_close_matches(name, known) if not likely else []
    return f"did you mean {' or '.join(likely)}?" if likely else f"known: {', '.join(known)}."


def nested(name, value):
    """Returns the nested dictionary in which the dotted field `name` has the value."""
    for part in reversed(name.split(".")):
        value = {part: value}
    return value


def _parsed(kind, word, name):
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Union:
        return None if word.lower() in ("none", "null", "") else _parsed(arguments[0], word, name)
    if typing.get_origin(kind) is tuple:
        words = [part.strip() for part in word.split(",")]
        words = words * len(arguments) if len(words) == 1 else words
        return [_parsed(arguments[0], part, name) for part in words]
    if kind is bool:
        known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        require(word.lower() in known, f"{name} must be true or false, not {word!r}.")
        return known[word.lower()]
    try:
        return kind(word)
    except ValueError:
        raise InputError(f"{name} must be {_SPOKEN[kind]}, not {word!r}.") from None


class Row(typing.NamedTuple):
    """One field: dotted name, type, default, declaration (see `setting`)."""

    name: str
    kind: object
    default: object
    about: dict


def describe(cls, prefix=""):
    """Returns a `Row` for each field of a record, including those of nested records."""
    types = typing.get_type_hints(cls)
    rows = []
    for field in dataclasses.fields(cls):
        kind, name = types[field.name], prefix + field.name
        if dataclasses.is_dataclass(kind):
            rows += describe(kind, name + ".")
        else:
            rows.append(Row(name, kind, field.default, dict(field.metadata)))
    return rows


def merged(base, layer):
    """Merges two nested dictionaries; the second one's values win."""
    result = dict(base)
    for key, value in layer.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


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
