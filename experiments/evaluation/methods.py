"""What registers a pair: nothing, a model, a model and refinement, or another program.

A method has a `name`, `parameters` (the number of its weights, None where unknown) and `state()`
(what tells it from other methods, for the record). It is called with a Case and gives an Outcome.
"""

import dataclasses
import time
from typing import Optional

import numpy as np
import tensorflow as tf

from ldr_tf import imaging
from ldr_tf.imaging import to_array
from ldr_tf.metrics.memory import PeakMemory
from ldr_tf.ops.warp import warp
from ldr_tf.registration.pair import SIDES
from ldr_tf.registration.refinement import refine_volumes
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
    """A model, with refinement on the pair where `refine_steps` is above 0.

    On arrays of a data set the model runs on the data set's grid. Scans from files, and a data
    set whose grid is not the model's own (another voxel size, or a size that it does not take),
    go through `ldr_tf.register`: prepared as the model's config says, registered on its grid,
    carried back.
    """

    def __init__(self, name, model, refine_steps=0, affine="auto"):
        self.name = name
        self.parameters, self.precision = model.parameters, model.precision
        self._model, self._steps, self._affine = model, refine_steps, affine
        self._state = [model.fingerprint, model.precision, refine_steps, affine]
        self._sizes = set()  # of which all is traced and compiled
        self._warm = False

    def state(self):
        return self._state

    def __call__(self, case):
        if case.from_files:
            return self._registered(case, self._affine)
        if self._other_grid(case):
            return self._registered(case, "none")
        if case.grid.size not in self._sizes:
            self._on_arrays(case, 0)
            self._sizes.add(case.grid.size)
        with PeakMemory() as memory:
            cpu, start = time.process_time(), time.perf_counter()
            flow, warped = self._on_arrays(case, self._steps)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return Outcome(flow, warped, None, seconds, cpu, memory.megabytes)

    def _other_grid(self, case):
        if not self._model.takes(case.grid.size):
            return True
        known = self._model.image.spacing, case.image and case.image.spacing
        return all(known) and not np.allclose(*known, rtol=0.01)

    def _on_arrays(self, case, steps):
        """Returns flow and warped image on the data set's own grid."""
        fixed, moving = case.pair.fixed, case.pair.moving
        flow = self._model.flow(fixed, moving)
        if steps:
            ct = case.image is not None and case.image.intensity == "ct_abdomen"
            spacing = case.grid.spacing
            flow, _ = refine_volumes(fixed, moving, flow, steps, spacing=spacing, ct=ct)
        moving = tf.constant(moving[None, ..., None], tf.float32)
        return flow, warp(moving, tf.constant(flow[None])).numpy()[0, ..., 0]

    def _registered(self, case, affine):
        scans = [case.scans[name] for name in SIDES]
        masks = {f"{side}_mask": case.scans.get(f"{side}_mask") for side in SIDES}
        brain = "none" if all(mask is None for mask in masks.values()) else "given"
        # Networks are judged by what they fold themselves.
        chosen = {"affine": affine, "brain": brain, "unfold": False, **masks}
        if not self._warm:
            register(*scans, self._model, refine_steps=0, **chosen)
            self._warm = True
        labels = case.scans["moving_labels"]
        with PeakMemory() as memory:
            cpu = time.process_time()
            result = register(*scans, self._model, labels, refine_steps=self._steps, **chosen)
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
