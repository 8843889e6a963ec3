"""The losses of Adversarial Learning with Distilling Knowledge (ALDK).

A critic D maps a deformation phi to features M. With the student's phi_s and the teacher's phi_t:

    phi_hat = beta phi_t + (1 - beta) phi_s
    l_dis   = ||D(phi_s) - D(phi_t)||^2 + lambda (||grad D(phi_hat)|| - 1)^2
    L_adv   = gamma l_rec + (1 - gamma) l_dis

Source: the ALDK paper; the penalty is that of Gulrajani et al., "Improved Training of Wasserstein
GANs", 2017. All functions work per example.
"""

import tensorflow as tf


def feature_distance(student_features, teacher_features, reduction="mean"):
    """Squared distance between two feature vectors.

    Args:
      student_features, teacher_features: [batch, features].
      reduction: "sum" over the features, as the equation reads, or their "mean".

    Returns:
      [batch].
    """
    squared = tf.math.squared_difference(student_features, teacher_features)
    reduce = {"sum": tf.reduce_sum, "mean": tf.reduce_mean}[reduction]
    return reduce(squared, axis=-1)


def joint_deformation(student, teacher, beta):
    """`beta * teacher + (1 - beta) * student`."""
    return beta * teacher + (1.0 - beta) * student


def gradient_penalty(critic, deformation, length):
    """`(||grad D|| - 1)^2`, D being the mean of the critic's features.

    The gradient's norm follows from how the length of a deformation is measured. "sum": the root of
    the squares summed over voxels and channels, as the equation reads; a slope of 1 then demands
    more sensitivity to each voxel the fewer voxels there are, and flows that differ by a voxel
    everywhere are hundreds of units apart. "rms": the root of the mean over voxels of the squared
    displacement; a slope of 1 then means that D rises by 1 when the flow changes by one unit
    everywhere, whatever the volume's size.

    Args:
      critic: callable, [batch, ...] to [batch, features].
      deformation: [batch, ..., channels].
      length: "sum" or "rms".

    Returns:
      The penalty and the norm, each [batch], differentiable with respect to the critic's weights
      and the deformation.
    """
    with tf.GradientTape() as tape:
        tape.watch(deformation)
        output = tf.reduce_mean(critic(deformation), axis=-1)
    gradient = tape.gradient(output, deformation)
    squared = tf.reduce_sum(tf.square(gradient), axis=list(range(1, len(gradient.shape))))
    if length == "rms":
        squared *= tf.cast(tf.reduce_prod(tf.shape(deformation)[1:-1]), squared.dtype)
    norm = tf.sqrt(squared + 1e-12)  # the root's gradient at 0 is infinite
    return tf.square(norm - 1.0), norm


def loss_weights(gamma, weight=None):
    """Returns the weights of l_rec and l_dis in L_adv.

    Args:
      gamma: the weights are gamma and 1 - gamma, as in the paper.
      weight: where it is not None, they are 1 and this instead: the whole reconstruction, and the
        teacher beside it.
    """
    return (gamma, 1.0 - gamma) if weight is None else (1.0, weight)


def adversarial_loss(reconstruction, discrimination, weights):
    """`L_adv`, with the weights that `loss_weights` returns."""
    return weights[0] * reconstruction + weights[1] * discrimination
