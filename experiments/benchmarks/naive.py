"""The path that one would write first: Keras layers one by one, warps by eight gathers.

The fast path of `ldr_tf.networks` is measured and tested against it.
"""

import itertools

import tensorflow as tf

from ldr_tf.networks import layers
from ldr_tf.networks.descent import Descent
from ldr_tf.networks.pyramid import Pyramid
from ldr_tf.ops.flow import compose_affine, resize
from ldr_tf.ops.warp import identity_grid


def eight_gathers(image, flow):
    """As `ldr_tf.ops.warp.warp`, with a gather over the volume for each corner of the cells."""
    size = image.shape[1:4].as_list()
    limits = tf.constant(size, tf.float32) - 1.0
    positions = tf.clip_by_value(identity_grid(size) + flow, 0.0, limits)
    lower = tf.minimum(tf.floor(positions), limits - 1.0)
    fraction, lower = positions - lower, tf.cast(lower, tf.int32)
    table = tf.reshape(image, [-1, image.shape[-1]])
    example = tf.reshape(tf.range(tf.shape(image)[0]), [-1, 1, 1, 1])
    warped = 0.0
    for offsets in itertools.product((0, 1), repeat=3):
        x, y, z = [lower[..., axis] + offsets[axis] for axis in range(3)]
        weight = 1.0
        for axis, offset in enumerate(offsets):
            part = fraction[..., axis, tf.newaxis]
            weight *= part if offset else 1.0 - part
        row = ((example * size[0] + x) * size[1] + y) * size[2] + z
        warped += weight * tf.gather(table, row)
    return warped


def registration(network):
    """Returns function(fixed, moving) -> (flow, warped) of a network's weights.

    Args:
      network: a `CascadeNetwork`; its layers are Keras' own from then on. The volumes' sides must
        suit its stems.
    """
    for layer in network.submodules:
        if isinstance(layer, layers.Conv3DTranspose):
            layer.subpixel = False
        elif isinstance(layer, (Pyramid, Descent)):
            layer.compiled = False

    def register(fixed, moving):
        flow = matrix = None
        warped = moving
        if network.affine_stem is not None:
            flow, matrix = network.affine_stem(fixed, moving)
            warped = eight_gathers(moving, flow)
        for stem in network.stems:
            for _ in range(network.config.rep):
                further = stem(fixed, warped)
                flow = _composed(flow, matrix, further, moving)
                matrix = None
                warped = eight_gathers(moving, resize(flow, moving.shape[1:4]))
        for _ in range(network.config.descents):
            flow = _composed(flow, None, network.descent(fixed, warped, flow), moving)
            warped = eight_gathers(moving, flow)
        return resize(flow, moving.shape[1:4]), warped

    return register


def _composed(flow, matrix, further, moving):
    if flow is None:
        return further
    if matrix is not None:
        return compose_affine(matrix, flow, further)
    step = moving.shape[1] / further.shape[1]  # volume voxels per flow voxel
    return further + eight_gathers(flow, further / step)
