"""Functions as TensorFlow graphs, kept from process to process, see `ldr_tf.cache`.

To trace a network of two thousand operations takes a second, to read its graph a tenth of that. A
graph holds no variables' values, so that it serves every network of its kind; whatever else it
depends on is in the name under which it is kept.
"""

import functools
import hashlib
import json
import pathlib

import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2

import ldr_tf
from ldr_tf import cache

_KIND, _MOST = "graphs", 48
_SIGNATURE, _VARIABLE = "function", "variable "


def kept_function(function, specs, about, variables=()):
    """Returns a function as a graph: read, where an earlier process kept it, else traced and kept.

    Args:
      function: takes tensors and returns a list of tensors.
      specs: the tf.TensorSpec of each of its arguments.
      about: all that the graph depends on but for the code and TensorFlow, as JSON knows it.
      variables: those that it reads, always in the same order.

    Returns:
      What is called as `function` is; no gradient passes through it.
    """
    name = _name(about)
    content = cache.read(_KIND, name)
    if content is not None:
        return _imported(meta_graph_pb2.MetaGraphDef.FromString(content), len(specs), variables)
    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
    cache.keep(_KIND, name, _exported(concrete, specs, variables).SerializeToString(), _MOST)
    return concrete


def _name(about):
    known = [about, ldr_tf.__version__, tf.__version__, _code()]
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:32] + ".pb"


@functools.lru_cache(maxsize=1)
def _code():
    """Returns the digest of this package's code."""
    digest, top = hashlib.sha256(), pathlib.Path(ldr_tf.__file__).parent
    for path in sorted(top.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _exported(concrete, specs, variables):
    """Returns a MetaGraphDef whose graph calls a concrete function, and whose signature says how.

    The inputs of the signature are called by their place among the arguments, "0", or among the
    variables, "variable 0"; the outputs by theirs.
    """
    # The function is one node of this graph: that is read faster than its many.
    whole = tf.function(lambda *tensors: concrete(*tensors), autograph=False)
    graph = whole.get_concrete_function(*specs).graph
    meta = meta_graph_pb2.MetaGraphDef(graph_def=graph.as_graph_def())
    signature = meta.signature_def[_SIGNATURE]
    for place, tensor in enumerate(graph.inputs[: len(specs)]):
        signature.inputs[str(place)].name = tensor.name
    places = {id(variable.handle): place for place, variable in enumerate(variables)}
    for captured, tensor in graph.captures:
        signature.inputs[f"{_VARIABLE}{places[id(captured)]}"].name = tensor.name
    for place, tensor in enumerate(graph.outputs):
        signature.outputs[str(place)].name = tensor.name
    return meta


def _imported(meta, arguments, variables):
    """Returns the function of `_exported`, with as many arguments and other variables."""
    signature = meta.signature_def[_SIGNATURE]
    feeds, handles = [signature.inputs[str(place)].name for place in range(arguments)], []
    for what, info in signature.inputs.items():
        if what.startswith(_VARIABLE):
            feeds.append(info.name)
            handles.append(variables[int(what[len(_VARIABLE) :])].handle)
    fetches = [signature.outputs[str(place)].name for place in range(len(signature.outputs))]
    imported = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(meta.graph_def, name=""), []
    )
    function = imported.prune(feeds, fetches)
    return lambda *tensors: function(*tensors, *handles)
