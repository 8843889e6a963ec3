"""What a training's validations found, read from its run folder."""

import contextlib
import os

from ldr_tf.errors import InputError
from ldr_tf.json_text import parse_json

_PREFIX = "validation/"


def read_validations(folder):
    """Returns step -> {name: figure} of a run folder's metrics.jsonl, in the order of the steps.

    Of a step that was taken twice, as after a resume, the later figures count. Empty where there is
    no such file; lines that are damaged or cut short are passed over.
    """
    found = {}
    try:
        with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
            for line in file:
                if f'"{_PREFIX}' in line and line.endswith("}\n"):
                    with contextlib.suppress(InputError, KeyError, TypeError):
                        values = parse_json(line, "metrics.jsonl", nan=True)
                        found[values.pop("step")] = {
                            name.removeprefix(_PREFIX): value for name, value in values.items()
                        }
    except OSError:
        return {}
    return dict(sorted(found.items()))
