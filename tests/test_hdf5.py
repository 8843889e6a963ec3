"""HDF5 files that lead elsewhere, or hold something else than they should."""

import h5py
import numpy as np
import pytest

from ldr_tf import hdf5
from ldr_tf.errors import InputError

SIZE = (3, 4, 5)


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["volume"] = np.full(SIZE, 77, np.uint8)
    (tmp_path / "raw").write_bytes(bytes([77]) * 60)
    with h5py.File(tmp_path / "a.h5", "w") as made:
        made["group/here"] = np.arange(60, dtype=">u2").reshape(SIZE)
        made["soft"] = h5py.SoftLink("/group/here")
        made["group/near"] = h5py.SoftLink("here")
        made["folder"] = h5py.SoftLink("group")
        made["broken"] = h5py.SoftLink("/nowhere")
        made["loop"] = h5py.SoftLink("loop")
        made["first"], made["second"] = h5py.SoftLink("/second"), h5py.SoftLink("/first")
        made["out"] = h5py.ExternalLink("other.h5", "/volume")
        made["whole"] = h5py.ExternalLink("other.h5", "/")
        made["behind"] = h5py.SoftLink("/whole/volume")
        made.create_dataset("raw", SIZE, "u1", external=[(str(tmp_path / "raw"), 0, 60)])
        layout = h5py.VirtualLayout(SIZE, "u1")
        layout[:] = h5py.VirtualSource("other.h5", "volume", SIZE)
        made.create_virtual_dataset("virtual", layout)
        made["text"] = "words"
        made["pairs"] = np.zeros(3, [("a", "f4"), ("b", "i4")])
        made.create_dataset("chunks", (1, 1), "f8", chunks=(20000, 20000), maxshape=(None, None))
    with hdf5.open_file(tmp_path / "a.h5") as opened:
        yield opened


@pytest.mark.parametrize("path", ["group/here", "soft", "group/near", "folder/near", "/./soft"])
def test_links_inside_the_file_are_followed(file, path):
    values = hdf5.read(hdf5.dataset(file, path, "it"), "it")
    np.testing.assert_array_equal(values, np.arange(60).reshape(SIZE))
    assert values.dtype == np.dtype(np.uint16) and values.dtype.isnative


@pytest.mark.parametrize("path", ["out", "whole/volume", "behind", "raw", "virtual"])
def test_nothing_outside_is_opened_unless_allowed(file, path):
    with pytest.raises(InputError, match=r"it (is a link to another file|keeps its values in oth)"):
        hdf5.dataset(file, path, "it")
    found = hdf5.dataset(file, path, "it", allow_external=True)
    np.testing.assert_array_equal(hdf5.read(found, "it"), np.full(SIZE, 77))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("broken", "a link to '/nowhere', where nothing is"),
        ("loop", "leads in a circle"),
        ("first", "leads in a circle"),
        ("group", "must be a data set, not a group"),
        ("absent", "must be a data set, not nothing"),
        ("group/here/deeper", "must be a data set, not nothing"),
        ("text", "must hold numbers, not object"),
        ("pairs", "must hold numbers"),
        ("chunks", "far larger than itself"),
    ],
)
def test_what_is_no_data_set_of_numbers(file, path, words):
    with pytest.raises(InputError) as raised:
        hdf5.dataset(file, path, "it")
    assert str(raised.value).startswith("it ") and words in str(raised.value)


def test_what_is_no_file(tmp_path):
    with pytest.raises(InputError, match="is not a file but a folder"):
        hdf5.open_file(tmp_path)
    with pytest.raises(InputError, match="cannot be read as HDF5"):
        hdf5.open_file(tmp_path / "absent.h5")


@pytest.mark.parametrize("text", ["a text", "x" * 100_000])
def test_damaged_texts_do_not_hold_the_reader_up(tmp_path, text):
    """HDF5 itself goes round and round where an object of the heap of texts has no size."""
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w") as made:
        made.attrs["about"] = text
        made.attrs["number"] = 3
    with h5py.File(path) as opened:
        assert hdf5.attribute(opened, "about", "it") == text
        assert hdf5.attribute(opened, "number", "it") == 3
        assert hdf5.attribute(opened, "other", "it", "nothing") == "nothing"
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + 16 : heap + 32] = bytes(16)  # the index and the size of the first object
    path.write_bytes(content)
    with h5py.File(path) as opened:
        with pytest.raises(InputError, match="damaged where its texts lie"):
            hdf5.attribute(opened, "about", "it")
        assert hdf5.attribute(opened, "number", "it") == 3
