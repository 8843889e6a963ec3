"""l_rec: similarity of the last stem's image, smoothness of the flows, overlap of labels."""

from typing import NamedTuple

import tensorflow as tf

from ldr_tf.losses.overlap import soft_dice_loss
from ldr_tf.losses.regularization import affine_loss, flow_smoothness
from ldr_tf.losses.similarity import SIMILARITY_LOSSES


class Labels(NamedTuple):
    """The segmentations of a pair.

    Attributes:
      fixed, moving: integers [batch, x, y, z, 1], 0 for no class.
      classes: the classes whose overlap counts, integers [n].
    """

    fixed: tf.Tensor
    moving: tf.Tensor
    classes: tf.Tensor


def reconstruction_loss(fixed, registration, config, rep=1, labels=None):
    """Returns l_rec and its terms.

    As in the VTN and RCN code, similarity counts only the last stem's images (of all its
    repetitions), while every dense flow is kept smooth and every affine map close to a rotation.
    With `regularized` "composed" the composed flow, an affine stem's included, is kept smooth
    instead of each dense one by itself.

    Args:
      fixed: [batch, x, y, z, 1], 0..1.
      registration: the network's answer, `ldr_tf.networks.cascade.Registration`.
      config: `ldr_tf.config.LossConfig`.
      rep: repetitions of the last stem.
      labels: `Labels`, or None.

    Returns:
      Dictionary of [batch] values: "reconstruction" (the sum), "similarity", "smoothness",
      "affine" if there is an affine stem, "overlap" if there are labels.
    """
    loss = SIMILARITY_LOSSES[config.similarity]
    dense = [stage for stage in registration.stages if stage.matrix is None]
    matrices = [stage.matrix for stage in registration.stages if stage.matrix is not None]
    smooth = [stage.flow for stage in dense]
    if config.regularized == "composed":
        smooth = [registration.flow]
    terms = {
        "similarity": sum(loss(fixed, stage.warped) for stage in dense[-rep:]),
        "smoothness": sum(flow_smoothness(flow) for flow in smooth),
    }
    total = terms["similarity"] + config.regularization * terms["smoothness"]
    if matrices:
        terms["affine"] = sum(affine_loss(matrix) for matrix in matrices)
        total += terms["affine"]
    if labels is not None:
        terms["overlap"] = soft_dice_loss(
            labels.fixed, labels.moving, registration.flow, labels.classes
        )
        total += config.label_weight * terms["overlap"]
    return {"reconstruction": total, **terms}
