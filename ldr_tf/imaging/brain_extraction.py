"""Brains out of whole heads, by the package deepbet, in a process of its own.

Source: Fisch et al., "deepbet: fast brain extraction of T1-weighted MRI using convolutional neural
networks", Computers in Biology and Medicine 179, 2024. The package brings its weights along.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile

import SimpleITK as sitk

from ldr_tf.errors import InputError

_PACKAGE = "deepbet"
# Arguments: each scan, and after it where its mask goes.
_SCRIPT = f"""
import sys
from {_PACKAGE} import run_bet
run_bet(sys.argv[1::2], mask_paths=sys.argv[2::2], no_gpu=True, skip_broken=False)
"""


def can_extract():
    """Whether the package that extracts brains is installed."""
    return importlib.util.find_spec(_PACKAGE) is not None


def check_extraction():
    """Refuses, with InputError, where brains cannot be extracted."""
    if not can_extract():
        raise InputError(
            f"brain=extract needs the package {_PACKAGE}, which is not installed: "
            'pip install "ldr_tf[brain]".'
        )


def extract_brains(scans):
    """Returns masks of the brains in T1 scans of heads, without fluid around them.

    Args:
      scans: list of 3D SimpleITK images.

    Returns:
      A list of uint8 images on the scans' grids, 1 in the brain.

    Raises:
      InputError: the package is not installed, or fails.
    """
    check_extraction()
    with tempfile.TemporaryDirectory() as folder:
        arguments, masks = [], []
        for number, scan in enumerate(scans):
            path, mask = (os.path.join(folder, f"{what}{number}.nii") for what in ("scan", "mask"))
            sitk.WriteImage(sitk.Cast(scan, sitk.sitkFloat32), path)
            arguments += [path, mask]
            masks.append(mask)
        command = [sys.executable, "-c", _SCRIPT, *arguments]
        # There a file of the user's own cannot stand in for a module.
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode or not all(map(os.path.isfile, masks)):
            last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise InputError(f"{_PACKAGE} found no brain: {last}")
        return [_on_grid(sitk.ReadImage(mask), scan) for mask, scan in zip(masks, scans)]


def _on_grid(mask, scan):
    mask = sitk.Cast(mask > 0, sitk.sitkUInt8)
    if mask.GetSize() != scan.GetSize():
        raise InputError(f"{_PACKAGE}: its mask has another size than the scan.")
    mask.CopyInformation(scan)
    return mask
