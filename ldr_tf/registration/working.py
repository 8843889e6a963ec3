"""Two scans on the grid on which they are registered, and whether a model is meant for them."""

import dataclasses

import numpy as np

from ldr_tf import imaging
from ldr_tf.config import ImageConfig
from ldr_tf.errors import InputError

_FULL_SHARE = 0.45
_MARGIN_MM = 12.0
_STRETCHED = 3


@dataclasses.dataclass(frozen=True)
class Frame:
    """Where work on a fixed scan takes place, known before anything is computed.

    Attributes:
      grid: the Grid on which a model, or the refinement's first steps without one, see the scans.
      image_config: the ImageConfig that says how intensities are scaled.
      box: first and last index, in the fixed scan, of its head or body.
    """

    grid: imaging.Grid
    image_config: ImageConfig
    box: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, fixed, model):
        """Returns the Frame of a scan for a RegistrationModel, or None."""
        box = imaging.foreground_box(fixed)
        if model is None:
            return cls(imaging.foreground_grid(fixed, box), ImageConfig(), box)
        config, size = model.image, model.network.image_size
        return cls(imaging.network_grid(fixed, config, size, model.free_size, box=box), config, box)


@dataclasses.dataclass(frozen=True)
class Working(Frame):
    """A Frame with two scans, prepared, on its grid.

    Attributes:
      fixed, moving: float32 [x, y, z], whole numbers 0..255, the moving scan after the affine step.
      placed: stage -> the moving scan as it lies then, NaN outside it: "before" any step and, where
        there was one, after the step "affine".
    """

    fixed: np.ndarray
    moving: np.ndarray
    placed: dict


def prepare(fixed, moving, alignment, model, frame, notices):
    """Prepares two scans for a model, or for work without one.

    Args:
      fixed, moving: SimpleITK images.
      alignment: the affine step, an Alignment.
      model: a RegistrationModel, or None.
      frame: the Frame of the fixed scan.
      notices: Notices; told where the fixed scan is unlike those that the model was trained on.

    Returns:
      A Working.

    Raises:
      InputError: nothing of a scan is seen on the grid.
    """
    grid, config, box = frame.grid, frame.image_config, frame.box
    if model is not None:
        _tell_misfits(fixed, box, grid, model, notices)
    affine = alignment.transform
    volumes = [
        imaging.prepare_image(fixed, grid, config),
        imaging.prepare_image(moving, grid, config, affine),
    ]
    for volume, name in zip(volumes, ("fixed", "moving")):
        if volume.min() == volume.max():
            raise InputError(
                f"the {name} scan shows nothing where the fixed scan lies in physical space; the "
                "two scans must overlap, or their centres be brought together by the affine step "
                "(moments)."
            )
    placed = {}
    if alignment.method != "none":
        unaligned = imaging.prepare_image(moving, grid, config)
        placed["before"] = _where_known(unaligned, moving, grid)
    placed["affine" if placed else "before"] = _where_known(volumes[1], moving, grid, affine)
    return Working(grid, config, box, *volumes, placed)


def _where_known(volume, scan, grid, transform=None):
    inside = imaging.inside_scan(scan, grid, transform)
    return np.where(inside, volume, np.float32(np.nan))


def _tell_misfits(fixed, box, grid, model, notices):
    """Warns where a scan is of another size than those that a model knows."""
    if model.image.spacing is None:
        spacing = np.array(grid.spacing)
        if spacing.max() > _STRETCHED * spacing.min():
            notices.warning(
                "voxels-stretched",
                "the model stretches any scan onto its grid; voxels of "
                f"{_by(spacing, '.1f')} mm are far from those of a whole head or body.",
            )
        return
    source = imaging.grid_of(fixed)
    across = np.abs(np.reshape(source.direction, (3, 3)).T @ np.reshape(grid.direction, (3, 3)))
    extent = ((box[1] - box[0] + 1) * source.spacing) @ np.rint(across)
    known = np.multiply(model.network.image_size, model.image.spacing)
    if (extent > known + _MARGIN_MM).any() or (extent < _FULL_SHARE * known).all():
        notices.warning(
            "size-unlike-training",
            f"the fixed scan's head or body takes {_by(extent)} mm, the model was trained on "
            f"{_by(known)} mm: it may be for another anatomy.",
        )


def _by(numbers, form=".0f"):
    return "x".join(format(float(number), form) for number in numbers)
