"""A registration's summary as a page shows it: warnings first, then tables of short texts.

A summary may come from a file that anyone has written: what is not of the form that
`ldr-register` gives it is left out.
"""

import math
import os

_MOST_ROWS = 2000
_LONGEST = 2000


def title(summary):
    """Returns a heading that names the two scans, as far as the summary does."""
    inputs = _part(summary, "inputs")
    fixed, moving = (_base_name(inputs.get(side)) for side in ("fixed", "moving"))
    return f"{moving} registered to {fixed}" if fixed and moving else "A registration"


def notices(summary):
    """Returns what was said of the registration, warnings first: [{"level", "text"}]."""
    found = summary.get("notices")
    found = [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    levels = [
        {"level": "warning" if entry.get("level") == "warning" else "notice", "text": text}
        for entry in found
        for text in [_text(entry.get("text"))]
        if text
    ]
    return sorted(levels, key=lambda entry: entry["level"] != "warning")


def tables(summary):
    """Returns the tables of a summary: [{"title", "open", "head", "rows"}], texts in all cells.

    Args:
      summary: as summary.json has it; parts may be missing.
    """
    dice, landmarks = _part(summary, "dice"), _part(summary, "landmarks_mm")
    of_labels, of_points = _before_and_after(dice, 3), _before_and_after(landmarks, 2)
    found = [
        _table("Result", _result(summary, len(of_labels), len(of_points)), ("", "before", "after")),
        _table("How", _how(summary)),
        _table("Dice of each label", of_labels, ("label", "before", "after"), False),
        _table("Landmarks, mm from where they belong", of_points, ("", "before", "after"), False),
        _table("Files", _texts(_part(summary, "inputs")), (), False),
        _table("Seconds", _numbers(_part(summary, "seconds"), 2), (), False),
        _table("Versions", _texts(_part(summary, "versions")), (), False),
    ]
    return [table for table in found if table["rows"]]


def _result(summary, labels, points):
    similarity, residual = _part(summary, "similarity"), _part(summary, "inverse_residual_mm")
    rows = [["correlation", *_pair(similarity, "before", "after", 3)]]
    of_labels = f"mean Dice of {labels} labels" if labels else "mean Dice"
    of_points = f"error of {points} landmarks, mm" if points else "error of landmarks, mm"
    rows += [
        [of_labels, *_pair(_part(summary, "dice"), "mean_before", "mean_after", 3)],
        [of_points, *_pair(_part(summary, "landmarks_mm"), "mean_before", "mean_after", 2)],
        ["folds, % of voxels", "", _number(summary.get("folds_percent"), 4)],
        ["folds towards any corner, %", "", _number(summary.get("folds_any_percent"), 4)],
        ["spread of the Jacobian", "", _number(summary.get("std_jacobian"), 3)],
        ["inverse, mean residual, mm", "", _number(residual.get("mean"), 3)],
    ]
    return [row for row in rows if row[1] or row[2]]


def _how(summary):
    affine, settings = _part(summary, "affine"), _part(summary, "settings")
    model, refinement = _part(summary, "model"), _part(summary, "refinement")
    memory, seconds = _part(summary, "memory"), _part(summary, "seconds")
    folded = _number(_part(summary, "unfolding").get("folds_any_percent"), 4)
    spent = [value for value in seconds.values() if _number(value, 1)]
    rows = [
        ["affine step", _text(affine.get("note"))],
        ["model", _text(model.get("name")) or ("none" if "model" in summary else "")],
        ["quality", _text(settings.get("quality"))],
        ["steps of refinement", _number(refinement.get("steps"), 0)],
        ["unfolded", f"{folded} % of the voxels" if folded else ""],
        ["seconds", _number(sum(spent), 1) if spent else ""],
        ["memory, MB", _number(memory.get("peak_mb"), 0)],
    ]
    return [row for row in rows if row[1]]


def _table(title, rows, head=(), is_open=True):
    if len(rows) > _MOST_ROWS:
        title, rows = f"{title} (the first {_MOST_ROWS} of {len(rows)})", rows[:_MOST_ROWS]
    return {"title": title, "open": is_open, "head": list(head), "rows": rows}


def _before_and_after(part, digits):
    before, after = _part(part, "before"), _part(part, "after")
    names = list(dict.fromkeys([*before, *after]))
    rows = [
        [_text(name), *_pair({"b": before.get(name), "a": after.get(name)}, "b", "a", digits)]
        for name in names
    ]
    return [row for row in rows if row[1] or row[2]]


def _pair(part, before, after, digits):
    return [_number(part.get(before), digits), _number(part.get(after), digits)]


def _numbers(part, digits):
    rows = [[_text(name), _number(value, digits)] for name, value in part.items()]
    return [row for row in rows if row[1]]


def _texts(part):
    return [[_text(name), _text(value)] for name, value in part.items() if _text(value)]


def _part(summary, name):
    part = summary.get(name)
    return part if isinstance(part, dict) else {}


def _text(value):
    return value[:_LONGEST] if isinstance(value, str) else ""


def _number(value, digits):
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{value:.{digits}f}" if known and math.isfinite(value) else ""


def _base_name(path):
    return os.path.basename(_text(path).rstrip("/"))
