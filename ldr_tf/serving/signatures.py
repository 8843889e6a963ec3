"""The signatures of an exported network, which check the tensors they are given."""

import json

import tensorflow as tf

from ldr_tf import records
from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.ops import warp as warps


class ServingModule(tf.Module):
    """A network with its signatures.

    The sizes below are those of the run's config, the batch size is free:

    - `serving_default`: `fixed`, `moving`, float32 [batch, x, y, z, 1], intensities as in files,
      0..255; returns `flow`, float32 [batch, x, y, z, 3], voxels, and `warped`, like the inputs.
    - `register_uint8`: the same from uint8; `flow` is float16 with `half_flow`.
    - `warp_linear`: `image`, float32 [batch, x, y, z, 1], and `flow`; returns `warped`.
    - `warp_nearest`: `labels`, int32, and `flow`; returns `warped`, int32.
    - `describe`: `index`, int32 [batch], any numbers; returns `config` [batch], each the run's
      config as JSON. (It takes a batch because a server that batches requests serves nothing
      else.)

    Tensors of another size, an empty batch and numbers that are not finite raise an
    InvalidArgumentError that names the tensor.

    Attributes:
      register: the function of `serving_default` without its checks.
      size: of the volumes.
    """

    def __init__(self, network, config, half_flow=False):
        """Makes the functions.

        Args:
          network: a CascadeNetwork.
          config: the RunConfig that `describe` returns.
          half_flow: whether `register_uint8` returns a float16 flow: half the bytes, accurate to
            1/128 voxel below 16 voxels.
        """
        super().__init__()
        # Only the weights are tracked: Keras would save descriptions of its layers too.
        self.weights = network.variables
        self.size = tuple(config.network.image_size)
        self._compiled_warp = network.compiled_warp
        volumes = [tf.TensorSpec([None, *self.size, 1], name=name) for name in ("fixed", "moving")]

        def register(fixed, moving):
            answer = network(fixed / INTENSITY_MAX, moving / INTENSITY_MAX)
            return {"flow": answer.flow, "warped": answer.warped * INTENSITY_MAX}

        # One function for both types of input, so that the graph holds the network once.
        self.register = tf.function(register, input_signature=volumes, autograph=False)
        self._config = json.dumps(records.to_dict(config))
        self._half_flow = half_flow

    def functions(self):
        """Returns signature -> tf.function."""
        return {
            "serving_default": _function(self._serve, fixed=tf.float32, moving=tf.float32),
            "register_uint8": _function(self._serve_uint8, fixed=tf.uint8, moving=tf.uint8),
            "warp_linear": _function(self._warp_linear, image=tf.float32, flow=tf.float32),
            "warp_nearest": _function(self._warp_nearest, labels=tf.int32, flow=tf.float32),
            "describe": _function(self._describe, index=tf.int32),
        }

    def _serve(self, fixed, moving):
        return self.register(*self._checked(fixed=(fixed, 1), moving=(moving, 1)))

    def _serve_uint8(self, fixed, moving):
        volumes = self._checked(fixed=(fixed, 1), moving=(moving, 1))
        answer = self.register(*[tf.cast(volume, tf.float32) for volume in volumes])
        if self._half_flow:
            answer["flow"] = tf.cast(answer["flow"], tf.float16)
        return answer

    def _warp_linear(self, image, flow):
        image, flow = self._checked(image=(image, 1), flow=(flow, 3))
        return {"warped": warps.warp(image, flow, self._compiled_warp)}

    def _warp_nearest(self, labels, flow):
        labels, flow = self._checked(labels=(labels, 1), flow=(flow, 3))
        return {"warped": warps.warp_nearest(labels, flow)}

    def _describe(self, index):
        index = tf.ensure_shape(index, [None])
        return {"config": tf.fill(tf.shape(index), self._config)}

    def _checked(self, **tensors):
        """Returns the tensors, given as name=(tensor, channels), with assertions about them.

        TensorFlow learns their shapes only afterwards: it does not check shapes that it takes for
        known, and a server feeds whatever it was sent.
        """
        checked, first = [], None
        for name, (tensor, channels) in tensors.items():
            wanted = [*self.size, channels]
            sentence = f"{name} must be [batch, {', '.join(map(str, wanted))}], not of shape"
            # The -1 that follows marks the end of the shape: the comparison works for any rank.
            sides = tf.concat([tf.shape(tensor), tf.fill([6], -1)], axis=0)[1:6]
            fits = tf.reduce_all(tf.equal(sides, [*wanted, -1]))
            asserts = [_require(fits, sentence, tf.shape(tensor))]
            with tf.control_dependencies(asserts):
                tensor = tf.ensure_shape(tf.identity(tensor), [None, *wanted])
            batch = tf.shape(tensor)[0]
            asserts = [_require(batch > 0, f"{name} holds no volume, its batch size is", batch)]
            if first is not None:
                sentence = f"{name} must have the batch size of {first[0]}; the two are"
                asserts.append(_require(tf.equal(batch, first[1]), sentence, batch, first[1]))
            with tf.control_dependencies(asserts):
                tensor = tf.identity(tensor)
            if tensor.dtype.is_floating:
                tensor = tf.debugging.check_numerics(tensor, f"{name} must hold finite numbers")
            checked.append(tensor)
            first = first or (name, batch)
        return checked


def input_shapes(size):
    """Returns signature -> input -> shape, with -1 for the batch as in a SavedModel."""
    volume, flow = [-1, *size, 1], [-1, *size, 3]
    return {
        "serving_default": {"fixed": volume, "moving": volume},
        "register_uint8": {"fixed": volume, "moving": volume},
        "warp_linear": {"image": volume, "flow": flow},
        "warp_nearest": {"labels": volume, "flow": flow},
        "describe": {"index": [-1]},
    }


def _function(method, **types):
    specs = [tf.TensorSpec(None, dtype, name) for name, dtype in types.items()]
    return tf.function(method, input_signature=specs, autograph=False)


def _require(condition, sentence, *numbers):
    return tf.debugging.Assert(condition, [sentence, *numbers], summarize=8)
