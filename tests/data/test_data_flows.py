"""The teacher flow store: what is written is read back, half-made stores go on."""

import json
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest

from data.flows import FlowReader, FlowWriter
from ldr_tf.errors import InputError

SIZE = (8, 10, 12)
PAIRS = [("a_1", "a_2"), ("a_2", "a_1"), ("b-c_1", "a_1")]
LOOK_ALIKES = [("a", "b~c"), ("a~b", "c"), ("a%", "%b"), ("a%%", "b"), ("a", "%%b")]


def flow(seed):
    return np.random.default_rng(seed).uniform(-20, 20, (*SIZE, 3)).astype("float32")


def test_round_trip_in_half_precision(tmp_path):
    path = tmp_path / "flows.h5"
    with FlowWriter(path, SIZE, {"source": "test"}) as writer:
        for seed, pair in enumerate(PAIRS):
            writer.write(*pair, flow(seed))
    with FlowReader(path) as reader:
        reader.check(PAIRS)
        assert reader.about["source"] == "test" and reader.about["image_size"] == list(SIZE)
        for seed, pair in reversed(list(enumerate(PAIRS))):  # random access
            read = reader.read(*pair)
            assert read.dtype == np.float32
            # half precision between 16 and 32 has steps of 1/64: half a step is 0.0078
            assert np.abs(read - flow(seed)).max() <= 0.01
    assert [p.name for p in tmp_path.iterdir()] == ["flows.h5"]


def test_an_interrupted_store_goes_on(tmp_path):
    path = tmp_path / "flows.h5"
    with pytest.raises(KeyboardInterrupt), FlowWriter(path, SIZE, {"x": 1}) as writer:
        writer.write(*PAIRS[0], flow(0))
        raise KeyboardInterrupt
    assert not path.exists()
    with FlowWriter(path, SIZE, {"x": 1}) as writer:
        assert [writer.has(*pair) for pair in PAIRS] == [True, False, False]
        writer.write(*PAIRS[1], flow(1))
    with FlowReader(path) as reader:
        assert np.abs(reader.read(*PAIRS[0]) - flow(0)).max() <= 0.01
        with pytest.raises(InputError, match=r"lacks 1 pairs \(b-c_1 a_1\)"):
            reader.check(PAIRS)


