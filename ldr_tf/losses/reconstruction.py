"""l_rec: the similarity of the last stem's image plus the regularisation of every stem."""

from ldr_tf.losses.overlap import soft_dice_loss
from ldr_tf.losses.regularization import affine_loss, flow_smoothness
from ldr_tf.losses.similarity import SIMILARITY_LOSSES


def reconstruction_loss(
    fixed, registration, similarity, regularization, rep=1, labels=None, label_weight=0.0
):
    """Returns l_rec and its terms.

    As in the VTN and RCN code, only the last stem's images count (all its repetitions), while
    every dense flow is kept smooth and every affine map close to a rotation.

    Args:
      fixed: [batch, x, y, z, 1], 0..1.
      registration: the network's answer, `ldr_tf.networks.cascade.Registration`.
      similarity: a key of SIMILARITY_LOSSES.
      regularization: weight of the dense flows' smoothness.
      rep: repetitions of the last stem.
      labels: (fixed, moving, number of classes) as `soft_dice_loss` takes them, or None.
      label_weight: weight of the labels' overlap.

    Returns:
      Dictionary of [batch] values: "reconstruction" (the sum), "similarity", "smoothness",
      "affine" where there is an affine stem, "overlap" where there are labels.
    """
    loss = SIMILARITY_LOSSES[similarity]
    dense = [stage for stage in registration.stages if stage.matrix is None]
    matrices = [stage.matrix for stage in registration.stages if stage.matrix is not None]
    terms = {
        "similarity": sum(loss(fixed, stage.warped) for stage in dense[-rep:]),
        "smoothness": sum(flow_smoothness(stage.flow) for stage in dense),
    }
    total = terms["similarity"] + regularization * terms["smoothness"]
    if matrices:
        terms["affine"] = sum(affine_loss(matrix) for matrix in matrices)
        total += terms["affine"]
    if labels is not None:
        fixed_labels, moving_labels, classes = labels
        terms["overlap"] = soft_dice_loss(fixed_labels, moving_labels, registration.flow, classes)
        total += label_weight * terms["overlap"]
    return {"reconstruction": total, **terms}
