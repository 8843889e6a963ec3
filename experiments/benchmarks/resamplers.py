"""Other packages' ways to warp a volume, if they are installed."""

import importlib.util

import numpy as np
import SimpleITK as sitk
import tensorflow as tf
from scipy import ndimage

from experiments.benchmarks.naive import eight_gathers
from ldr_tf.ops.warp import warp


def functions(image, flow, threads):
    """Returns name -> function() -> the warped volume [x, y, z], each in its own package's form.

    Args:
      image: [1, x, y, z, 1]; flow: [1, x, y, z, 3], tensors.
      threads: number that each may use.
    """
    found = {
        "ours": tf.function(lambda: warp(image, flow)[0, ..., 0], autograph=False),
        "ours, plain operations": tf.function(
            lambda: warp(image, flow, compiled=False)[0, ..., 0], autograph=False
        ),
        "eight gathers": tf.function(lambda: eight_gathers(image, flow)[0, ..., 0]),
        "SimpleITK": _simpleitk(image.numpy()[0, ..., 0], flow.numpy()[0], threads),
        "scipy": _scipy(image.numpy()[0, ..., 0], flow.numpy()[0]),
    }
    if importlib.util.find_spec("torch"):
        found |= _torch(image.numpy()[0, ..., 0], flow.numpy()[0], threads)
    return found


def _simpleitk(image, flow, threads):
    scan = sitk.GetImageFromArray(image.T)
    field = sitk.GetImageFromArray(np.transpose(flow, (2, 1, 0, 3)).astype(float), isVector=True)
    resampler = sitk.ResampleImageFilter()
    resampler.SetNumberOfThreads(threads)
    resampler.SetReferenceImage(scan)
    resampler.SetInterpolator(sitk.sitkLinear)
    resampler.SetTransform(sitk.DisplacementFieldTransform(field))
    return lambda: sitk.GetArrayFromImage(resampler.Execute(scan)).T


def _scipy(image, flow):
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"))
    positions = grid + np.moveaxis(flow, -1, 0)
    return lambda: ndimage.map_coordinates(image, positions, order=1, mode="nearest")


def _torch(image, flow, threads):
    import torch

    torch.set_num_threads(threads)
    grid = np.stack(np.meshgrid(*map(np.arange, image.shape), indexing="ij"), axis=-1)
    scale = 2.0 / (np.array(image.shape) - 1.0)
    # Torch names the last axis first.
    own = torch.tensor((grid * scale - 1.0)[None, ..., ::-1].astype(np.float32))
    flow = torch.tensor(flow[None, ..., ::-1].copy())
    scale = torch.tensor(scale[::-1].astype(np.float32))
    positions = own + flow * scale
    volume = torch.tensor(image)[None, None]

    def sample(positions):
        return torch.nn.functional.grid_sample(
            volume, positions, mode="bilinear", padding_mode="border", align_corners=True
        )[0, 0].numpy()

    return {
        "torch, positions given": lambda: sample(positions),
        "torch": lambda: sample(own + flow * scale),
    }
