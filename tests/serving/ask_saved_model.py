"""A program for a process that has TensorFlow alone: FOLDER DATA SIGNATURE ...

Answers DATA/SIGNATURE.npz, inputs by name, with DATA/SIGNATURE.answer.npz, outputs by name.
"""

import importlib
import os
import sys

import numpy as np
import tensorflow as tf

for package in ("ldr_tf", "tf_keras"):  # installed or not, they cannot be imported from here on
    sys.modules[package] = None
    try:
        importlib.import_module(package)
    except ImportError:
        continue
    raise SystemExit(f"{package} must not be there")

folder, data, *names = sys.argv[1:]
module = tf.saved_model.load(folder)
for name in names:
    with np.load(os.path.join(data, f"{name}.npz")) as inputs:
        tensors = {key: tf.constant(inputs[key]) for key in inputs}
    answer = module.signatures[name](**tensors)
    arrays = {key: tensor.numpy() for key, tensor in answer.items()}
    np.savez(os.path.join(data, f"{name}.answer.npz"), **arrays)
