"""Strategies for damaged input: bytes with edits, JSON with other values in it."""

import copy
import json

from hypothesis import strategies as st

TOKENS = [
    b"nan",
    b"inf",
    b"1e400",
    b"-1",
    b"0",
    b"999999999999",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"\x7f\xff",
    b"\xef\xbb\xbf",
    b'"',
    b",",
    b";",
    b"\n",
    b"[" * 3000,
    "\u0130\u2028".encode(),
]

_TEXTS = ["", ".", "/", "..", "../x", "a\0b", "\ud800", "x" * 5000, "a\nb", "/dev/zero"]
_NUMBERS = [0, -1, 1, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), -0.0, 1e-9]
_LEAVES = st.one_of(
    st.sampled_from([None, True, *_NUMBERS]),
    st.sampled_from(_TEXTS),
    st.text(max_size=8),
    st.integers(-5, 5000),
    st.floats(),
)


def _nested(inner):
    return st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)


VALUES = st.recursive(_LEAVES, _nested, max_leaves=6)


@st.composite
def damaged(draw, base, most=4):
    """Bytes near those of `base`."""
    content = bytearray(base)
    for _ in range(draw(st.integers(0, most))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(["byte", "bit", "token", "insert", "delete", "cut", "repeat"]))
        if kind == "byte" and content:
            content[place] = draw(st.integers(0, 255))
        elif kind == "bit" and content:
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "token":
            token = draw(st.sampled_from(TOKENS))
            content[place : place + len(token)] = token
        elif kind == "insert":
            content[place:place] = draw(st.sampled_from(TOKENS))
        elif kind == "delete":
            del content[place : place + draw(st.integers(1, 40))]
        elif kind == "cut":
            del content[place:]
        elif kind == "repeat":
            content += content[place : place + 200]
    return bytes(content)


def named(name, strategy):
    """Strategy of the files of a folder, {name: bytes}, for one file's strategy."""
    return strategy.map(lambda content: {name: content})


@st.composite
def damaged_json(draw, base):
    """The bytes of a JSON near `base`, a nested dictionary."""
    content = copy.deepcopy(base)
    for _ in range(draw(st.integers(0, 3))):
        _change(draw, content)
    text = json.dumps(content, indent=draw(st.sampled_from([None, 1])))
    if draw(st.integers(0, 5)) == 0:
        text = text.replace("{", '{"image_size": [4, 4, 4],', 1)
    encoded = text.encode(draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16"])))
    return draw(damaged(encoded, 1)) if draw(st.booleans()) else encoded


def _change(draw, content):
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or draw(st.booleans()):
            break
        place = place[key]
    deed = draw(st.sampled_from(["replace", "delete", "add"]))
    if deed == "replace":
        place[key] = draw(VALUES)
    elif deed == "delete":
        del place[key]
    elif isinstance(place, dict):
        place[draw(st.text(max_size=6))] = draw(VALUES)
    else:
        place.append(draw(VALUES))
