"""The fields of a run's config, for the help of the commands that train."""

import textwrap
import typing

from ldr_tf.config import RunConfig
from ldr_tf.records import describe

_GIVEN = ("stage", "network.image_size", "data.dataset", "image.")
"""Fields that are set by flags of their own or by the data set."""


def text():
    """Returns a list of all settings: name, default, choices or range, meaning."""
    lines = ["", "", "Settings (--set=FIELD=VALUE, or --config):"]
    for row in describe(RunConfig):
        if not row.name.startswith(_GIVEN):
            lines.append(f"  {row.name} = {shown(row.default)}")
            lines += textwrap.wrap(
                _explained(row), 96, initial_indent="      ", subsequent_indent="      "
            )
    return "\n".join(lines)


def shown(value):
    """Returns a value as it is written after --set=FIELD=."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _explained(row):
    about = row.about
    parts = [about["meaning"]]
    if about["choices"]:
        parts.append(f"one of {', '.join(map(shown, about['choices']))}")
    if typing.get_origin(row.kind) is typing.Union:
        parts.append("or none")
    for bound, words in (("least", "at least"), ("most", "at most"), ("above", "above")):
        if about[bound] is not None:
            parts.append(f"{words} {about[bound]}")
    return "; ".join(parts)
