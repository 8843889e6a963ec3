"""Records from and to dictionaries: what is refused, in which words."""

import dataclasses
import json
from typing import Optional

import pytest

from ldr_tf.config import CHANGEABLE, NetworkConfig, RunConfig, TrainingConfig
from ldr_tf.errors import InputError
from ldr_tf.records import differences, from_dict, to_dict


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
    run = RunConfig(network=NetworkConfig(cascades=3), training=TrainingConfig(flip_axis=0))
    assert from_dict(RunConfig, json.loads(json.dumps(to_dict(run)))) == run


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
    ],
)
def test_refusals_name_the_field(values, words):
    with pytest.raises(InputError, match=words):
        from_dict(Outer, values)


def test_differences_are_listed_by_field():
    other = dataclasses.replace(Outer(), count=2, inner=Inner(rate=1.0))
    assert differences(Outer(), Outer()) == []
    assert differences(Outer(), other) == [("count", 1, 2), ("inner.rate", 0.5, 1.0)]


def test_what_may_change_exists():
    fields = {f"training.{field.name}" for field in dataclasses.fields(TrainingConfig)}
    assert fields >= CHANGEABLE
    assert not CHANGEABLE & {"training.seed", "training.batch_size", "training.precision"}


def test_critic_steps_and_parts_exclude_each_other():
    values = {"training": {"batch_size": 2, "accumulate": 2}, "distillation": {"critic_steps": 2}}
    with pytest.raises(InputError, match=r"distillation\.critic_steps must be 1"):
        from_dict(RunConfig, values)
