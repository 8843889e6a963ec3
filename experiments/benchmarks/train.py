"""Cost of a training step: each arm against the least that it must do, and where the time goes.

    python -m experiments.benchmark train --sizes=64,128 [--config=FILE.json] [--set=FIELD=VALUE]

The floor is a forward and backward pass of the student with a plain MSE of the images. The arms are
whole steps: augmentation, losses, gradients, optimisers. The parts are what an ALDK step cannot do
without, the pieces what a reconstruction step consists of, each alone. Columns: median seconds;
their ratio to the floor; for the ALDK arm the ratio to the sum of floor and parts; the peak memory,
above TensorFlow's import, of a process that does nothing else. --config and --set give fields of a
run's config, such as its network and losses; --sizes=own measures at the config's own image_size.
"""

import dataclasses
import functools
import json
import subprocess
import sys

import numpy as np
import tensorflow as tf
from absl import flags

from experiments.benchmarks.common import interleaved, timing_rows
from experiments.training import read_config_file
from ldr_tf import records
from ldr_tf.config import NetworkConfig, RunConfig, run_config
from ldr_tf.errors import InputError
from ldr_tf.losses.adversarial import feature_distance, gradient_penalty
from ldr_tf.losses.overlap import soft_dice_loss
from ldr_tf.losses.regularization import flow_smoothness
from ldr_tf.losses.similarity import SIMILARITY_LOSSES
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.ops.warp import warp
from ldr_tf.training.augment import TrainingPair, augment
from ldr_tf.training.state import TrainingState
from ldr_tf.training.step import TrainingStep

FLOOR = "floor: student, MSE"
RECONSTRUCTION = "arm: reconstruction"
ALDK = "arm: aldk, full step"
_PARTS = ("part: teacher forward", "part: critic step", "part: critic to its input")
_CLASSES = 35


def define(flag_values):
    """Defines the benchmark's flags."""
    flags.DEFINE_list("sizes", ["64", "128"], "voxels a side, or own", flag_values=flag_values)
    flags.DEFINE_integer("rounds", 7, "timed rounds", 1, flag_values=flag_values)
    flags.DEFINE_string("config", None, "JSON file of config fields", flag_values=flag_values)
    flags.DEFINE_multi_string(
        "set", [], "FIELD=VALUE, a field of the config", flag_values=flag_values
    )
    flags.DEFINE_bool("memory", True, "also measure memory", flag_values=flag_values)
    flags.DEFINE_enum(
        "device", "auto", ["auto", "cpu", "gpu"], "auto: a GPU if any", flag_values=flag_values
    )


def run(sizes=("64", "128"), rounds=7, memory=True, config=None, device="auto", **settings):
    """Measures; returns the rows of the table."""
    _choose(device)
    layers = [] if config is None else [read_config_file(config)]
    layers.append(records.from_settings(RunConfig, settings.get("set", ())))
    values = functools.reduce(records.merged, layers, {"distillation": {"kind": "aldk"}})
    rows = []
    for size in sizes:
        own = at_size(values, size)
        functions = Subjects(own).functions()
        seconds = interleaved(functions, rounds, warm_up=2)
        rows += [
            _row(row, seconds, size, own, memory) for row in timing_rows(seconds, baseline=FLOOR)
        ]
    return rows


def _choose(device):
    """Has TensorFlow use a GPU or none; InputError where there is to be one and is not."""
    if device == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise InputError("--device=gpu: TensorFlow finds no GPU; docs/gpu.md tells what it needs.")
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")


def at_size(values, size):
    """Returns the RunConfig of nested config fields at a size given as text, "64" or "own"."""
    if size == "own":
        return run_config(values)
    if not size.isdigit() or int(size) % 64:
        raise InputError(f"--sizes must be own or multiples of 64 and commas, not {size!r}.")
    return run_config(records.merged(values, {"network": {"image_size": [int(size)] * 3}}))


def _row(row, seconds, size, config, memory):
    name = row["name"]
    result = {"size": size, "name": name, "seconds": row["seconds"], "of_floor": 1 / row["ratio"]}
    if name == ALDK:
        parts = np.sum([seconds[part] for part in (FLOOR, *_PARTS) if part in seconds], axis=0)
        result["of_parts"] = float(np.median(np.divide(seconds[name], parts)))
    if memory and not name.startswith("piece"):
        result["MB"] = _memory(name, config)
    return result


