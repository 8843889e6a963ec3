"""JSON from anywhere: what is a value, and one sentence for what is none."""

import json
import math
import os

import pytest

from ldr_tf.errors import InputError
from ldr_tf.files import read_json, write_json
from ldr_tf.json_text import parse_json


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 70 + b"]" * 70, "nested too deeply"),
        (b'{"a": ' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b"1" + b"0" * 400, "the number 100000000000000000000000... is too large"),
        (b"9223372036854775808", "is too large"),
        (b"9" * 1_000_000, "is too large"),
        (b'{"a": [1e400]}', "the number 1e400 is too large"),
        (b"-1e999", "the number -1e999 is too large"),
        (b"NaN", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "the field 'c' stands there twice"),
        (b'"\xff"', "not UTF-8, from byte 1 on"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"path": "a\\u0000b"}', "holds the character 0"),
        (b'{"\\ud800": 1}', "half a surrogate pair"),
        (b"", "is not valid JSON"),
        (b"{'a': 1}", "is not valid JSON"),
    ],
)
def test_what_is_refused(text, words):
    with pytest.raises(InputError) as raised:
        parse_json(text, "some.json")
    sentence = str(raised.value)
    assert sentence.startswith("some.json: is not valid JSON (") and words in sentence
    assert len(sentence) < 200 and sentence.isprintable()


def test_what_is_read():
    content = {"a": [1, -(2**63) + 1, 2.5, 1e-400, True, None, "\u00e9\U0001f600"], "b": {"a": {}}}
    assert parse_json(json.dumps(content), "x") == {**content, "a": [*content["a"]]}
    assert parse_json(b"\xef\xbb\xbf[1]", "x") == [1]
    assert parse_json(b"[" * 60 + b"]" * 60, "x")
    numbers = parse_json(b"[NaN, -Infinity]", "x", nan=True)
    assert math.isnan(numbers[0]) and numbers[1] == -math.inf


def test_what_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is not a file but a folder, a pipe"):
        read_json(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # nobody writes: who waited would wait for ever
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="is not a file but a folder, a pipe"):
            read_json(path)
    with pytest.raises(InputError, match="is no path of a file"):
        read_json("a\0b")
    with open(tmp_path / "huge.json", "wb") as file:
        file.truncate(1 << 32)  # sparse
    with pytest.raises(InputError, match="must not hold more than 34 MB"):
        read_json(tmp_path / "huge.json")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match="cannot be read"):
        read_json(tmp_path / "loop")


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": (1, math.nan), "b": [math.inf, "x"]})
    assert read_json(path) == {"a": [1, None], "b": [None, "x"]}


def test_messages_are_one_line_that_a_screen_can_show():
    assert str(InputError("a\nb\x1b[2J\u202e \u00e9")) == "a\\nb\\x1b[2J\\u202e \u00e9"
    sentence = str(InputError("x" * 10**6 + " at the end."))
    assert len(sentence) < 2100 and sentence.endswith(" at the end.")
