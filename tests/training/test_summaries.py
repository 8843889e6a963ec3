"""What a training writes for people."""

import json

import numpy as np
import tensorflow as tf

from ldr_tf.networks.cascade import Registration
from ldr_tf.training.summaries import SummaryWriter, deformed_grid


def events(folder):
    """Returns {tag: value} of a folder's event files, pictures decoded."""
    found = {}
    for path in sorted(folder.glob("events/*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                tensor = tf.make_ndarray(value.tensor)
                if tensor.dtype == object:  # width, height, picture
                    tensor = tf.io.decode_png(tensor[2]).numpy()
                found[value.tag] = tensor
    return found


def test_scalars_and_pictures(tmp_path):
    writer = SummaryWriter(str(tmp_path))
    fixed, moving, warped = (tf.fill((1, 8, 12, 4, 1), v) for v in (0.0, 0.5, 1.0))
    flow = tf.zeros((1, 8, 12, 4, 3))
    writer.scalars(3, {"loss": tf.constant(0.25)}, "validation/")
    writer.pictures(3, fixed, moving, Registration(flow, warped, []), flow + 1.0)
    writer.close()
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == {
        "step": 3,
        "validation/loss": 0.25,
    }
    found = events(tmp_path)
    assert found["validation/loss"] == 0.25
    picture = found["fixed, moving, warped"]
    assert picture.shape[:2] == (12, 24)  # y down, three times x across
    assert [picture[0, x].max() for x in (0, 8, 16)] == [0, 127, 255]
    assert found["deformation, and the teacher's"].shape[:2] == (12, 16)


def test_a_shift_moves_the_grid_and_nothing_else():
    """Lines lie where the moving image's coordinate is a multiple of 6."""
    still = deformed_grid(tf.zeros((1, 24, 24, 3))).numpy()[0, :, 3, 0]
    np.testing.assert_array_equal(np.flatnonzero(still < 0.5), [0, 6, 12, 18])
    shift = tf.constant([2.0, 0.0, 0.0]) + tf.zeros((1, 24, 24, 3))
    moved = deformed_grid(shift).numpy()[0, :, 3, 0]
    np.testing.assert_array_equal(np.flatnonzero(moved < 0.5), [4, 10, 16, 22])
