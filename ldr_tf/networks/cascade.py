"""The recursive cascade: each stem registers what the stems before it have warped."""

import functools
from typing import NamedTuple, Optional

import tensorflow as tf

from ldr_tf.config import NetworkConfig
from ldr_tf.conventions import check_same_grid, check_volume
from ldr_tf.keras import keras
from ldr_tf.keras import precision as keras_precision
from ldr_tf.networks import layers
from ldr_tf.networks.affine import LDRUtilStem, VTNAffineStem
from ldr_tf.networks.descent import Descent
from ldr_tf.networks.pyramid import Pyramid
from ldr_tf.networks.student import LDR
from ldr_tf.networks.voxelmorph import LDRReleased, VoxelMorph
from ldr_tf.networks.vtn import VTN
from ldr_tf.ops.compiling import traced_by_shape
from ldr_tf.ops.flow import compose, compose_affine
from ldr_tf.ops.upsampling import upsample
from ldr_tf.ops.warp import spatial_size, warp

DENSE_STEMS = {
    "LDR": LDR,
    "Pyramid": Pyramid,
    "VTN": VTN,
    "VoxelMorph": VoxelMorph,
    "LDRReleased": LDRReleased,
}
AFFINE_STEMS = {"vtn": VTNAffineStem, "light": LDRUtilStem}


class Stage(NamedTuple):
    """What one stem adds.

    Attributes:
      stem_flow: as `flow`, but possibly still at half the resolution.
      composed: the flow of all stems so far, [B, x, y, z, 3], voxels.
      warped: the moving image warped by `composed`, [B, x, y, z, 1].
      matrix: W of an affine stem's map, [B, 3, 3]; None for a dense stem and a learned step.
    """

    stem_flow: tf.Tensor
    composed: tf.Tensor
    warped: tf.Tensor
    matrix: Optional[tf.Tensor]

    @property
    def flow(self):
        """The flow of this stem alone, [B, x, y, z, 3], voxels."""
        if self.stem_flow.shape[1:4] == self.warped.shape[1:4]:
            return self.stem_flow
        return upsample(self.stem_flow, spatial_size(self.warped))


class Registration(NamedTuple):
    """A network's answer: the final, composed flow, the warped moving image, and all stages."""

    flow: tf.Tensor
    warped: tf.Tensor
    stages: list[Stage]


