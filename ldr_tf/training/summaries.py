"""What a training writes for people: TensorBoard events and metrics.jsonl."""

import json
import os

import tensorflow as tf


class SummaryWriter:
    """Appends scalars and pictures to a run folder; closing is the caller's duty."""

    def __init__(self, folder):
        self._events = tf.summary.create_file_writer(os.path.join(folder, "events"))
        self._lines = open(  # noqa: SIM115 - held open for the whole training
            os.path.join(folder, "metrics.jsonl"), "a", encoding="utf-8"
        )

    def scalars(self, step, values, prefix=""):
        """Writes numbers by name at a step, to TensorBoard and as one line of JSON."""
        named = {prefix + name: float(value) for name, value in values.items()}
        with self._events.as_default(step=step):
            for name, value in named.items():
                tf.summary.scalar(name, value)
        self._lines.write(json.dumps({"step": step, **named}) + "\n")
        self._lines.flush()

    def pair(self, step, fixed, moving, warped):
        """Writes the middle z slices of a pair side by side; volumes [B, x, y, z, 1] in 0..1."""
        middle = fixed.shape[3] // 2
        slices = [volume[:1, :, :, middle, :] for volume in (fixed, moving, warped)]
        with self._events.as_default(step=step):
            tf.summary.image("fixed, moving, warped", tf.concat(slices, axis=2))

    def close(self):
        """Flushes and closes both."""
        self._events.close()
        self._lines.close()