class Subjects:
    """What is timed for one config, as calls without arguments."""

    def __init__(self, config):
        shape = config.network.image_size
        self._config = config
        generator = np.random.default_rng(0)
        volumes = generator.integers(0, 256, (2, 1, *shape, 1), dtype=np.uint8)
        self._batch = {
            "fixed": tf.constant(volumes[0]),
            "moving": tf.constant(volumes[1]),
            "example": tf.constant([0], tf.int64),
        }
        if config.loss.label_weight > 0:
            self._labels = tf.constant(
                generator.integers(0, _CLASSES + 1, volumes[0].shape, np.uint16)
            )
            self._batch.update(fixed_labels=self._labels, moving_labels=self._labels)
        self._fixed, self._moving = (tf.constant(v, tf.float32) / 255.0 for v in volumes)
        self._flow = tf.random.stateless_normal((1, *shape, 3), [1, 2])
        self._other = tf.random.stateless_normal((1, *shape, 3), [3, 4])
        affine_stem = "none" if any(side % 64 for side in shape) else "vtn"
        teacher = NetworkConfig("VTN", affine_stem=affine_stem, image_size=shape)
        self._teacher = CascadeNetwork(teacher)
        self._state = TrainingState(config)
        self._step = TrainingStep(self._state, self._teacher, _CLASSES)

    def functions(self):
        """Returns name -> callable."""
        plain = {
            FLOOR: self._floor,
            _PARTS[0]: lambda: self._teacher(self._fixed, self._moving).flow,
            _PARTS[1]: self._critic_step,
            _PARTS[2]: self._critic_to_its_input,
            "piece: augmentation": self._augment,
            "piece: warp, both ways": self._warp,
            "piece: similarity, both ways": self._similar,
            "piece: smoothness, both ways": self._smooth,
        }
        if self._config.loss.label_weight > 0:
            plain["piece: overlap of labels, both ways"] = self._overlap
        functions = {name: tf.function(f, autograph=False) for name, f in plain.items()}
        functions[RECONSTRUCTION] = lambda: self._step.reconstruction(self._batch)
        functions[ALDK] = lambda: self._step.full(self._batch)
        return functions

    def _floor(self):
        variables = self._state.network.trainable_variables
        with tf.GradientTape() as tape:
            warped = self._state.network(self._fixed, self._moving).warped
            loss = tf.reduce_mean(tf.math.squared_difference(warped, self._fixed))
        return tape.gradient(loss, variables)

    def _critic_step(self):
        critic, config = self._state.critic, self._config.distillation.critic
        with tf.GradientTape() as tape:
            distance = tf.reduce_mean(feature_distance(critic(self._flow), critic(self._other)))
            penalty, _ = gradient_penalty(critic, self._flow, config.flow_length)
            loss = config.penalty * tf.reduce_mean(penalty) - distance
        gradients = tape.gradient(loss, critic.trainable_variables)
        self._state.critic_optimizer.apply_gradients(zip(gradients, critic.trainable_variables))
        return loss

    def _critic_to_its_input(self):
        critic = self._state.critic
        with tf.GradientTape() as tape:
            tape.watch(self._flow)
            distance = tf.reduce_mean(feature_distance(critic(self._flow), critic(self._other)))
        return tape.gradient(distance, self._flow)

    def _augment(self):
        pair = TrainingPair(self._fixed, self._moving)
        return augment(pair, self._config.augmentation, 1, [0]).moving

    def _warp(self):
        return _both_ways(lambda flow: warp(self._moving, flow), self._flow)

    def _similar(self):
        loss = SIMILARITY_LOSSES[self._config.loss.similarity]
        return _both_ways(lambda warped: loss(self._fixed, warped), self._moving)

    def _smooth(self):
        return _both_ways(flow_smoothness, self._flow)

    def _overlap(self):
        labels = self._labels
        classes = tf.range(1, (self._config.loss.label_classes or _CLASSES) + 1)
        return _both_ways(lambda flow: soft_dice_loss(labels, labels, flow, classes), self._flow)


def _both_ways(function, tensor):
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        value = tf.reduce_sum(function(tensor))
    return tape.gradient(value, tensor)


def _memory(name, config):
    """Returns the megabytes that a separate process needs for one of the functions."""
    code = "import sys; from experiments.benchmarks import train; train.show_memory(*sys.argv[1:])"
    command = [sys.executable, "-c", code, name, json.dumps(dataclasses.asdict(config))]
    shown = subprocess.run(command, capture_output=True, check=True, text=True)
    return json.loads(shown.stdout.splitlines()[-1])


def show_memory(name, config):
    """Calls one function three times; prints the peak MB above those after the import."""
    from ldr_tf.metrics.memory import peak_memory

    before = peak_memory()
    function = Subjects(run_config(json.loads(config))).functions()[name]
    for _ in range(3):
        function()
    print(json.dumps((peak_memory() - before) / 1e6))
