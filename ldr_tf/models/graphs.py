"""Graphs of networks, kept from process to process.

To trace a network takes a second, to read its graph a fifth of that. A graph holds no weights and
serves every network of its kind; what it depends on is in the name under which it is kept.
"""

import functools
import glob
import hashlib
import json
import os

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

import ldr_tf
from ldr_tf import cache, records

_KIND, _MOST = "graphs", 24
_SIGNATURE, _RESULT = "flow", "flow"
_SOURCES = ("networks", "ops")


def flow_function(network, size):
    """Returns function(fixed, moving) that gives the flow of a network, as one graph.

    Args:
      network: a CascadeNetwork.
      size: voxels along x, y, z; the function takes volumes [1, *size, 1], intensities 0..1, and
        returns [1, *size, 3], voxels.
    """
    name = _name(network, size)
    content = cache.read(_KIND, name)
    if content is not None:
        return _imported(meta_graph_pb2.MetaGraphDef.FromString(content), network.variables)
    function = tf.function(lambda fixed, moving: network(fixed, moving).flow, autograph=False)
    concrete = function.get_concrete_function(*[tf.TensorSpec((1, *size, 1), tf.float32)] * 2)
    graph = _exported(concrete, network.variables)
    if graph is not None:
        cache.keep(_KIND, name, graph.SerializeToString(), _MOST)
    return concrete


def _name(network, size):
    """Returns the name of a file: a digest of all that the graph depends on, but its weights."""
    known = {
        "network": records.to_dict(network.config),
        "precision": network.precision,
        "compiled": network.compiled_warp,
        "size": list(size),
        "versions": [ldr_tf.__version__, tf.__version__, _sources()],
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32] + ".pb"


@functools.lru_cache(maxsize=1)
def _sources():
    """Returns the digest of the code that is traced."""
    digest, top = hashlib.sha256(), os.path.dirname(os.path.abspath(ldr_tf.__file__))
    for folder in _SOURCES:
        for path in sorted(glob.glob(os.path.join(top, folder, "*.py"))):
            with open(path, "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()


def _exported(concrete, variables):
    """Returns a graph that calls a concrete function, and how it is called; None where it cannot.

    Returns:
      A MetaGraphDef. The inputs of its signature are called by their place among the arguments,
      "0" and "1", and "weight 3" by that among the variables.
    """
    whole = tf.function(lambda *tensors: concrete(*tensors), autograph=False)
    # The function is one node of this graph: that is read faster than its many.
    outer = whole.get_concrete_function(
        *[tf.TensorSpec(t.shape, t.dtype) for t in concrete.inputs[:2]]
    )
    places = {id(variable.handle): place for place, variable in enumerate(variables)}
    meta = meta_graph_pb2.MetaGraphDef(graph_def=outer.graph.as_graph_def())
    signature = meta.signature_def[_SIGNATURE]
    for place, tensor in enumerate(outer.inputs[:2]):
        signature.inputs[str(place)].name = tensor.name
    for captured, tensor in outer.graph.captures:
        if id(captured) not in places:
            return None
        signature.inputs[f"weight {places[id(captured)]}"].name = tensor.name
    signature.outputs[_RESULT].name = outer.outputs[0].name
    return meta


def _imported(meta, variables):
    """Returns the function that `_exported` was given, with other variables of the same kind."""
    signature = meta.signature_def[_SIGNATURE]
    names = {what: info.name for what, info in signature.inputs.items()}
    feeds, handles = [names.pop("0"), names.pop("1")], []
    for what, name in names.items():
        feeds.append(name)
        handles.append(variables[int(what.split()[1])].handle)
    imported = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(meta.graph_def, name=""), []
    )
    function = imported.prune(feeds, signature.outputs[_RESULT].name)
    return lambda fixed, moving: function(fixed, moving, *handles)
