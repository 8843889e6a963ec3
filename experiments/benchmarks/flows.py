"""What a store of teacher flows costs: bytes, error of half precision, time to write and read.

    python -m experiments.benchmark flows --size=128

The flows are those of phantoms: smooth, and scaled to a largest displacement of --voxels.
"""

import os
import tempfile

import numpy as np
from absl import flags

from experiments.benchmarks.common import interleaved, timing_rows


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_integer("size", 128, "voxels a side", 16, flag_values=flag_values)
    flags.DEFINE_integer("pairs", 6, "flows in the store", 1, flag_values=flag_values)
    flags.DEFINE_float("voxels", 20.0, "largest displacement", 0.0, flag_values=flag_values)
    flags.DEFINE_integer("rounds", 5, "timed rounds", 1, flag_values=flag_values)


def run(size=128, pairs=6, voxels=20.0, rounds=5):
    """Measures; returns the rows of the table."""
    from data.flows import FlowReader, FlowWriter
    from data.phantoms import make_subject

    flows = [_scaled(make_subject(1, index, size).flow, voxels) for index in range(pairs)]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "flows.h5")
        with FlowWriter(path, (size,) * 3, {"source": "benchmark"}) as writer:
            written = interleaved({"write": lambda: writer.write("w", "w", flows[0])}, rounds)
            for index, flow in enumerate(flows):
                writer.write("fixed", str(index), flow)
        total = os.path.getsize(path) * pairs / (pairs + 1)
        generator = np.random.default_rng(0)
        with FlowReader(path) as reader:
            errors = [
                np.abs(reader.read("fixed", str(index)) - flow).max()
                for index, flow in enumerate(flows)
            ]
            read = interleaved(
                {"read any one": lambda: reader.read("fixed", str(generator.integers(pairs)))},
                rounds,
            )
    unit = f"pair at {size}^3"
    full = flows[0].nbytes
    store = {
        "name": "store",
        "unit": unit,
        "bytes": total / pairs,
        "of_float32": total / pairs / full,
        "largest_error_voxels": float(max(errors)),
        "largest_flow_voxels": voxels,
    }
    return [store] + [{**row, "unit": unit} for row in timing_rows({**written, **read})]


def _scaled(flow, voxels):
    return (flow * (voxels / np.abs(flow).max())).astype(np.float32)
