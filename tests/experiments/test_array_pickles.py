"""Pickles of arrays: every writer's are read, everything else is refused and nothing is run."""

import _codecs
import collections
import pickle
import random

import numpy as np
import pytest

from experiments.array_pickles import read_arrays
from ldr_tf.errors import InputError

CORES = (b"numpy.core.", b"numpy._core.")


def stored(folder, content, protocol):
    path = folder / "a.pkl"
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("kind", ["<f2", ">f4", "f8", "i2", "u1", "?"])
def test_arrays_come_back(tmp_path, protocol, kind):
    array = np.random.default_rng(0).uniform(0, 99, (2, 3, 4, 3)).astype(kind)
    swapped = array.transpose(2, 0, 3, 1)
    content = {"c": array, "fortran": np.asfortranarray(array), "part": array[:, 1], "k": swapped}
    read = read_arrays(stored(tmp_path, content, protocol))
    assert list(read) == list(content)
    for key, wanted in content.items():
        assert read[key].dtype == wanted.dtype
        np.testing.assert_array_equal(read[key], wanted)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("core", CORES)
def test_names_of_numpy_1_and_2(tmp_path, protocol, core):
    # Up to protocol 3 names end with a line, so one numpy's can stand in for the other's.
    path = stored(tmp_path, {"a-b": np.arange(6.0)}, protocol)
    path.write_bytes(path.read_bytes().replace(CORES[1], CORES[0]).replace(CORES[0], core))
    assert core in path.read_bytes()
    np.testing.assert_array_equal(read_arrays(path)["a-b"], np.arange(6.0))


def test_a_pickle_of_python_2_reads(tmp_path):
    # {"a-b": np.arange(3, dtype=np.float16)} in the form of Python 2 and NumPy 1, protocol 2:
    # byte strings where Python 3 has text, and the array's data as such a string.
    text = (
        b"\x80\x02}q\x00U\x03a-bq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\n"
        b"q\x03K\x00\x85q\x04U\x01bq\x05\x87q\x06Rq\x07(K\x01K\x03\x85q\x08cnumpy\ndtype\nq\tU\x02f2"
        b"q\nK\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01<q\rNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq"
        b"\x0eb\x89U\x06\x00\x00\x00<\x00@q\x0ftq\x10bs."
    )
    path = tmp_path / "a.pkl"
    path.write_bytes(text)
    content = read_arrays(path)
    np.testing.assert_array_equal(content["a-b"], np.float16([0, 1, 2]))


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "value, words",
    [
        (Call(print, "run"), "print; only numpy arrays are admitted"),
        (collections.OrderedDict(), "OrderedDict; only"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), "_mareconstruct; only"),
        (np.zeros(2, [("x", "f4")]), "type 'V4'"),
        (np.array([{}, None]), "type 'O8'"),
        (np.array(["text"]), "type 'U4'"),
        (Call(np.ndarray, (4,), np.dtype("f2")), "is no whole pickle"),  # memory as it is
        (Call(_codecs.encode, "a", "rot13"), "text in 'rot13'"),
        (Call(_codecs.encode, "a", "unheard_of"), "text in 'unheard_of'"),
        (np.float32(1), "must be an array, not float32"),
        (None, "must be an array, not NoneType"),
    ],
)
def test_anything_else_is_refused(tmp_path, capsys, value, words):
    for protocol in (2, 4, 5):
        with pytest.raises(InputError) as raised:
            read_arrays(stored(tmp_path, {"a-b": value}, protocol))
        assert words in str(raised.value) and "a.pkl" in str(raised.value)
    assert capsys.readouterr().out == ""


def test_keys_must_be_text_in_a_dictionary(tmp_path):
    with pytest.raises(InputError, match="keys must be text, not int"):
        read_arrays(stored(tmp_path, {1: np.zeros(1)}, 4))
    with pytest.raises(InputError, match="must hold a dictionary of arrays, not list"):
        read_arrays(stored(tmp_path, [np.zeros(1)], 4))
    with pytest.raises(InputError, match="cannot be read"):
        read_arrays(tmp_path / "none.pkl")


@pytest.mark.parametrize("put", [b"p2000000000\n", b"r\x00\x94\x35\x77"])
def test_a_number_that_would_fill_the_memory_is_refused(tmp_path, put):
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02}" + put + b".")  # an empty dictionary, remembered far away
    with pytest.raises(InputError, match="remembers object 2000000000"):
        read_arrays(path)


class Same:
    """An array, pickled with a text that is remembered: each use makes new bytes of it."""

    def __init__(self, text):
        self.text = text

    def __reduce__(self):
        kind = np.dtype("f2")
        encoded = Call(_codecs.encode, self.text, "latin1")
        build = np.zeros(1).__reduce__()[0]
        return build, (np.ndarray, (0,), b"b"), (1, (len(self.text) // 2,), kind, False, encoded)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_small_file_that_would_fill_the_memory_is_refused(tmp_path, protocol):
    text = "x" * 100_000
    path = stored(tmp_path, {f"a-{i}": Same(text) for i in range(1)}, protocol)
    assert len(read_arrays(path)) == 1
    path = stored(tmp_path, {f"a-{i}": Same(text) for i in range(3000)}, protocol)
    assert path.stat().st_size < 1e6  # 300 MB otherwise
    with pytest.raises(InputError, match="would be larger than the file"):
        read_arrays(path)


def test_arrays_of_another_shape_than_is_known(tmp_path):
    path = stored(tmp_path, {"a-b": np.zeros((2, 2, 2, 3))}, 4)
    read_arrays(path, (2, 2, 2, 3))
    with pytest.raises(InputError, match=r"must be \(2, 2, 3, 3\), not \(2, 2, 2, 3\)"):
        read_arrays(path, (2, 2, 3, 3))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_damaged_files_read_or_are_refused(tmp_path, protocol):
    path = stored(tmp_path, {"a-b": np.arange(8, dtype="f2").reshape(2, 2, 2)}, protocol)
    whole, generator = path.read_bytes(), random.Random(protocol)
    refused = 0
    for attempt in range(600):
        damaged = bytearray(whole[: generator.randrange(len(whole))] if attempt % 3 == 0 else whole)
        for _ in range(attempt % 3):
            damaged[generator.randrange(len(whole))] = generator.randrange(256)
        path.write_bytes(damaged)
        try:
            read_arrays(path)
        except InputError:
            refused += 1
    assert refused > 300
