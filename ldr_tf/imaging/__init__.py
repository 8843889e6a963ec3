"""Scans in and out, and the grids between which they travel; SimpleITK does the work.

Files come in through `read_scan`, `read_labels`, `read_image` and leave through `write_image`.
`network_grid` and `prepare_image` make a network's input of a scan, in training and in use alike.
`flow_to_displacement` and `displacement_on` carry a network's flow back to the scan.
"""

from ldr_tf.imaging.arrays import to_array, to_image
from ldr_tf.imaging.fields import displacement_on, displacement_to_flow, flow_to_displacement
from ldr_tf.imaging.grid import (
    Grid,
    grid_of,
    network_grid,
    orientation_of,
    prepare_image,
    resample,
    same_grid,
)
from ldr_tf.imaging.intensity import foreground_threshold, scale_intensity
from ldr_tf.imaging.reading import (
    WRITABLE,
    check_output,
    read_displacement,
    read_image,
    read_labels,
    read_scan,
    write_image,
)

__all__ = [
    "WRITABLE",
    "Grid",
    "check_output",
    "displacement_on",
    "displacement_to_flow",
    "flow_to_displacement",
    "foreground_threshold",
    "grid_of",
    "network_grid",
    "orientation_of",
    "prepare_image",
    "read_displacement",
    "read_image",
    "read_labels",
    "read_scan",
    "resample",
    "same_grid",
    "scale_intensity",
    "to_array",
    "to_image",
    "write_image",
]
