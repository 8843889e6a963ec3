"""Records from and to dictionaries: what is refused, in which words."""

import dataclasses
import json
from typing import Optional

import pytest

from ldr_tf.errors import InputError
from ldr_tf.records import (
    Record,
    describe,
    differences,
    from_dict,
    from_settings,
    merged,
    setting,
    to_dict,
)


@dataclasses.dataclass(frozen=True)
class Inner:
    size: tuple[int, int] = (1, 2)
    rate: float = 0.5


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str = "a"
    count: int = 1
    flag: bool = False
    limit: Optional[int] = None
    inner: Inner = Inner()


def test_round_trip_through_json():
    record = Outer("b", 3, True, 7, Inner((4, 5), 0.25))
    assert from_dict(Outer, json.loads(json.dumps(to_dict(record)))) == record
    assert from_dict(Outer, {}) == Outer()
    assert from_dict(Outer, {"inner": {"rate": 2}}).inner.rate == 2.0


@pytest.mark.parametrize(
    "values, words",
    [
        ({"nmae": "x"}, r"unknown field nmae; known: count, flag"),
        ({"inner": {"siez": 1}}, r"unknown field inner\.siez"),
        ({"count": 1.5}, r"count must be an integer, not 1\.5"),
        ({"count": True}, r"count must be an integer, not True"),
        ({"name": 3}, r"name must be a text, not 3"),
        ({"inner": {"size": [1]}}, r"inner\.size must be a list of 2 numbers"),
        ({"inner": {"size": [1, "x"]}}, r"inner\.size must be an integer"),
        ({"inner": 3}, "inner must be an object"),
        ([], "the config must be an object"),
        ({"inner": {"rate": float("inf")}}, r"inner\.rate must be a finite number"),
        ({"inner": {"rate": float("nan")}}, r"inner\.rate must be a finite number"),
        ({"inner": {"rate": 10**400}}, r"inner\.rate must be a finite number"),
    ],
)
def test_refusals_name_the_field(values, words):
    with pytest.raises(InputError, match=words):
        from_dict(Outer, values)


def test_differences_are_listed_by_field():
    other = dataclasses.replace(Outer(), count=2, inner=Inner(rate=1.0))
    assert differences(Outer(), Outer()) == []
    assert differences(Outer(), other) == [("count", 1, 2), ("inner.rate", 0.5, 1.0)]


@dataclasses.dataclass(frozen=True)
class Declared(Record):
    PREFIX = "declared."

    mode: str = setting("slow", "how it goes", choices=("slow", "fast"))
    count: int = setting(1, "how many", least=1, most=9)
    share: float = setting(0.5, "how much", above=0.0, changeable=True)
    axis: Optional[int] = setting(None, "along which", choices=(0, 1, 2))
    size: Optional[tuple[int, int, int]] = setting(None, "voxels", least=8)


@dataclasses.dataclass(frozen=True)
class Whole(Record):
    name: str = setting("x", "its name")
    declared: Declared = Declared()


@pytest.mark.parametrize(
    "values, words",
    [
        ({"mode": "quick"}, r"declared\.mode must be one of slow, fast, not 'quick'"),
        ({"count": 0}, r"declared\.count must be at least 1, not 0"),
        ({"count": 10}, r"declared\.count must be at most 9, not 10"),
        ({"share": 0.0}, r"declared\.share must be above 0\.0, not 0\.0"),
        ({"share": float("nan")}, r"declared\.share must be above"),
        ({"axis": 3}, r"declared\.axis must be one of 0, 1, 2, not 3"),
        ({"size": (8, 8, 7)}, r"declared\.size must be at least 8"),
    ],
)
def test_a_record_is_held_to_its_declaration(values, words):
    with pytest.raises(InputError, match=words):
        Declared(**values)


def test_settings_are_parsed_by_the_type_of_their_field():
    texts = ["declared.count=3", "declared.share = 0.25", "name=a=b", "declared.size=8,16,24"]
    values = from_settings(Whole, [*texts, "declared.axis=none", "declared.count=4"])
    assert from_dict(Whole, values) == Whole("a=b", Declared("slow", 4, 0.25, None, (8, 16, 24)))
    assert from_settings(Whole, ["declared.size=16"]) == {"declared": {"size": [16, 16, 16]}}
    assert from_settings(Outer, ["flag=true"]) == {"flag": True}
    assert from_settings(Outer, ["flag=no"]) == {"flag": False}


@pytest.mark.parametrize(
    "text, words",
    [
        ("declared.count", "is FIELD=VALUE"),
        ("declared.count=many", r"declared\.count must be an integer, not 'many'"),
        ("count=3", r"unknown setting 'count'; did you mean declared\.count\?"),
        ("declared.shares=3", r"did you mean declared\.share"),
        ("zzz=1", r"unknown setting 'zzz'; known: name, declared\.mode, "),
        ("declared.size=8,x,8", r"declared\.size must be an integer, not 'x'"),
        ("declared=3", "unknown setting 'declared'"),
    ],
)
def test_settings_that_say_nothing_are_refused(text, words):
    with pytest.raises(InputError, match=words):
        from_settings(Whole, [text])


def test_a_description_has_every_field_in_its_place():
    rows = {row.name: row for row in describe(Whole)}
    assert list(rows)[:3] == ["name", "declared.mode", "declared.count"]
    assert rows["declared.share"].default == 0.5 and rows["declared.share"].about["changeable"]
    assert rows["declared.mode"].about["choices"] == ("slow", "fast")


def test_the_second_of_two_layers_wins():
    first, second = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 9}, "d": {"e": 4}}
    assert merged(first, second) == {"a": {"b": 9, "c": 2}, "d": {"e": 4}}
    assert first == {"a": {"b": 1, "c": 2}, "d": 3}
