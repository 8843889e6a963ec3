"""What the Python examples share: reading raw volumes, showing the figures of an answer."""

import sys

import numpy as np


def read_volumes(fixed, moving, *size):
    """Returns both files as float32 [1, x, y, z, 1]; `size` is x, y, z as text."""
    shape = [1, *map(int, size), 1]
    volumes = [np.fromfile(path, "<f4") for path in (fixed, moving)]
    for path, volume in zip((fixed, moving), volumes):
        if len(size) != 3 or volume.size != np.prod(shape):
            sys.exit(f"{path}: is not a float32 volume of the given size")
    return [volume.reshape(shape) for volume in volumes]


def show(flow, warped, seconds):
    """Prints the lengths of the flow's vectors, the warped image's mean and the time."""
    lengths = np.linalg.norm(flow.astype("float64"), axis=-1)
    print("size:", " x ".join(map(str, warped.shape[1:4])))
    print(f"mean flow: {lengths.mean():.4f} voxels")
    print(f"maximum flow: {lengths.max():.4f} voxels")
    print(f"mean of warped: {warped.mean(dtype='float64'):.4f}")
    print(f"second call: {1000 * seconds:.1f} ms")
