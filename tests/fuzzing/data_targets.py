"""Files of data sets, runs and stores, damaged, and what reads them."""

import functools
import os
import pickle
import tempfile
import types

import h5py
import numpy as np
from hypothesis import strategies as st

from data.flows import FlowReader, FlowWriter
from data.manifest import read_manifest
from data.pairs import list_pairs
from data.volumes import VolumeReader
from experiments.array_pickles import read_arrays
from ldr_tf import records
from ldr_tf.config import RunConfig, run_config
from ldr_tf.files import read_json
from ldr_tf.runs import packed
from tests.fuzzing.attempt import SECRET, SIZE
from tests.fuzzing.mutations import damaged, damaged_json, named

_DEEDS = ["data", "data", "group", "link", "loop", "out", "raw", "virtual", "large"]
_MANIFEST = {
    "files": {"a": {"type": "HDF5", "path": "a.h5"}, "/": {"type": "HDF5", "path": "a.h5"}},
    "subsets": {"train": ["a/1", "a/2", "x/3"], "val": ["a/2", "a/1"]},
    "schemes": {"1": {"train": 0.5, "val": 0.5}, "2": {"val": 1.0}},
    "image_size": list(SIZE),
    "image_type": "brain",
    "atlas": "a/1",
    "segmentation_class_value": {"liver": 1},
    "image": {"orientation": "LPS", "spacing": [1.0, 1.0, 1.0]},
    "task": "registration",
}


def _use_manifest(folder):
    manifest = read_manifest(os.path.join(folder, "set.json"))
    for name in ("1", "2", "val"):
        if name in manifest.schemes or name in manifest.subsets:
            list_pairs(manifest, name)


def _use_config(folder):
    config = run_config(read_json(os.path.join(folder, "config.json")))
    assert run_config(records.to_dict(config)) == config, "the config does not come back"


@st.composite
def _volume_files(draw):
    """An HDF5 file with anything at the places of a data set; the JSON is right."""
    kinds = ["|u1", "<u2", ">u2", "<f4", ">f8", "<i8", "<u8", "?", "S3"]
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as file:
        for scan in ("1", "2"):
            group = file.create_group(scan)
            group["volume"] = np.full(SIZE, 3, np.uint8)
            for field in draw(st.sets(st.sampled_from(["volume", "segmentation", "point"]))):
                if field in group:
                    del group[field]
                _put(draw, group, field, kinds)
        file.flush()
        content = file.id.get_file_image()
    if draw(st.booleans()):
        content = draw(damaged(content))
    return {"a.h5": content}


def _put(draw, group, field, kinds):
    deed = draw(st.sampled_from(_DEEDS))
    shape = draw(st.sampled_from([SIZE, SIZE, (6, 3), (0, 3), (), (4, 5), (1, 1, 1)]))
    if deed == "data":
        kind = draw(st.sampled_from(kinds))
        value = draw(st.sampled_from([0, 1, 255, -1, 0.5, float("nan"), 1e30]))
        with np.errstate(all="ignore"):
            group[field] = np.full(shape, np.float64(value)).astype(kind)
    elif deed == "group":
        group.create_group(field)
    elif deed == "link":
        group[field] = h5py.SoftLink(draw(st.sampled_from(["/nowhere", "/2/volume", ".", "x"])))
    elif deed == "loop":
        group[field] = h5py.SoftLink(f"{group.name}/{field}")
    elif deed == "out":
        group[field] = h5py.ExternalLink("../secret.h5", "/volume")
    elif deed == "raw":
        where = [("../secret.h5", 2048, int(np.prod(SIZE)))]
        group.create_dataset(field, SIZE, np.uint8, external=where)
    elif deed == "virtual":
        layout = h5py.VirtualLayout(SIZE, np.uint8)
        layout[:] = h5py.VirtualSource("../secret.h5", "volume", SIZE)
        group.create_virtual_dataset(field, layout)
    else:
        group.create_dataset(field, (3000, 3000, 3000), np.uint8, chunks=(64, 64, 64))


def _use_volumes(folder):
    manifest = types.SimpleNamespace(
        path=os.path.join(folder, "set.json"),
        image_size=SIZE,
        allow_external=False,
        locate=lambda key: ("a", key),
        file_path=lambda _: os.path.join(folder, "a.h5"),
    )
    with VolumeReader(manifest) as reader:
        for key in ("1", "2"):
            reader.check([key])
            volume, labels = np.empty(SIZE, np.uint8), np.empty(SIZE, np.uint16)
            reader.read_volume_into(key, volume)
            scan = reader.read(key)
            assert not (scan.volume == SECRET).all(), "a secret file was read"
            assert not (volume == SECRET).all(), "a secret file was read"
            assert scan.point is None or np.isfinite(scan.point).all(), "points are not finite"
            if reader.has_labels(key):
                assert not (scan.segmentation == SECRET).all(), "a secret file was read"
                reader.read_labels_into(key, labels)
            reader.digest(key)
            reader.is_label_map(key)


@functools.cache
def _flow_store():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "flows.h5")
        with FlowWriter(path, SIZE, {"source": "fuzz"}) as writer:
            writer.write("a", "b", np.ones((*SIZE, 3), np.float32), ("1", "2"))
        with open(path, "rb") as file:
            return file.read()


def _use_flows(folder):
    with FlowReader(os.path.join(folder, "flows.h5")) as store:
        store.check([("a", "b")], digest=lambda name: {"a": "1", "b": "2"}[name])
        assert np.isfinite(store.read("a", "b")).all(), "a flow is not finite"


class _Variable:
    def __init__(self, seed):
        self.name, self.shape = f"w{seed}", (3, 4)
        self._values = np.random.default_rng(seed).normal(size=self.shape).astype(np.float32)

    def numpy(self):
        return self._values

    def assign(self, values):
        assert np.array_equal(values, self._values.astype(np.float16)), "other weights are loaded"


_NETWORK = types.SimpleNamespace(variables=[_Variable(0), _Variable(1)])


@functools.cache
def _weights():
    with tempfile.TemporaryDirectory() as folder:
        packed.write_weights(folder, _NETWORK)
        with open(os.path.join(folder, packed.WEIGHTS_NAME), "rb") as file:
            return file.read()


_ARRAYS = {"a-b": np.ones((2, 2, 2, 3), np.float16), "b-a": np.zeros((2, 2, 2, 3), np.float32)}

DATA_TARGETS = {
    "manifest": {"files": named("set.json", damaged_json(_MANIFEST)), "use": _use_manifest},
    "config": {
        "files": named("config.json", damaged_json(records.to_dict(RunConfig()))),
        "use": _use_config,
    },
    "volumes": {"files": _volume_files(), "use": _use_volumes},
    "flows": {
        "files": st.deferred(lambda: named("flows.h5", damaged(_flow_store()))),
        "use": _use_flows,
    },
    "weights": {
        "files": st.deferred(lambda: named("weights.h5", damaged(_weights()))),
        "use": lambda folder: packed.read_weights(folder, _NETWORK),
    },
    "pickles": {
        "files": st.sampled_from(range(6)).flatmap(
            lambda protocol: named("a.pkl", damaged(pickle.dumps(_ARRAYS, protocol)))
        ),
        "use": lambda folder: read_arrays(os.path.join(folder, "a.pkl")) and None,
    },
}
