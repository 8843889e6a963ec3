"""Endings of the files that hold scans, by format; the one list of them."""

import os

NIFTI = (".nii.gz", ".nii", ".hdr", ".img.gz", ".img")
META = (".mhd", ".mha")
NRRD = (".nrrd", ".nhdr")
FREESURFER = (".mgz", ".mgh")

VOXELS = (".img.gz", ".img", ".raw.gz", ".raw", ".zraw")
"""Of files that hold the voxels of a scan whose header is another file."""

SCAN_ENDINGS = tuple(
    ending for ending in (*NIFTI, *META, *NRRD, *FREESURFER) if ending not in VOXELS
)
"""Of files that stand for a scan, one file a scan."""


def split_ending(name):
    """Returns (stem, ending) of a scan's file name; the ending is "" for other files."""
    for ending in SCAN_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)], ending
    return name, ""


def scan_stem(path):
    """Returns the name of a scan's file or folder, without its own folder and its ending."""
    name = os.path.basename(os.path.normpath(path))
    for ending in (*SCAN_ENDINGS, *VOXELS):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name
