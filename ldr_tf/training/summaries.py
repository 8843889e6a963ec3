"""The logs of a training: TensorBoard events and metrics.jsonl."""

import json
import os

import tensorflow as tf

_LINE_EVERY = 6.0  # voxels between the lines of a deformed grid
_LINE_WIDTH = 0.8


class SummaryWriter:
    """Appends scalars and pictures to a run folder; the caller closes it."""

    def __init__(self, folder):
        self._events = tf.summary.create_file_writer(os.path.join(folder, "events"))
        self._lines = open(  # noqa: SIM115 - held open for the whole training
            os.path.join(folder, "metrics.jsonl"), "a", encoding="utf-8"
        )

    def scalars(self, step, values, prefix=""):
        """Writes a step's numbers by name, to TensorBoard and as one line of JSON."""
        named = {prefix + name: float(value) for name, value in values.items()}
        with self._events.as_default(step=step):
            for name, value in named.items():
                tf.summary.scalar(name, value)
        self._lines.write(json.dumps({"step": step, **named}) + "\n")
        self._lines.flush()

    def pictures(self, step, fixed, moving, registration, teacher_flow=None):
        """Draws the first pair of a batch in its middle z slice.

        Args:
          step: as for `scalars`.
          fixed, moving: [B, x, y, z, 1], 0..1.
          registration: the network's answer to them.
          teacher_flow: the teacher's, [B, x, y, z, 3], or None.
        """
        volumes = (fixed, moving, registration.warped)
        flows = [registration.flow] + ([] if teacher_flow is None else [teacher_flow])
        grids = [deformed_grid(_middle(flow)) for flow in flows]
        with self._events.as_default(step=step):
            images = _upright([_middle(volume) for volume in volumes])
            tf.summary.image("fixed, moving, warped", images)
            name = "deformation" if teacher_flow is None else "deformation, and the teacher's"
            tf.summary.image(name, _upright(grids))

    def close(self):
        """Flushes and closes both."""
        self._events.close()
        self._lines.close()


def deformed_grid(flow):
    """Draws a regular grid of the moving image as it appears on the fixed one.

    Args:
      flow: one z slice of a flow, [B, x, y, 3], voxels.

    Returns:
      [B, x, y, 1], 0 on the lines, 1 between them.
    """
    _, width, height, _ = flow.shape
    x = flow[..., 0] + tf.range(width, dtype=tf.float32)[:, tf.newaxis]
    y = flow[..., 1] + tf.range(height, dtype=tf.float32)
    nearest = [tf.abs(c - _LINE_EVERY * tf.round(c / _LINE_EVERY)) for c in (x, y)]
    distance = tf.minimum(*nearest)
    return tf.clip_by_value(distance - _LINE_WIDTH / 2, 0.0, 1.0)[..., tf.newaxis]


def _middle(volume):
    return volume[:1, :, :, volume.shape[3] // 2, :]


def _upright(slices):
    """Joins slices [1, x, y, 1] side by side, x to the right and y down."""
    return tf.transpose(tf.concat(slices, axis=1), [0, 2, 1, 3])
