"""What registers a pair: nothing, a network, a network and refinement, or another program.

A method has a `name`, `parameters` (weights of its network), `state()` (what tells it from other
methods, for the record) and is called with a Case; it gives an Outcome.
"""

import dataclasses
import time
from typing import Optional

import numpy as np
import tensorflow as tf

from experiments.evaluation.memory import PeakMemory
from ldr_tf import imaging
from ldr_tf.conventions import INTENSITY_MAX
from ldr_tf.evaluation import Predictor
from ldr_tf.imaging import to_array
from ldr_tf.ops.warp import warp
from ldr_tf.registration.refinement import RefinementConfig, refine
from ldr_tf.registration.register import register

IDENTITY = "identity"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A registration, on the fixed scan's grid.

    Attributes:
      flow: float32 [x, y, z, 3], voxels.
      warped: the moving image, [x, y, z], any scale of intensities.
      warped_labels: the moving labels, nearest neighbour; None leaves them to the flow.
      seconds: wall-clock time of the registration alone.
      cpu_seconds: the same, summed over all threads.
      peak_memory_mb: the most that the process had in memory meanwhile, libraries included.
    """

    flow: np.ndarray
    warped: np.ndarray
    warped_labels: Optional[np.ndarray] = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = np.nan


class Identity:
    """The moving image as it is."""

    name, parameters = IDENTITY, 0

    def state(self):
        return IDENTITY

    def __call__(self, case):
        flow = np.zeros((*case.grid.size, 3), np.float32)
        return Outcome(flow, case.pair.moving, case.pair.moving_labels)


class NetworkMethod:
    """A run's or an export's network, with refinement on the pair where `refine_steps` is above 0.

    On arrays of a data set the network runs on the data set's grid. Scans from files, and a data
    set whose grid is not the run's own (another voxel size, or a size to which the network is
    not bound), go through `ldr_tf.register`: prepared as the run's config says,
    registered on the run's grid, carried back.
    """

    def __init__(self, name, network, run_state, refine_steps=0, affine="auto"):
        self.name = name
        self.parameters = network.count_params()
        self._network, self._state = network, [run_state, refine_steps, affine]
        self._predict = Predictor(network)
        self._steps, self._affine = refine_steps, affine
        self._warm = False

    def state(self):
        return self._state

    def __call__(self, case):
        if case.from_files:
            return self._registered(case, self._affine)
        if self._other_grid(case):
            return self._registered(case, "none")
        pair = case.pair
        self._predict.warm_up(pair.fixed, pair.moving)
        with PeakMemory() as memory:
            cpu = time.process_time()
            flow, warped, seconds = self._predict(pair.fixed, pair.moving)
            if self._steps:
                start = time.perf_counter()
                flow, warped = _refined(pair, flow, self._steps)
                seconds += time.perf_counter() - start
            cpu = time.process_time() - cpu
        return Outcome(flow, warped, None, seconds, cpu, memory.megabytes)

    def _other_grid(self, case):
        network = self._network.run_config.network
        free_size = getattr(self._network, "free_size", network.affine_stem == "none")
        if not free_size and tuple(network.image_size) != tuple(case.grid.size):
            return True
        known = self._network.run_config.image.spacing, case.image and case.image.spacing
        return all(known) and not np.allclose(*known, rtol=0.01)

    def _registered(self, case, affine):
        scans = [case.scans[name] for name in ("fixed", "moving")]
        if not self._warm:
            register(*scans, self._network, affine=affine)
            self._warm = True
        labels = case.scans["moving_labels"]
        with PeakMemory() as memory:
            cpu = time.process_time()
            result = register(
                *scans, self._network, labels, affine=affine, refine_steps=self._steps
            )
            cpu = time.process_time() - cpu
        seconds = sum(s for stage, s in result.seconds.items() if stage != "measure")
        labels = None if result.warped_labels is None else to_array(result.warped_labels)
        return Outcome(
            flow=imaging.displacement_to_flow(result.displacement).astype(np.float32),
            warped=to_array(result.warped),
            warped_labels=labels,
            seconds=seconds,
            cpu_seconds=cpu,
            peak_memory_mb=memory.megabytes,
        )


def outcome_of_displacement(case, displacement, **costs):
    """Returns the Outcome of a displacement field (mm, LPS) on the fixed scan's grid."""
    flow = imaging.displacement_to_flow(displacement).astype(np.float32)
    transform = imaging.displacement_transform(displacement)
    scans, labels = case.scans, None
    warped = to_array(imaging.apply_transform(scans["moving"], scans["fixed"], transform))
    if case.from_files and scans["moving_labels"] is not None:
        labels = to_array(
            imaging.apply_transform(scans["moving_labels"], scans["fixed"], transform, "nearest")
        )
    return Outcome(flow, warped, labels, **costs)


def _refined(pair, flow, steps):
    fixed, moving = [
        np.asarray(volume, np.float32) / np.float32(INTENSITY_MAX)
        for volume in (pair.fixed, pair.moving)
    ]
    flow = refine(fixed, moving, flow, RefinementConfig(steps=steps))
    warped = warp(tf.constant(moving[None, ..., None]), tf.constant(flow[None]))
    return flow, warped.numpy()[0, ..., 0]
