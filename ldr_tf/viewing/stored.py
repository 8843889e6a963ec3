"""A registration as a folder of results holds it."""

import dataclasses
import os

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.files import file_state
from ldr_tf.imaging.dicom import UNEVEN
from ldr_tf.registration.pair import SIDES, PairFiles, read_pair

_SHOWN = ("fixed", "moving", "fixed_labels", "fixed_points", "moving_points")
"""Of the inputs; the moving labels lie in the folder, warped."""


@dataclasses.dataclass(frozen=True)
class Stored:
    """What `read_stored` found.

    Attributes:
      parts: arguments of `collect`, by name.
      remarks: sentences about what is missing or was changed since.
    """

    parts: dict
    remarks: tuple[str, ...]


def read_stored(folder, summary, moved=None):
    """Reads a registration's results, and the scans that its summary names.

    A relative path is sought in the working folder, then in the folder of results and those above
    it. Labels and landmarks that are gone are left out, with a remark.

    Args:
      folder: the folder of results.
      summary: what its summary.json says.
      moved: {"fixed": path, "moving": path}, where a scan lies by now; or None.

    Returns:
      A Stored.

    Raises:
      InputError: names a file that is missing, cannot be read, or lies on another grid; a scan that
        is gone; a summary that names no scans.
    """
    recorded, settings = _mapping(summary, "inputs"), _mapping(summary, "settings")
    paths, remarks = {}, []
    for name in _SHOWN:
        paths[name] = (moved or {}).get(name) or _found(recorded.get(name), folder)
        if paths[name] is None and name in SIDES:
            raise InputError(_gone(name, recorded.get(name), folder))
        if paths[name] is None and recorded.get(name):
            what = name.replace("_", " ").replace("points", "landmarks")
            remarks.append(f"{recorded[name]}: is not there any more; {what} are not shown.")
    if paths["fixed_points"] is None or paths["moving_points"] is None:
        paths["fixed_points"] = paths["moving_points"] = None
    remarks += _changed(paths, recorded, _mapping(summary, "input_files"))
    pair = read_pair(
        PairFiles(output=folder, **paths),
        _one_of(imaging.POINT_SPACES, settings.get("points_space"), "LPS"),
        settings["series"] if isinstance(settings.get("series"), str) else None,
        _one_of(UNEVEN, settings.get("uneven"), "refuse"),
    )
    displacement = imaging.read_displacement(os.path.join(folder, "displacement.nii.gz"))
    warped = imaging.read_image(os.path.join(folder, "warped.nii.gz"))
    labels = os.path.join(folder, "warped_labels.nii.gz")
    labels = imaging.read_labels(labels) if recorded.get("moving_labels") else None
    for name, image in (("displacement", displacement), ("warped", warped), ("labels", labels)):
        if image is not None and not imaging.same_grid(image, pair.fixed):
            raise InputError(
                f"{paths['fixed']}: is not the scan that {folder} was registered to; the grid of "
                f"its {name} is another one."
            )
    affine = imaging.read_transform(os.path.join(folder, "affine.tfm"))
    if not affine.IsLinear():
        raise InputError(f"{folder}/affine.tfm: must be a linear transform.")
    parts = {
        "pair": pair,
        "displacement": displacement,
        "warped": warped,
        "warped_labels": labels,
        "affine": affine,
    }
    return Stored(parts, tuple(remarks))


def _found(path, folder):
    """Returns where a file lies that a summary names, None where it is not there."""
    if not isinstance(path, str) or not path:
        return None
    places, above = [path], os.path.abspath(folder)
    while not os.path.isabs(path):
        places.append(os.path.join(above, path))
        if os.path.dirname(above) == above:
            break
        above = os.path.dirname(above)
    return next((place for place in places if os.path.exists(place)), None)


def _gone(side, path, folder):
    if not isinstance(path, str) or not path:
        return f"{folder}: its summary.json names no {side} scan, as that of ldr-register does."
    return f"{path}: the {side} scan of {folder} is not there; where it lies now must be given."


def _changed(paths, recorded, states):
    found = []
    for name, path in paths.items():
        state = states.get(name)
        if path and path == recorded.get(name) and state and state != file_state(path):
            found.append(f"{path}: was written anew since the registration.")
    return found


def _mapping(summary, name):
    part = summary.get(name)
    return part if isinstance(part, dict) else {}


def _one_of(choices, value, default):
    return value if isinstance(value, str) and value in choices else default
