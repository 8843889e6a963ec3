"""Scans in and out, and the grids between which they travel; SimpleITK does the work.

Files come in through `read_scan`, `read_labels`, `read_image` and leave through `write_image`.
`network_grid` and `prepare_image` make a network's input of a scan, in training and in use alike.
`flow_to_displacement` and `displacement_on` carry a network's flow back to the scan.
`align` finds the affine step, `invert` the way back; landmarks are `Points`.
"""

from ldr_tf.imaging.affine import METHODS as AFFINE_METHODS
from ldr_tf.imaging.affine import Alignment, align
from ldr_tf.imaging.arrays import as_float32, to_array, to_image
from ldr_tf.imaging.endings import SCAN_ENDINGS, scan_stem, split_ending
from ldr_tf.imaging.fields import (
    apply_displacement,
    apply_transform,
    displacement_on,
    displacement_to_flow,
    displacement_transform,
    flow_to_displacement,
    place_on,
    with_affine,
)
from ldr_tf.imaging.foreground import crop_box, foreground_box
from ldr_tf.imaging.grid import Grid, grid_of, orientation_of, same_grid
from ldr_tf.imaging.intensity import foreground_threshold, intensity_range, is_ct, scale_intensity
from ldr_tf.imaging.inverse import invert
from ldr_tf.imaging.labels import looks_like_labels
from ldr_tf.imaging.landmark_files import ENDINGS as POINT_ENDINGS
from ldr_tf.imaging.landmark_files import SPACES as POINT_SPACES
from ldr_tf.imaging.landmark_files import read_points, write_points
from ldr_tf.imaging.padding import background_value, is_padding, padding_value, without_padding
from ldr_tf.imaging.points import (
    Points,
    check_inside,
    displacement_field,
    keep_inside,
    match_points,
    only_inside,
    transform_points,
)
from ldr_tf.imaging.reading import read_image, read_labels, read_scan
from ldr_tf.imaging.resampling import (
    inside_scan,
    prepare_image,
    resample,
    resample_scan,
)
from ldr_tf.imaging.slabs import ImageOfSlabs, array_view, in_threads, slab_of, slabs
from ldr_tf.imaging.transform_files import read_displacement, read_transform
from ldr_tf.imaging.working_grid import foreground_grid, is_fine, network_grid, refinement_grid
from ldr_tf.imaging.writing import (
    WRITABLE,
    check_file_place,
    check_output,
    write_image,
    write_transform,
)

__all__ = [
    "AFFINE_METHODS",
    "POINT_ENDINGS",
    "POINT_SPACES",
    "SCAN_ENDINGS",
    "WRITABLE",
    "Alignment",
    "Grid",
    "ImageOfSlabs",
    "Points",
    "align",
    "apply_displacement",
    "apply_transform",
    "array_view",
    "as_float32",
    "background_value",
    "check_file_place",
    "check_inside",
    "check_output",
    "crop_box",
    "displacement_field",
    "displacement_on",
    "displacement_to_flow",
    "displacement_transform",
    "flow_to_displacement",
    "foreground_box",
    "foreground_grid",
    "foreground_threshold",
    "grid_of",
    "in_threads",
    "inside_scan",
    "intensity_range",
    "invert",
    "is_ct",
    "is_fine",
    "is_padding",
    "keep_inside",
    "looks_like_labels",
    "match_points",
    "network_grid",
    "only_inside",
    "orientation_of",
    "padding_value",
    "place_on",
    "prepare_image",
    "read_displacement",
    "read_image",
    "read_labels",
    "read_points",
    "read_scan",
    "read_transform",
    "refinement_grid",
    "resample",
    "resample_scan",
    "same_grid",
    "scale_intensity",
    "scan_stem",
    "slab_of",
    "slabs",
    "split_ending",
    "to_array",
    "to_image",
    "transform_points",
    "with_affine",
    "without_padding",
    "write_image",
    "write_points",
    "write_transform",
]
