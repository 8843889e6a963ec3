"""What one must know to repeat an evaluation: versions, commit, machine."""

import importlib.metadata
import os
import platform
import subprocess

import ldr_tf

_PACKAGES = ("tensorflow", "numpy", "scipy", "SimpleITK", "antspyx", "itk-elastix")


def describe():
    """Returns a dict of names to texts."""
    versions = {"ldr_tf": ldr_tf.__version__, "Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"commit": _commit(), "versions": versions, "machine": _machine()}


def _machine():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    processor = f"{os.cpu_count()} cores, {platform.machine()}"
    return f"{processor}, {len(gpus)} GPU" if gpus else f"{processor}, no GPU"


def _commit():
    """Returns the checkout's commit, with a + where files differ from it; "unknown" without git."""
    folder = os.path.dirname(os.path.abspath(__file__))
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(folder, *words):
    call = ["git", "-C", folder, *words]
    return subprocess.run(
        call, capture_output=True, check=True, text=True, timeout=30
    ).stdout.strip()
