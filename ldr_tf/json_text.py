"""JSON as it is accepted here: a stricter reading than Python's own, which is made for friends."""

import json
import math

from ldr_tf.errors import InputError

_DEEPEST = 64
_LARGEST_WHOLE = 1 << 63
_SHOWN = 24


def parse_json(text, name, nan=False):
    """Returns the content of a JSON text: dictionaries, lists, texts, numbers, True, False, None.

    Args:
      text: bytes in UTF-8, with or without a byte order mark, or a text.
      name: what messages call it, such as the file's path.
      nan: whether NaN and Infinity are numbers, as in our own records of what was measured.

    Raises:
      InputError: the text is no JSON; it is nested more than 64 deep; a whole number lies beyond
        64 bits, another one is not finite; an object names a field twice; a text holds the
        character 0 or half a surrogate pair.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        content = json.loads(
            text,
            parse_int=_whole,
            parse_float=_finite,
            parse_constant=float if nan else _constant,
            object_pairs_hook=_object,
        )
        _check(content)
    except RecursionError:
        raise InputError(f"{name}: is not valid JSON (nested too deeply).") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}: is not valid JSON (not UTF-8, from byte {error.start} on)."
        ) from None
    except ValueError as error:
        raise InputError(f"{name}: is not valid JSON ({error}).") from None
    return content


def json_of(content):
    """Returns content as an indented JSON text; numbers that are not finite become null."""
    return json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n"


def _whole(text):
    # Looked at before it is converted: that takes quadratic time.
    if len(text) > _SHOWN or abs(int(text)) >= _LARGEST_WHOLE:
        raise ValueError(f"the number {_shown(text)} is too large")
    return int(text)


def _finite(text):
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {_shown(text)} is too large")
    return number


def _constant(text):
    raise ValueError(f"{text} is no number")


def _object(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise ValueError(f"the field {_shown(twice)!r} stands there twice")
    return found


def _check(content):
    """Refuses depth and texts that later code could not carry; walks without recursion."""
    level, depth = [content], 0
    while level:
        if depth > _DEEPEST:
            raise ValueError("nested too deeply")
        below = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, dict):
                below.extend(item)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        level, depth = below, depth + 1


def _check_text(text):
    if "\0" in text:
        raise ValueError(f"the text {_shown(text)!r} holds the character 0")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the text {_shown(text)!r} holds half a surrogate pair") from None


def _shown(text):
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