class CascadeNetwork(keras.Model):
    """A registration network as a NetworkConfig describes it.

    Order: the affine stem, then every dense stem `rep` times, then `descents` learned steps of
    gradient descent (`Descent`). Each stem sees the fixed image and the moving image as warped so
    far; every stage warps the original moving image once, by the flow composed so far. Flows of
    dense stems are scaled by 1 / cascades. Flows predicted at half the resolution are also composed
    there, then upsampled to the full grid.

    Source: Zhao et al., "Recursive Cascaded Networks for Unsupervised Medical Image
    Registration", 2019.

    Attributes:
      config: the NetworkConfig.
      run_config: the RunConfig of the run it was loaded from, which also says how to prepare scans
        for it; None for a network that was not loaded.
      bfloat16_error: by how much bfloat16 changes its flow, voxels, in the largest component; None
        where nobody measured it.
      free_size: whether it takes volumes of any size (False with an affine stem).
      precision: of the dense stems, a policy of Keras.
    """

    def __init__(
        self,
        config: NetworkConfig,
        compiled_warp=True,
        precision="float32",
        recompute=False,
        **kwargs,
    ):
        """Creates the weights.

        Args:
          config: a NetworkConfig.
          compiled_warp: False uses only plain TensorFlow operations, for exports: XLA compiles
            neither the warps nor parts of the dense stems.
          precision: of the dense stems, see `ldr_tf.config.OptimisationConfig`; their flows are
            float32 in any case.
          recompute: whether gradients recompute the dense stems' activations to save memory.
        """
        super().__init__(**kwargs)
        self.config = config
        self.run_config = None
        self.bfloat16_error = None
        self.compiled_warp = compiled_warp
        self.precision = precision
        self.free_size = config.affine_stem == "none"
        self.affine_stem = None
        if config.affine_stem != "none":
            stem_class = AFFINE_STEMS[config.affine_stem]
            with keras_precision("float32"):
                self.affine_stem = stem_class(config.image_size, config.channels)
        stem_class = DENSE_STEMS[config.base_network]
        options = {"channels": config.channels, "multiplier": 1.0 / config.cascades}
        self._step = 1  # volume voxels per flow voxel along an axis
        if config.flow_resolution == "half":
            options["flow_resolution"] = "half"
            self._step = 2
        with keras_precision(precision):
            self.stems = [stem_class(**options) for _ in range(config.cascades)]
            self.descent = Descent(config.channels) if config.descents else None
        predict = [functools.partial(_predict, stem, self._step) for stem in self.stems]
        if recompute:
            predict = [tf.recompute_grad(function) for function in predict]
        self._predict = predict
        for layer in self.submodules:
            if isinstance(layer, (layers.Conv3DTranspose, Pyramid, Descent)):
                layer.compiled = compiled_warp
        self._traced = traced_by_shape(self._register)
        self.built = True  # the weights exist

    def call(self, fixed, moving):
        """Registers.

        Args:
          fixed, moving: [B, x, y, z, 1], intensities 0..1. Sides that do not suit the stems are
            padded internally, and the flow is cropped back.

        Returns:
          A `Registration`.

        Raises:
          ValueError: the shapes differ, or are not those of the affine stem.
        """
        self._check(fixed, moving)
        if tf.executing_eagerly():
            # A graph fuses convolutions with the operations that follow; eager execution does not.
            return self._traced(fixed, moving)
        answer = self._register(fixed, moving)
        # Costs nothing unless used: a graph computes only what is asked for.
        stages = [
            stage._replace(stem_flow=self._whole(stage.stem_flow, moving))
            for stage in answer.stages
        ]
        return answer._replace(stages=stages)

    def start_from(self, other):
        """Copies the weights of a network of the same kind with as many cascades or fewer.

        If it has fewer, the composed flow stays the same: its cascades come first, and each
        further one starts as a copy of its last, with a flow of zero. Likewise where it takes no
        learned steps: these start with flows of zero.

        Args:
          other: a `CascadeNetwork` whose config differs at most in its number of cascades, in
            having no learned steps and, without an affine stem, in the size of the images.
        """
        if other.descent is not None:
            self.descent.set_weights(other.descent.get_weights())
        if self.affine_stem is not None:
            self.affine_stem.set_weights(other.affine_stem.get_weights())
        gain = len(self.stems) / len(other.stems)  # compensates for the scale 1 / cascades
        for number, stem in enumerate(self.stems):
            known = number < len(other.stems)
            stem.set_weights(other.stems[number if known else -1].get_weights())
            gains = gain if known else 0.0
            for head in stem.heads:
                head.set_weights([gains * weight for weight in head.get_weights()])

    def _register(self, fixed, moving):
        stages, composed = [], None
        if self.affine_stem is not None:
            composed, matrix = self.affine_stem(fixed, moving)
            stages.append(self._stage(moving, composed, composed, matrix))
        for predict in self._predict:
            for _ in range(self.config.rep):
                flow = predict(fixed, stages[-1].warped if stages else moving)
                composed = self._compose(composed, flow, stages)
                stages.append(self._stage(moving, flow, composed))
        for _ in range(self.config.descents):
            flow = self.descent(fixed, stages[-1].warped, composed)
            composed = self._compose(composed, flow, stages)
            stages.append(self._stage(moving, flow, composed))
        return Registration(stages[-1].composed, stages[-1].warped, stages)

    def _compose(self, composed, flow, stages):
        """Composes flows on the grid on which the stems predict them."""
        if not stages:
            return flow
        if stages[-1].matrix is not None:
            return compose_affine(stages[-1].matrix, composed, flow)
        if self._step == 1:
            return compose(composed, flow, self.compiled_warp)
        # `compose` wants flows in voxels of their own grid.
        step = float(self._step)
        return step * compose(composed / step, flow / step, self.compiled_warp)

    def _stage(self, moving, flow, composed, matrix=None):
        whole = self._whole(composed, moving)
        stem_flow = whole if composed is flow else flow
        return Stage(stem_flow, whole, warp(moving, whole, self.compiled_warp), matrix)

    def _whole(self, flow, moving):
        """Returns a flow on the volumes' full grid."""
        if flow.shape[1:4] == moving.shape[1:4]:
            return flow
        return upsample(flow, spatial_size(moving), self.compiled_warp)

    def _check(self, fixed, moving):
        check_volume(fixed, "fixed")
        check_volume(moving, "moving")
        for name, tensor in (("fixed", fixed), ("moving", moving)):
            if tensor.shape[-1] != 1:
                raise ValueError(f"{name} must have one channel, not {tensor.shape[-1]}.")
        check_same_grid(fixed, moving, "fixed", "moving")
        size, wanted = tuple(fixed.shape[1:4]), tuple(self.config.image_size)
        if not self.free_size and None not in size and size != wanted:
            raise ValueError(f"this network's affine stem takes volumes of {wanted}, not {size}.")


def _predict(stem, step, fixed, moving):
    """Returns a stem's flow for volumes of any size, in float32 whatever the stem's precision.

    `step`: volume voxels per flow voxel along an axis.
    """
    volumes = [tf.cast(volume, stem.compute_dtype) for volume in (fixed, moving)]
    fixed, crop = layers.pad_to_multiple(volumes[0], stem.size_multiple, step)
    moving, _ = layers.pad_to_multiple(volumes[1], stem.size_multiple, step)
    return crop(tf.cast(stem(fixed, moving), tf.float32))
