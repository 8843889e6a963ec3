"""LDR, the light student network."""

import tensorflow as tf

from ldr_tf.keras import keras
from ldr_tf.networks import layers


class LDR(keras.Model):
    """The student of the paper's text: four strided convolutions down, four transposed ones up.

    4x4x4 kernels of stride 2 and ReLU throughout; 16, 32, 64, 128 channels down; 64, 32, 16 up,
    each concatenated with its skip; and a last transposed convolution that predicts the flow at
    full size. 1,548,528 parameters at 16 channels.

    Source: "Light-weight Deformable Registration using Adversarial Learning with Distilling
    Knowledge", section on the network.

    With `flow_resolution` "half" the last layer is a 1x1x1 convolution instead, which predicts the
    flow, divided by eight, at half the resolution, see `ldr_tf.ops.upsampling`; 1,542,480
    parameters.

    Attributes:
      size_multiple: sides of the volume must be multiples of this.
    """

    size_multiple = 16
    # A 1x1x1 head has an eighth of the weights per voxel; scaled so, Adam moves its flow as fast.
    _HALF_FLOW_SCALE = 8.0

    def __init__(self, channels=16, multiplier=1.0, flow_resolution="full", **kwargs):
        """Creates the weights.

        Args:
          channels: channels of the first layer, the others in proportion.
          multiplier: factor on the predicted flow.
          flow_resolution: "full" or "half".
        """
        super().__init__(**kwargs)
        c = channels
        self.multiplier = multiplier
        self._flow_scale = self._HALF_FLOW_SCALE if flow_resolution == "half" else 1.0
        self.conv1 = layers.convolution(2, c, 4, 2, tf.nn.relu)
        self.conv2 = layers.convolution(c, 2 * c, 4, 2, tf.nn.relu)
        self.conv3 = layers.convolution(2 * c, 4 * c, 4, 2, tf.nn.relu)
        self.conv4 = layers.convolution(4 * c, 8 * c, 4, 2, tf.nn.relu)
        self.deconv4 = layers.transposed_convolution(8 * c, 4 * c, tf.nn.relu)
        self.deconv3 = layers.transposed_convolution(8 * c, 2 * c, tf.nn.relu)
        self.deconv2 = layers.transposed_convolution(4 * c, c, tf.nn.relu)
        if flow_resolution == "half":
            self.flow = layers.convolution(
                2 * c, 3, kernel=1, use_bias=False, initializer=layers.SMALL
            )
        else:
            self.flow = layers.transposed_convolution(2 * c, 3, initializer=layers.SMALL)
        self.built = True  # the weights exist

    @property
    def heads(self):
        """The layers whose outputs are the flow, up to a factor."""
        return [self.flow]

    def call(self, fixed, moving):
        """Predicts the flow of two volumes [B, x, y, z, 1].

        Returns:
          [B, x, y, z, 3], or [B, x / 2, y / 2, z / 2, 3] at half the resolution; either way in
          voxels of the volumes.
        """
        x1 = self.conv1(layers.image_pair(fixed, moving))
        x2 = self.conv2(x1)
        x3 = self.conv3(x2)
        x4 = self.conv4(x3)
        up3 = tf.concat([self.deconv4(x4), x3], axis=-1)
        up2 = tf.concat([self.deconv3(up3), x2], axis=-1)
        up1 = tf.concat([self.deconv2(up2), x1], axis=-1)
        return self.flow(up1) * (self._flow_scale * self.multiplier)
