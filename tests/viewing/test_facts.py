import math

import pytest

from ldr_tf.viewing import facts

SUMMARY = {
    "inputs": {"fixed": "a/F.nii.gz", "moving": "b/series/", "fixed_labels": None},
    "notices": [
        {"code": "x", "text": "The header was repaired.", "level": "notice"},
        {"code": "y", "text": "It may be wrong.", "level": "warning"},
    ],
    "similarity": {"before": 0.25, "after": 0.9288},
    "dice": {"mean_before": 0.5, "mean_after": 0.75, "before": {"3": 0.5}, "after": {"3": 0.75}},
    "landmarks_mm": None,
    "folds_percent": 0.0016,
    "seconds": {"read": 1.0, "network": 2.25},
    "model": {"name": "brain-t1"},
}


def cells(title, summary=SUMMARY):
    return {
        row[0]: row[1:]
        for table in facts.tables(summary)
        if table["title"] == title
        for row in table["rows"]
    }


def test_warnings_come_first():
    assert [entry["level"] for entry in facts.notices(SUMMARY)] == ["warning", "notice"]
    assert facts.notices(SUMMARY)[0]["text"] == "It may be wrong."


def test_figures_before_and_after():
    assert facts.title(SUMMARY) == "series registered to F.nii.gz"
    result = cells("Result")
    assert result["correlation"] == ["0.250", "0.929"]
    assert result["mean Dice of 1 labels"] == ["0.500", "0.750"]
    assert result["folds, % of voxels"] == ["", "0.0016"]
    assert not any("landmarks" in name for name in result)
    assert cells("Dice of each label") == {"3": ["0.500", "0.750"]}
    assert cells("How") == {"model": ["brain-t1"], "seconds": ["3.2"]}
    assert cells("How", {**SUMMARY, "model": None})["model"] == ["none"]
    unfolded = {**SUMMARY, "unfolding": {"folds_any_percent": 0.125, "changed_percent": 1.0}}
    assert cells("How", unfolded)["unfolded"] == ["0.1250 % of the voxels"]


@pytest.mark.parametrize("junk", [None, 5, "text", [1, {}], {"before": 3, "after": [2]}, math.nan])
def test_what_is_of_another_form_is_left_out(junk):
    for name in SUMMARY:
        summary = {**SUMMARY, name: junk}
        for table in facts.tables(summary):
            assert all(isinstance(cell, str) for row in table["rows"] for cell in row)
        assert all(isinstance(entry["text"], str) for entry in facts.notices(summary))
        assert isinstance(facts.title(summary), str)


def test_long_tables_end():
    many = {str(n): 0.5 for n in range(3000)}
    (table,) = facts.tables({"dice": {"before": many, "after": many}})[-1:]
    assert len(table["rows"]) == 2000 and "first 2000 of 3000" in table["title"]
