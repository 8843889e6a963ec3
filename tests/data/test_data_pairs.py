"""Pairs known by hand (the rules of RCN's liver.py and brain.py), and purity of training's."""

import collections

import pytest

from data.manifest import Manifest
from data.pairs import list_pairs, spread_pairs, training_pairs
from ldr_tf.errors import InputError


def manifest_of(subsets, schemes=None, **others):
    return Manifest("set.json", {"/": "x.h5"}, subsets, schemes or {}, (16, 16, 16), **others)


ABC = manifest_of({"s": ("a", "b", "c"), "four": ("p", "q", "r", "s"), "five": tuple("vwxyz")})


def test_all_ordered_pairs_in_the_order_of_the_original():
    assert list_pairs(ABC, "s") == [
        ("a", "b"),
        ("a", "c"),
        ("b", "a"),
        ("b", "c"),
        ("c", "a"),
        ("c", "b"),
    ]


def test_paired_are_disjoint_neighbours_both_ways():
    expected = [("p", "q"), ("q", "p"), ("r", "s"), ("s", "r")]
    assert list_pairs(ABC, "four", paired=True) == expected
    assert list_pairs(ABC, "five", paired=True) == [("v", "w"), ("w", "v"), ("x", "y"), ("y", "x")]


def test_an_atlas_is_fixed_and_each_scan_moves():
    brain = manifest_of({"s": ("b", "a")}, atlas="T", image_type="brain")
    assert list_pairs(brain, "s") == [("T", "b"), ("T", "a")]
    assert list_pairs(brain, "s", paired=True) == [("T", "b"), ("T", "a")]


def test_subsets_of_a_scheme_follow_each_other():
    both = manifest_of(
        {"u": ("a", "b"), "v": ("c", "d"), "w": ("e", "f")}, {"2": {"v": 0.5, "w": 0, "u": 0.5}}
    )
    assert list_pairs(both, "2") == [("c", "d"), ("d", "c"), ("a", "b"), ("b", "a")]


@pytest.mark.parametrize("function", [list_pairs, lambda m, s: training_pairs(m, s, 1, 0, 0)])
def test_too_small_or_unknown(function):
    small = manifest_of({"one": ("a",), "none": ()})
    with pytest.raises(InputError, match=r"'one' must have at least two scans .* it has 1"):
        function(small, "one")
    with pytest.raises(InputError, match=r"'none' must have at least one scan .* it has 0"):
        function(manifest_of({"none": ()}, atlas="T"), "none")
    with pytest.raises(InputError, match="no scheme or subset 'two'"):
        function(small, "two")


def epoch(manifest, subset, batch, seed, number):
    """The pairs of one epoch of a one-subset scheme."""
    count = len(list_pairs(manifest, subset))
    assert count % batch == 0
    steps = range(number * count // batch, (number + 1) * count // batch)
    return [pair for step in steps for pair in training_pairs(manifest, subset, batch, seed, step)]


@pytest.mark.parametrize("subset", ["s", "four", "five"])
def test_every_epoch_is_a_permutation_of_all_pairs(subset):
    expected = sorted(list_pairs(ABC, subset))
    epochs = [epoch(ABC, subset, 2, 7, number) for number in range(3)]
    assert all(sorted(pairs) == expected for pairs in epochs)
    assert len(set(map(tuple, epochs))) == 3
    assert epoch(ABC, subset, 2, 8, 0) != epochs[0]


def test_atlas_epochs():
    brain = manifest_of({"s": tuple("abcdef")}, atlas="T")
    first, second = epoch(brain, "s", 3, 1, 0), epoch(brain, "s", 3, 1, 1)
    assert sorted(first) == sorted(second) == [("T", name) for name in "abcdef"]
    assert first != second


def test_paired_training():
    pairs = [training_pairs(ABC, "four", 1, 3, step, paired=True)[0] for step in range(4)]
    assert sorted(pairs) == [("p", "q"), ("q", "p"), ("r", "s"), ("s", "r")]


def test_pure_function_of_its_arguments():
    steps = [5, 0, 11, 5]
    first = [training_pairs(ABC, "five", 3, 2, step) for step in steps]
    again = [training_pairs(ABC, "five", 3, 2, step) for step in reversed(steps)][::-1]
    assert first == again
    # Batches are cut from one sequence: two of 3 hold the same pairs as three of 2.
    by_two = [pair for step in range(3) for pair in training_pairs(ABC, "five", 2, 2, step)]
    assert [p for step in range(2) for p in training_pairs(ABC, "five", 3, 2, step)] == by_two


MIXED = {"u": tuple("abc"), "v": tuple("wxyz")}


def members(pairs):
    return collections.Counter("u" if pair[0] in MIXED["u"] else "v" for pair in pairs)


def test_a_batch_holds_the_rounded_fraction_of_each_subset():
    mixed = manifest_of(MIXED, {"1": {"u": 0.7, "v": 0.3}}, image_type="liver")
    seen = {"u": [], "v": []}
    for step in range(12):
        pairs = training_pairs(mixed, "1", 4, 5, step)  # round(2.8) = 3, round(1.2) = 1
        assert members(pairs) == {"u": 3, "v": 1}
        assert all((a in MIXED["u"]) == (b in MIXED["u"]) for a, b in pairs)
        seen["u"] += pairs[:3]
        seen["v"] += pairs[3:]
    # Each subset runs through its own epochs: 36 / 6 and 12 / 12.
    assert set(collections.Counter(seen["u"]).values()) == {6}
    assert set(collections.Counter(seen["v"]).values()) == {1}


@pytest.mark.parametrize(
    ("others", "batch"),
    [({"image_type": "brain"}, 4), ({"image_type": "liver"}, 1), ({"atlas": "T"}, 2)],
)
def test_drawn_by_fraction_for_brains_and_where_rounding_does_not_fill(others, batch):
    # At batch 1 both shares round(0.5) are 0.
    schemes = {"1": {"u": 0.5, "v": 0.5}}
    mixed = manifest_of(MIXED, schemes, **others)
    steps = 1000 // batch
    pairs = [p for step in range(steps) for p in training_pairs(mixed, "1", batch, 1, step)]
    moving = collections.Counter("u" if p[1] in MIXED["u"] else "v" for p in pairs)
    assert moving == {"u": 500, "v": 500}
    first = ["u" if p[1] in MIXED["u"] else "v" for p in pairs[:40]]
    assert first != ["u", "v"] * 20  # drawn, not dealt in turn
    counts = collections.Counter(p for p in pairs if p[1] in MIXED["v"])
    assert max(counts.values()) - min(counts.values()) <= 1  # epochs hold within the subset


def test_spread_pairs_represent_every_scan_and_subset():
    """Of 22 scans, 22 pairs have each scan once on either side; two subsets take turns."""
    scans = tuple(f"s{index}" for index in range(22))
    many = manifest_of({"many": scans, "few": ("p", "q")}, {"2": {"many": 0.9, "few": 0.1}})
    pairs = spread_pairs(many, "many", 22, seed=3)
    for side in range(2):
        assert sorted(pair[side] for pair in pairs) == sorted(scans)
    assert all(fixed != moving for fixed, moving in pairs)
    assert spread_pairs(many, "many", 22, seed=3) == pairs != spread_pairs(many, "many", 22, seed=4)
    both = spread_pairs(many, "2", 6, seed=3)
    assert [pair[0] in "pq" for pair in both] == [False, True, False, True, False, False]
    everything = spread_pairs(many, "2", 10**6, seed=3)
    assert sorted(everything) == sorted(list_pairs(many, "2"))
