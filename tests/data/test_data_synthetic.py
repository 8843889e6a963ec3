"""Images painted from labels: a function of seed and number, flat where they must be."""

import dataclasses
import functools

import h5py
import numpy as np
import pytest
import tensorflow as tf

from data import synthetic
from data.manifest import write_manifest
from data.volumes import write_scan
from ldr_tf.errors import InputError
from tests.batches import training_batches

SIZE = (24, 20, 16)


def labels():
    """A block of 41 in a block of 3 in air."""
    array = np.zeros(SIZE, np.uint16)
    array[4:20, 4:16, 3:13] = 3
    array[9:15, 7:13, 5:11] = 41
    return array


def paint(style="synthetic", seed=1, number=0, moving=None):
    first = tf.constant(labels())
    second = first if moving is None else tf.constant(moving)
    images = synthetic.paint_pair(first, second, style, seed, tf.constant(number, tf.int64))
    return [image.numpy() for image in images]


def test_seed_and_number_decide_all():
    first, again = paint(), paint()
    for a, b in zip(first, again):
        assert a.dtype == np.uint8 and a.shape == SIZE
        np.testing.assert_array_equal(a, b)
    assert np.abs(first[0].astype(int) - paint(number=1)[0]).max() > 20
    assert np.abs(first[0].astype(int) - paint(seed=2)[0]).max() > 20
    # the same labels, but not the same picture: bias, texture and noise are each image's own
    assert (first[0] != first[1]).mean() > 0.3


def test_in_a_graph_as_outside():
    pair = [tf.constant(labels())] * 2
    compiled = tf.function(lambda n: synthetic.paint_pair(*pair, "synthetic", 1, n))
    for a, b in zip(compiled(tf.constant(5)), paint(number=5)):
        assert np.abs(a.numpy().astype(int) - b).max() <= 1


@pytest.mark.parametrize("style", synthetic.STYLES[:2])
def test_a_label_keeps_its_intensity_in_both_images(style):
    inside = labels() == 41
    means = []
    for number in range(12):
        pair = paint(style, number=number)
        means.append([image[2:-2][inside[2:-2]].mean() for image in pair])
    means = np.array(means)
    assert np.abs(means[:, 0] - means[:, 1]).max() < 40
    # uniform in 13..255 has a deviation of 70 without the style, some 13 with it
    assert (means[:, 0].std() > 35) == (style == "synthetic")


def test_any_contrast_is_each_images_own():
    """Means of a label over many pairs: as far apart within a pair as from pair to pair."""
    means = []
    for number in range(24):
        pair = paint("synthetic_any", number=number)
        means.append([image[labels() == 41].mean() for image in pair])
    means = np.array(means)
    assert means.std() > 40 and np.abs(np.corrcoef(means.T)[0, 1]) < 0.5
    for a, b in zip(paint("synthetic_any", number=3), paint("synthetic_any", number=3)):
        np.testing.assert_array_equal(a, b)


def test_what_scans_may_lack():
    """Of forty heads some are without what is outside the brain, some end within the block."""
    head = np.where(labels() == 0, 506, labels()).astype(np.uint16)
    stripped = cut = 0
    for number in range(40):
        for image in paint("synthetic_any", number=number, moving=head):
            dark = image < 5
            outside = dark[head == 506].mean()
            stripped += outside > 0.95 and not dark[10:14, 8:12, 6:10].any()
            ends = [np.moveaxis(dark, axis, 0)[[0, -1]] for axis in range(3)]
            cut += outside < 0.6 and any(end.all() for pair in ends for end in pair)
    assert stripped > 5 and cut > 5


