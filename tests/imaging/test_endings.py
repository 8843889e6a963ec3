import pytest

from ldr_tf.imaging import SCAN_ENDINGS, WRITABLE, scan_stem, split_ending


@pytest.mark.parametrize(
    "path, stem",
    [
        ("a/b.c.nii.gz", "b.c"),
        ("B.NII", "B"),
        ("x.mgz", "x"),
        ("x.img.gz", "x"),
        ("x.img", "x"),
        ("dicom/series.1/", "series.1"),
        ("notes.txt", "notes.txt"),
    ],
)
def test_stem_of_a_scan(path, stem):
    assert scan_stem(path) == stem


def test_a_scan_of_two_files_is_listed_once():
    assert split_ending("x.hdr") == ("x", ".hdr")
    assert split_ending("x.img") == ("x.img", "")
    assert split_ending("x.csv") == ("x.csv", "")


def test_what_is_written_can_be_read_and_the_longest_ending_counts():
    assert set(WRITABLE) <= set(SCAN_ENDINGS)
    assert split_ending("x.nii.gz") == ("x", ".nii.gz")
