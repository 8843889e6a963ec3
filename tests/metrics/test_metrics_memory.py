"""Peaks of memory: what a block of known size adds, in a process of its own."""

import subprocess
import sys

import numpy as np
import tensorflow as tf

from ldr_tf.metrics.memory import PeakMemory, peak_memory, peak_of_process

CHILD = "from ldr_tf.metrics.memory import peak_of_process as p; print(p())"


def test_a_block_counts_while_it_is_held_and_the_count_starts_anew():
    with PeakMemory() as large:
        block = np.ones(2**27, np.uint8)  # 128 MiB
        del block
    with PeakMemory() as small:
        pass
    assert 100 < large.megabytes - small.megabytes < 200
    assert np.isnan(PeakMemory().megabytes)


def test_the_parents_memory_is_not_the_childs():
    block = np.ones(2**28, np.uint8)
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True)
    assert 2**23 < int(child.stdout) < 2**28 < peak_of_process()
    if not tf.config.list_physical_devices("GPU"):
        assert peak_memory() > block.size