def test_scans_get_curves_that_begin_at_zero():
    ramp = 10.0 * np.maximum(np.arange(SIZE[0]) - 4, 0)
    ramp[-1] = 0  # blurred, an end sees the other
    scan = np.tile(ramp.astype(np.float32)[:, None, None], (1, *SIZE[1:]))
    kinds = {"unchanged": 0, "rising": 0, "other": 0}
    for number in range(40):
        for image in synthetic.recolour_pair(scan, scan, 1, tf.constant(number)):
            line = image.numpy()[:, SIZE[1] // 2, SIZE[2] // 2].astype(int)
            assert not line[:4].any()
            inner, wanted = line[5:-5], ramp[5:-5]
            if np.abs(inner - wanted).max() <= 1:
                kinds["unchanged"] += 1
            else:
                kinds["rising" if (np.diff(inner) >= 0).all() else "other"] += 1
    assert min(kinds.values()) > 5


def test_t1_means_put_tissues_in_order():
    table = synthetic.t1_means()
    white, cortex, fluid = table[2], table[3], table[4]
    assert fluid < cortex < white
    for left, right in ((2, 41), (3, 42), (4, 43), (10, 49), (17, 53)):
        assert table[left] == table[right]
    assert table[0] == table[999] == -1
    pair = paint("synthetic_t1", number=3)
    gray, white = (pair[0][labels() == value].mean() for value in (3, 41))
    assert gray + 20 < white
    assert not pair[0][:2].any()


@pytest.fixture
def label_set(tmp_path):
    with h5py.File(tmp_path / "v.h5", "w") as file:
        for index in range(4):
            shifted = np.roll(labels(), index, 0)
            write_scan(file, f"s{index}", np.zeros(SIZE, np.uint8), shifted)
    return write_manifest(
        tmp_path / "set.json",
        {"v": "v.h5"},
        {"s": [f"v/s{index}" for index in range(4)]},
        {"1": {"s": 1.0}},
        SIZE,
    )


def take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def test_painted_batches_resume_and_fall_into_shards(label_set):
    make = functools.partial(training_batches, label_set, "1", 2, 7, images="synthetic")
    whole = take(make(), 4)
    assert whole[0]["fixed"].shape == (2, *SIZE, 1) and whole[0]["fixed"].dtype == np.uint8
    assert (whole[0]["fixed"][0] != whole[0]["fixed"][1]).any()
    for batch, resumed in zip(whole[2:], take(make(first_step=2), 2)):
        np.testing.assert_array_equal(batch["fixed"], resumed["fixed"])
        np.testing.assert_array_equal(batch["moving"], resumed["moving"])
    for index in range(2):
        for batch, part in zip(whole, take(make(shard=(index, 2)), 4)):
            np.testing.assert_array_equal(batch["moving"][index : index + 1], part["moving"])


def test_in_any_contrast_scans_are_recoloured_and_labels_painted(label_set, tmp_path):
    with h5py.File(tmp_path / "v.h5", "a") as file:
        for name in ("s2", "s3"):  # scans
            file[name]["volume"][...] = 60 * (labels() > 0)
        for name in ("s0", "s1"):
            file[name].attrs["painted"] = True
    options = {"images": "synthetic_any", "painted": "label_maps"}
    batches = take(training_batches(label_set, "1", 1, 7, **options), 12)
    shades = [np.unique(batch[side]) for batch in batches for side in ("fixed", "moving")]
    few = [shade for shade in shades if len(shade) <= 8]
    assert 4 <= len(few) < len(shades)  # scans have a few shades, what is painted has noise
    assert len({tuple(shade) for shade in few}) > 2


def test_in_any_contrast_scans_alone_are_recoloured_too(label_set, tmp_path):
    with h5py.File(tmp_path / "v.h5", "a") as file:
        for name in ("s0", "s1", "s2", "s3"):
            file[name]["volume"][...] = 60 * (labels() > 0)
    options = {"images": "synthetic_any", "painted": "label_maps"}
    batches = take(training_batches(label_set, "1", 1, 7, **options), 6)
    assert len({int(batch[side].max()) for batch in batches for side in ("fixed", "moving")}) > 3


def test_labels_out_of_range(label_set, tmp_path):
    with h5py.File(tmp_path / "v.h5", "a") as file:
        del file["s2"]["segmentation"]
        file["s2"]["segmentation"] = np.full(SIZE, -1)
    with pytest.raises(tf.errors.OpError, match=r"labels must lie in 0..65535 to be painted"):
        take(training_batches(label_set, "1", 2, 7, images="synthetic"), 6)


def test_scans_without_labels(label_set, tmp_path):
    with h5py.File(tmp_path / "v.h5", "a") as file:
        del file["s2"]["segmentation"]
    with pytest.raises(InputError, match="'v/s2': has no segmentation from which an image"):
        training_batches(label_set, "1", 2, 7, images="synthetic")
    training_batches(label_set, "1", 2, 7)


@pytest.fixture
def mixed(tmp_path):
    """Two scans, one with labels, and two label maps of which there is but a picture."""
    generator = np.random.default_rng(0)
    with h5py.File(tmp_path / "v.h5", "w") as file:
        for index in range(4):
            volume = generator.integers(0, 256, SIZE).astype(np.uint8)
            marks = None if index == 0 else np.roll(labels(), index, 0)
            write_scan(file, f"s{index}", volume, marks, attributes={"painted": index > 1})
    subsets = {"scans": ["v/s0", "v/s1"], "maps": ["v/s2", "v/s3"]}
    values = {"white matter": 41, "cortex": 3}
    schemes = {"1": {"scans": 0.5, "maps": 0.5}}
    path = tmp_path / "set.json"
    return write_manifest(
        path, {"v": "v.h5"}, subsets, schemes, SIZE, segmentation_class_value=values
    )


def test_label_maps_are_painted_beside_scans(mixed):
    with h5py.File(mixed.file_path("v")) as file:
        volumes = [file[f"s{index}/volume"][()] for index in range(4)]
    options = {"images": "synthetic_t1", "painted": "label_maps"}
    batches = list(training_batches(mixed, "1", 2, 5, **options).take(3).as_numpy_iterator())
    for batch in batches:
        for side in ("fixed", "moving"):
            scan, painted = batch[side][..., 0]
            assert any(np.array_equal(scan, volume) for volume in volumes[:2])
            # Air is black and the block is not, however it is shifted.
            assert np.median(painted[painted > 20]) > 100 and painted[:, 0].max() < 20
            assert not any(np.array_equal(painted, volume) for volume in volumes)
    whole = training_batches(mixed, "maps", 1, 5, images="synthetic_t1").take(1)
    alone = training_batches(mixed, "maps", 1, 5, **options).take(1)
    for a, b in zip(whole.as_numpy_iterator(), alone.as_numpy_iterator()):
        np.testing.assert_array_equal(a["fixed"], b["fixed"])


def test_labels_come_along_as_classes(mixed):
    """Classes by rising value: 3 is 1 and 41 is 2; a scan without labels has none."""
    dataset = training_batches(mixed, "1", 2, 5, labels=True)
    assert dataset.element_spec["fixed_labels"].shape == (2, *SIZE, 1)
    for batch in dataset.take(3).as_numpy_iterator():
        scans = [set(np.unique(batch[f"{side}_labels"][0])) for side in ("fixed", "moving")]
        assert sorted(scans, key=len) == [{0}, {0, 1, 2}]
        painted = batch["fixed_labels"][1, ..., 0]
        shift = [np.roll(labels(), index, 0) for index in (2, 3)]
        assert any(np.array_equal(painted, (s == 3) + 2 * (s == 41)) for s in shift)


def test_labels_that_cannot_teach_are_refused_at_once(mixed):
    with pytest.raises(InputError, match="no scan of 'bare' has a segmentation"):
        bare = dataclasses.replace(mixed, subsets={**mixed.subsets, "bare": ("v/s0", "v/s0")})
        training_batches(bare, "bare", 1, 5, labels=True)
    large = dataclasses.replace(mixed, segmentation_class_value={"odd": 70000})
    training_batches(large, "1", 2, 5)  # whoever does not learn from labels is not concerned
    with pytest.raises(InputError, match="segmentation_class_value"):
        training_batches(large, "1", 2, 5, labels=True)