def test_refusals(tmp_path):
    path = tmp_path / "flows.h5"
    with pytest.raises(RuntimeError), FlowWriter(path, SIZE, {"x": 1}) as writer:
        with pytest.raises(InputError, match="must be finite"):
            writer.write("a", "b", np.full((*SIZE, 3), np.nan))
        with pytest.raises(InputError, match=r"must be finite"):
            writer.write("a", "b", np.full((*SIZE, 3), 1e6))  # beyond half precision
        with pytest.raises(InputError, match=r"must be \(8, 10, 12, 3\), not"):
            writer.write("a", "b", flow(0)[1:])
        raise RuntimeError
    with pytest.raises(InputError, match="another teacher, data set or refinement"):
        FlowWriter(path, SIZE, {"x": 2})
    with FlowWriter(path, SIZE, {"x": 1}) as _:
        with pytest.raises(InputError, match="another process is writing here"):
            FlowWriter(path, SIZE, {"x": 1})
        path.touch()
    path.unlink()
    path.write_text("no HDF5")
    with pytest.raises(InputError, match="exists already"):
        FlowWriter(path, SIZE, {"x": 1})
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        FlowReader(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = json.dumps({})
    with pytest.raises(InputError, match="is no store of teacher flows"):
        FlowReader(tmp_path / "other.h5")
    with h5py.File(tmp_path / "new.h5", "w") as file:
        file.attrs["about"] = json.dumps({"format": 2, "image_size": SIZE})
    with pytest.raises(InputError, match="of format 1"):
        FlowReader(tmp_path / "new.h5")


def test_pairs_whose_ids_look_alike_stay_apart(tmp_path):
    path = tmp_path / "flows.h5"
    with FlowWriter(path, SIZE, {}) as writer:
        for seed, pair in enumerate(LOOK_ALIKES):
            writer.write(*pair, flow(seed))
    with FlowReader(path) as reader:
        for seed, pair in enumerate(LOOK_ALIKES):
            assert np.abs(reader.read(*pair) - flow(seed)).max() <= 0.01


def test_flows_that_are_bad_in_the_store_are_refused(tmp_path):
    path = tmp_path / "flows.h5"
    with FlowWriter(path, SIZE, {}) as writer:
        for pair in PAIRS:
            writer.write(*pair, flow(0))
    with h5py.File(path, "a") as file:
        file["a_1/a_2"][3, 4, 5, 0] = np.inf
        del file["a_2/a_1"]
        file["a_2/a_1"] = flow(0)[1:]
        chunk = file["b-c_1/a_1"].id.get_chunk_info(0)
    with FlowReader(path) as reader:
        with pytest.raises(InputError, match="of a_1, a_2 must be finite"):
            reader.read("a_1", "a_2")
        with pytest.raises(
            InputError, match=r"of a_2, a_1 must be floats of size \(8, 10, 12, 3\)"
        ):
            reader.read("a_2", "a_1")
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    with FlowReader(path) as reader, pytest.raises(InputError, match="of b-c_1, a_1"):
        reader.read("b-c_1", "a_1")


def test_a_store_leads_nowhere_else_and_is_what_it_says(tmp_path):
    path = tmp_path / "flows.h5"
    with FlowWriter(path, SIZE, {}) as writer:
        writer.write("a", "b", flow(0))
    (tmp_path / "flows.h5").rename(tmp_path / "other.h5")
    about = {"format": 1, "image_size": list(SIZE)}
    with h5py.File(path, "w") as file:
        file.attrs["about"] = json.dumps(about)
        file["a"] = h5py.ExternalLink("other.h5", "/a")
        file["c/d"] = h5py.SoftLink("/c/d")
    with FlowReader(path) as reader:
        with pytest.raises(InputError, match="of a, b is a link to another file"):
            reader.check([("a", "b")])
        with pytest.raises(InputError, match="of c, d is a link that leads in a circle"):
            reader.read("c", "d")
    with FlowReader(path, allow_external=True) as reader:
        assert np.abs(reader.read("a", "b") - flow(0)).max() <= 0.01
    for size in ([1, 2], [8, 10, 10**6], [8, 10, -1], [8, 10, "x"], "abc", [True, True, True]):
        with h5py.File(path, "a") as file:
            file.attrs["about"] = json.dumps({**about, "image_size": size})
        with pytest.raises(InputError, match="is no store of teacher flows"):
            FlowReader(path)


def test_other_files_in_the_folder_of_a_store_stay(tmp_path):
    folder = tmp_path / "flows.h5.partial"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with FlowWriter(tmp_path / "flows.h5", SIZE, {}) as writer:
        writer.write("a", "b" * 300, flow(0))
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    with FlowReader(tmp_path / "flows.h5") as reader:
        reader.read("a", "b" * 300)


def test_what_a_killed_process_wrote_is_kept(tmp_path):
    path = tmp_path / "flows.h5"
    script = (
        "import os, sys, numpy as np\n"
        "from data.flows import FlowWriter\n"
        f"writer = FlowWriter({str(path)!r}, {SIZE}, {{}})\n"
        "for index in range(10**6):\n"
        f"    writer.write('a', str(index), np.full({(*SIZE, 3)}, index % 99))\n"
        "    print(index, flush=True)\n"
    )
    root = pathlib.Path(__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root)
    for _ in range(20):
        last = int(process.stdout.readline())
    process.kill()
    last = int((process.communicate()[0].split() or [last])[-1])
    assert not path.exists()
    with FlowWriter(path, SIZE, {}) as writer:
        assert all(writer.has("a", str(index)) for index in range(last + 1))
    with FlowReader(path) as reader:
        for index in range(last + 1):
            assert np.all(reader.read("a", str(index)) == index % 99)
