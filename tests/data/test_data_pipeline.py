"""Batches for training: what is in them, and that they resume; pairs for evaluation."""

import h5py
import numpy as np
import pytest

from data.evaluation import evaluation_pairs
from data.flows import FlowWriter
from data.manifest import scan_id, write_manifest
from data.pairs import list_pairs, training_pairs
from data.volumes import VolumeReader, write_scan
from ldr_tf.errors import InputError
from tests.batches import training_batches

SIZE = (16, 17, 18)


@pytest.fixture
def manifest(tmp_path):
    generator = np.random.default_rng(0)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        for index in range(5):
            volume = generator.integers(0, 256, SIZE).astype(np.uint8)
            points = generator.uniform(0, 15, (6, 3)) if index else None
            write_scan(file, f"s{index}", volume, volume // 100 if index else None, points)
    subsets = {"s": [f"v/s{index}" for index in range(5)]}
    path = tmp_path / "set.json"
    return write_manifest(path, {"v": "v.h5"}, subsets, {"1": {"s": 1.0}}, SIZE)


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def test_batches_hold_the_pairs_of_their_step(manifest):
    reader = VolumeReader(manifest)
    batches = take(training_batches(manifest, "1", 3, seed=4), 9)
    examples = np.concatenate([batch["example"] for batch in batches])
    np.testing.assert_array_equal(examples, np.arange(27))
    for step, batch in enumerate(batches):
        assert batch["fixed"].dtype == np.uint8
        assert batch["fixed"].shape == batch["moving"].shape == (3, *SIZE, 1)
        for item, (fixed, moving) in enumerate(training_pairs(manifest, "1", 3, 4, step)):
            np.testing.assert_array_equal(batch["fixed"][item, ..., 0], reader.read_volume(fixed))
            np.testing.assert_array_equal(batch["moving"][item, ..., 0], reader.read_volume(moving))


def test_shapes_and_types_are_known_beforehand(manifest):
    spec = training_batches(manifest, "1", 2, seed=0).element_spec
    assert spec["fixed"].shape == spec["moving"].shape == (2, *SIZE, 1)
    assert spec["fixed"].dtype == "uint8"
    assert spec["example"].dtype == "int64"
    assert spec["example"].shape == (2,)


def test_resumes_at_any_step(manifest):
    whole = take(training_batches(manifest, "1", 2, seed=9), 8)
    resumed = take(training_batches(manifest, "1", 2, seed=9, first_step=5), 3)
    for expected, batch in zip(whole[5:], resumed):
        for name, value in expected.items():
            np.testing.assert_array_equal(batch[name], value)


@pytest.mark.parametrize(
    "images",
    [{}, {"images": "synthetic_any", "painted": "label_maps"}],
    ids=["scans", "recoloured"],
)
def test_stored_flows_come_with_their_pairs(images, manifest, tmp_path):
    pairs = list_pairs(manifest, "1")
    path = tmp_path / "flows.h5"
    with FlowWriter(path, SIZE, {}) as writer:
        for number, pair in enumerate(pairs):
            writer.write(*map(scan_id, pair), np.full((*SIZE, 3), number / 8, np.float32))
    batches = training_batches(manifest, "1", 2, seed=3, flows=path, **images)
    for step, batch in enumerate(take(batches, 4)):
        assert batch["teacher_flow"].dtype == np.float16
        chosen = training_pairs(manifest, "1", 2, 3, step)
        wanted = [pairs.index(pair) / 8 for pair in chosen]
        np.testing.assert_array_equal(batch["teacher_flow"][:, 3, 4, 5, 1], wanted)


def test_a_store_must_hold_every_pair_at_the_size(manifest, tmp_path):
    with FlowWriter(tmp_path / "few.h5", SIZE, {}) as writer:
        writer.write("v_s0", "v_s1", np.zeros((*SIZE, 3), np.float32))
    with pytest.raises(InputError, match=r"few.h5: lacks 19 pairs \(v_s0 v_s2, "):
        training_batches(manifest, "1", 1, seed=0, flows=tmp_path / "few.h5")
    with FlowWriter(tmp_path / "small.h5", (8, 8, 8), {}):
        pass
    with pytest.raises(InputError, match=r"small.h5: holds flows of \(8, 8, 8\)"):
        training_batches(manifest, "1", 1, seed=0, flows=tmp_path / "small.h5")


def test_bad_data_are_refused_before_the_first_batch(manifest, tmp_path):
    with h5py.File(tmp_path / "v.h5", "a") as file:
        del file["s3"]["volume"]
        file["s3"]["volume"] = np.zeros((16, 16, 16), np.uint8)
    with pytest.raises(InputError, match="'v/s3': volume must have image_size"):
        training_batches(manifest, "1", 1, seed=0)
    with pytest.raises(InputError, match="'v/s3': volume must have image_size"):
        evaluation_pairs(manifest, list_pairs(manifest, "s"))
    with pytest.raises(InputError, match="no scheme or subset '7'"):
        training_batches(manifest, "7", 1, seed=0)


def test_evaluation_pairs_come_in_order_with_all_they_have(manifest):
    reader = VolumeReader(manifest)
    pairs = list(evaluation_pairs(manifest, list_pairs(manifest, "1")))
    names = [
        (key[0].replace("/", "_"), key[1].replace("/", "_")) for key in list_pairs(manifest, "1")
    ]
    assert [(pair.fixed_id, pair.moving_id) for pair in pairs] == names
    last = pairs[-1]
    assert (last.fixed_id, last.moving_id) == ("v_s4", "v_s3")
    fixed, moving = reader.read("v/s4"), reader.read("v/s3")
    np.testing.assert_array_equal(last.fixed, fixed.volume)
    np.testing.assert_array_equal(last.moving, moving.volume)
    np.testing.assert_array_equal(last.moving_labels, moving.segmentation)
    np.testing.assert_array_equal(last.fixed_points, fixed.point)
    assert pairs[0].fixed_labels is None
    assert pairs[0].fixed_points is None


def test_shards_are_the_parts_of_one_batch(manifest):
    whole = take(training_batches(manifest, "1", 4, seed=4), 3)
    for index in range(2):
        parts = take(training_batches(manifest, "1", 4, seed=4, shard=(index, 2)), 3)
        for batch, part in zip(whole, parts):
            for side in ("fixed", "moving", "example"):
                np.testing.assert_array_equal(part[side], batch[side][2 * index : 2 * index + 2])
    with pytest.raises(
        InputError, match="a batch of 4 pairs cannot be divided evenly among 3 workers"
    ):
        training_batches(manifest, "1", 4, seed=4, shard=(0, 3))


def test_the_cache_keeps_what_was_read(manifest, tmp_path):
    wanted = take(training_batches(manifest, "1", 2, seed=4), 30)
    batches = iter(training_batches(manifest, "1", 2, seed=4, cache=True))
    first = [next(batches) for _ in range(20)]  # an epoch: every scan was read
    path = tmp_path / "v.h5"
    path.write_bytes(b"\0" * path.stat().st_size)
    for expected, batch in zip(wanted, first + [next(batches) for _ in range(10)]):
        np.testing.assert_array_equal(batch["fixed"], expected["fixed"])
        np.testing.assert_array_equal(batch["moving"], expected["moving"])


@pytest.mark.parametrize("options", [{"chunks": (8, 8, 9)}, {"compression": "gzip"}])
def test_volumes_of_any_storage(manifest, tmp_path, options):
    with VolumeReader(manifest) as reader:
        volumes = {key: reader.read_volume(key) for key in manifest.subsets["s"]}
    with h5py.File(tmp_path / "v.h5", "a") as file:
        for group in file.values():
            volume = group["volume"][()]
            del group["volume"]
            group.create_dataset("volume", data=volume, **options)
    for step, batch in enumerate(take(training_batches(manifest, "1", 1, seed=4), 5)):
        ((fixed, moving),) = training_pairs(manifest, "1", 1, 4, step)
        np.testing.assert_array_equal(batch["fixed"][0, ..., 0], volumes[fixed])
        np.testing.assert_array_equal(batch["moving"][0, ..., 0], volumes[moving])
