"""What a training step will take, found from its graph before any step is run.

The graph's operations are gone through in the order in which they were made, and what is still to
be read lies in memory: the most of it at one time is what the step takes beside the weights. XLA
and TensorFlow's own order differ from that one, and fuse operations, so this is an estimate.
"""

import dataclasses
import math

import tensorflow as tf

from ldr_tf.training.state import TrainingState
from ldr_tf.training.step import TrainingStep

_MB = 2.0**20
_ALIASES = {"Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "CheckNumerics"}
"""Operations whose result lies where their input does."""

_CALLS = {
    "PartitionedCall": "f",
    "StatefulPartitionedCall": "f",
    "StatelessWhile": "body",
    "While": "body",
    "StatelessIf": "then_branch",
    "If": "then_branch",
}
"""Operations that run a function, and the attribute that names it."""

_CONVOLUTIONS = {
    "Conv3D": 0,
    "Conv3DBackpropInputV2": 2,
    "Conv3DBackpropFilterV2": 2,
}
"""Convolutions, and which of their inputs has the shape that strides leave; 0: the result does."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training step will take.

    Attributes:
      parameters: of the network, and of the critic where there is one.
      teacher_parameters: of the teacher's network, 0 without one.
      kept_mb: MB (2^20 bytes) that lie in memory from step to step: weights, Adam's two moments,
        the moving average where there is one, the teacher's weights.
      step_mb: MB that a step adds at its most: activations, gradients, intermediate results.
      multiply_adds: of all convolutions in a step, forward and backward.
    """

    parameters: int
    teacher_parameters: int
    kept_mb: float
    step_mb: float
    multiply_adds: int


def plan_step(config, teacher=None, classes=0):
    """Returns the Plan of a training step, on one device.

    Args:
      config: a RunConfig. The step is the full one where it distils, else that of reconstruction.
      teacher: the frozen network that the step runs, or None.
      classes: number of label classes, where `config.loss` counts labels.
    """
    state = TrainingState(config)
    step = TrainingStep(state, teacher, classes)
    distils = config.distillation.kind != "none"
    function = step.full if distils else step.reconstruction
    graph = function.get_concrete_function(_batch(config, stored=distils and teacher is None)).graph
    trained = [state.network] + ([] if state.critic is None else [state.critic])
    parameters = sum(model.count_params() for model in trained)
    taught = 0 if teacher is None else teacher.count_params()
    averages = state.network.count_params() if state.result is not state.network else 0
    return Plan(
        parameters=parameters,
        teacher_parameters=taught,
        kept_mb=4 * (3 * parameters + averages + taught) / _MB,
        step_mb=peak_bytes(graph) / _MB,
        multiply_adds=multiply_adds(graph),
    )


def _batch(config, stored):
    """Returns the specification of a batch as the pipeline yields it."""
    shape = (config.optimisation.batch_size, *config.network.image_size)
    batch = {name: tf.TensorSpec((*shape, 1), tf.uint8) for name in ("fixed", "moving")}
    batch["example"] = tf.TensorSpec(shape[:1], tf.int64)
    if config.loss.label_weight > 0:
        names = ("fixed_labels", "moving_labels")
        batch.update({name: tf.TensorSpec((*shape, 1), tf.uint16) for name in names})
    if stored:
        batch["teacher_flow"] = tf.TensorSpec((*shape, 3), tf.float16)
    return batch


def peak_bytes(graph):
    """Returns the most bytes of tensors that lie in memory at a time while a graph is run.

    Args:
      graph: a tf.Graph with known shapes, or a FuncGraph; variables do not count.
    """
    operations = _operations(graph)
    buffers, last = {}, {}

    def buffer_of(tensor):
        return buffers.get(tensor.ref(), tensor.ref())

    for number, operation in enumerate(operations):
        alias = operation.type in _ALIASES
        for tensor in operation.outputs:
            buffers[tensor.ref()] = buffer_of(operation.inputs[0]) if alias else tensor.ref()
        last.update({buffer_of(tensor): number for tensor in operation.inputs})
    last.update({buffer_of(tensor): len(operations) for tensor in _outputs(graph)})
    sizes, most = {}, 0
    for number, operation in enumerate(operations):
        for tensor in operation.outputs:
            if buffers[tensor.ref()] == tensor.ref():
                sizes[tensor.ref()] = _bytes(tensor)
        most = max(most, sum(sizes.values()) + _inside(graph, operation))
        for buffer in {buffer_of(t) for t in (*operation.inputs, *operation.outputs)}:
            if last.get(buffer, number) <= number:
                sizes.pop(buffer, None)
    return most


def multiply_adds(graph):
    """Returns the multiply-adds of all convolutions of a graph, with those of its functions."""
    total = 0
    for operation in _operations(graph):
        if operation.type in _CONVOLUTIONS:
            place = _CONVOLUTIONS[operation.type]
            strided = operation.inputs[place] if place else operation.outputs[0]
            of_kernel = operation.type == "Conv3DBackpropFilterV2"
            kernel = operation.outputs[0] if of_kernel else operation.inputs[1]
            # Each voxel of the strided side meets the whole kernel.
            total += math.prod(strided.shape[:4]) * math.prod(kernel.shape)
        elif operation.type in _CALLS:
            total += multiply_adds(_called(graph, operation))
    return total


def _operations(graph):
    """Returns, in order, the operations that are run: what is asked for, and what changes state."""
    wanted = {tensor.op for tensor in _outputs(graph)}
    wanted |= {operation for operation in graph.get_operations() if _changes_state(operation)}
    waiting = list(wanted)
    while waiting:
        operation = waiting.pop()
        before = {*(tensor.op for tensor in operation.inputs), *operation.control_inputs} - wanted
        wanted |= before
        waiting += before
    return [operation for operation in graph.get_operations() if operation in wanted]


def _changes_state(operation):
    return operation.op_def.is_stateful and operation.type not in ("Placeholder", "ReadVariableOp")


def _outputs(graph):
    return getattr(graph, "outputs", ())


def _inside(graph, operation):
    """Returns the bytes that a call of a function needs beside what goes in and comes out."""
    if operation.type not in _CALLS:
        return 0
    inner = _called(graph, operation)
    ends = sum(_bytes(tensor) for tensor in (*inner.inputs, *inner.outputs))
    return max(0, peak_bytes(inner) - ends)


def _called(graph, operation):
    """Returns the FuncGraph that an operation runs."""
    return graph._get_function(operation.get_attr(_CALLS[operation.type]).name).graph


def _bytes(tensor):
    if tensor.dtype in (tf.resource, tf.variant, tf.string) or not tensor.shape.is_fully_defined():
        return 0
    return math.prod(tensor.shape) * tensor.dtype.size
