"""The best, the median and the worst pair of a method, as pictures and as pages to look at."""

import math
import os
import types

import numpy as np
import SimpleITK as sitk

from experiments.evaluation.tables import plain_name
from experiments.progress import Progress
from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.evaluation.figures import HIGHER, figure_of
from ldr_tf.files import atomic_path
from ldr_tf.metrics.jacobian import jacobian_determinant
from ldr_tf.registration.pair import SIDES, ScanPair
from ldr_tf.registration.preview import write_preview
from ldr_tf.viewing import collect, write_page

_FOLDER, _PAGE = "pictures", ".html"
_QUALITY = 88
_RANKED_BY = ("dice", "landmark", "correlation")


def chosen_rows(rows):
    """Returns [(title, row)]: best, median and worst of a method's rows, each row once.

    By Dice, or where no row has it by the landmarks' error, or by correlation.
    """
    keys = [key for key in _RANKED_BY if not all(math.isnan(row[key]) for row in rows)]
    if not keys:
        return []
    key, figure = keys[0], figure_of(keys[0])
    known = [row for row in rows if not math.isnan(row[key])]
    ranked = sorted(known, key=lambda row: row[key], reverse=figure.better == HIGHER)
    picks = {0: "best", len(ranked) - 1: "worst"}
    if len(ranked) == 1:
        picks = {0: "only"}
    elif len(ranked) > 2:
        picks = {0: "best", (len(ranked) - 1) // 2: "median", len(ranked) - 1: "worst"}
    return [
        (f"{word} pair, {figure.called()} {ranked[i][key]:.3f}", ranked[i])
        for i, word in picks.items()
    ]


def draw_pictures(groups, cases, methods, folder):
    """Draws the chosen pairs of every method but the identity, once: they are kept in `folder`.

    The pairs are registered again for it; nothing but figures was kept of them.

    Args:
      groups: {method: rows}.
      cases, methods: those of the evaluation.
      folder: the evaluation's output.

    Returns:
      {method: [(title, fixed, moving, path of a JPEG)]}; the page of a pair is beside its picture,
      see `page_of`.
    """
    os.makedirs(os.path.join(folder, _FOLDER), exist_ok=True)
    by_name = {method.name: method for method in methods}
    wanted = [
        (name, title, row)
        for name, rows in groups.items()
        if name != "identity"
        for title, row in chosen_rows(rows)
    ]
    found, kept = {}, set()
    with Progress(len(wanted), "picture") as progress:
        for name, title, row in wanted:
            path = os.path.join(folder, _FOLDER, _file_name(row))
            kept.update(map(os.path.basename, (path, page_of(path))))
            if not (os.path.exists(path) and os.path.exists(page_of(path))):
                index = cases.ids.index((row["fixed"], row["moving"]))
                try:
                    _draw(cases.load(index), by_name[name], row, path)
                except InputError as error:
                    progress.write(f"no picture of {row['fixed']}, {row['moving']}: {error}")
                    continue
            found.setdefault(name, []).append((title, row["fixed"], row["moving"], path))
            progress.advance(name)
    for name in os.listdir(os.path.join(folder, _FOLDER)):
        if name.endswith((".jpg", _PAGE)) and name not in kept:
            os.remove(os.path.join(folder, _FOLDER, name))
    return found


def page_of(picture):
    """Returns the path of the page that belongs to a picture."""
    return os.path.splitext(picture)[0] + _PAGE


def _file_name(row):
    words = [plain_name(row[part]) for part in ("method", "fixed", "moving")]
    return "_".join([*words, row["key"][:8]]).replace(" ", "") + ".jpg"


def _draw(case, method, row, path):
    outcome = method(case)
    jacobian = np.pad(jacobian_determinant(outcome.flow), [(0, 1)] * 3, mode="edge")
    result = types.SimpleNamespace(
        displacement=imaging.flow_to_displacement(outcome.flow, case.grid),
        jacobian=imaging.to_image(jacobian, case.grid),
        correlation_before=row["correlation_before"],
        correlation_after=row["correlation"],
        folds_percent=row["folds_percent"],
    )
    pair = _scan_pair(case)
    labels = outcome.warped_labels
    if labels is not None:
        labels = imaging.to_image(labels, case.grid)
    elif pair.moving_labels is not None:
        labels = imaging.apply_displacement(pair.moving_labels, result.displacement, "nearest")
    warped = imaging.to_image(outcome.warped, case.grid)
    content = collect(pair, result.displacement, warped, labels)
    write_page(page_of(path), content, _summary(row))
    with atomic_path(path) as temporary:
        drawn = f"{temporary}.png"
        write_preview(drawn, case.scans["fixed"], case.scans["moving"], result)
        # A tenth of the PNG's size: a report holds many.
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(drawn))[..., :3]
        picture = sitk.GetImageFromArray(np.ascontiguousarray(pixels), isVector=True)
        sitk.WriteImage(picture, temporary, useCompression=True, compressionLevel=_QUALITY)


def _scan_pair(case):
    """Returns the scans of a case with labels, and the landmarks that both have."""
    pair, known = case.pair, {**case.scans}
    if pair.fixed_labels is not None:
        known["fixed_labels"] = imaging.to_image(pair.fixed_labels, case.grid)
    if pair.has_points:
        present = pair.points_present
        if present is None:
            present = (np.minimum(pair.fixed_points, pair.moving_points) >= 0).all(axis=1)
        names = tuple(str(number) for number in np.flatnonzero(present) + 1)
        for side in SIDES:
            places = case.grid.points(getattr(pair, f"{side}_points")[present])
            known[f"{side}_points"] = imaging.Points(names, places)
    return ScanPair(**known)


def _summary(row):
    """Returns a row of an evaluation in the form of a registration's summary.json."""
    return {
        "inputs": {"fixed": row["fixed"], "moving": row["moving"]},
        "model": {"name": row["method"]},
        "similarity": {"before": row["correlation_before"], "after": row["correlation"]},
        "folds_percent": row["folds_percent"],
        "folds_any_percent": row["folds_any_percent"],
        "std_jacobian": row["std_jacobian"],
        "dice": {"mean_after": row["dice"]},
        "seconds": {"registration": row["seconds"]},
    }
