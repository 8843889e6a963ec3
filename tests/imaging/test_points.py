import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf.errors import InputError
from ldr_tf.imaging import (
    Points,
    check_inside,
    displacement_field,
    keep_inside,
    match_points,
    only_inside,
    read_points,
    transform_points,
    write_points,
)
from ldr_tf.notices import Notices


def written(tmp_path, text):
    path = tmp_path / "points.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_reading_by_hand(tmp_path):
    path = written(tmp_path, "note,Name,X,Y,Z\nfirst,a,1,2,3\n,b,-4.5,0,1e1\n")
    points = read_points(path)
    assert points.names == ("a", "b")
    np.testing.assert_array_equal(points.positions, [(1, 2, 3), (-4.5, 0, 10)])
    # RAS and LPS differ in the signs of x and y.
    np.testing.assert_array_equal(read_points(path, "RAS").positions[0], (-1, -2, 3))


@pytest.mark.parametrize("space", ["LPS", "RAS"])
def test_there_and_back(tmp_path, space):
    points = Points(("one, two", "é"), np.array([(1.25, -2.0, 3.5), (0.0001, 5.0, 6.0)]))
    path = str(tmp_path / "out.csv")
    write_points(points, path, space)
    again = read_points(path, space)
    assert again.names == points.names
    np.testing.assert_allclose(again.positions, points.positions, atol=1e-4)
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").startswith("name,x,y,z\n")


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "empty"),
        ("\n", "columns"),
        ("name,x,y\na,1,2\n", "z not found"),
        ("name,x,y,z\n", "no points"),
        ("name,x,y,z\na,1,2,3\na,4,5,6\n", "line 3.*twice"),
        ("name,x,y,z\n,1,2,3\n", "line 2.*no name"),
        ("name,x,y,z\na,1,2\n", "line 2.*numbers"),
        ("name,x,y,z\na,1,two,3\n", "line 2.*two"),
        ("name,x,y,z\na,1,nan,3\n", "line 2.*nan"),
    ],
)
def test_bad_files(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=f"points.csv.*{words}"):
        read_points(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv"):
        read_points(str(tmp_path / "none.csv"))


def test_matched_by_name_in_the_fixed_order():
    fixed = Points(("a", "b", "c"), np.arange(9.0).reshape(3, 3))
    moving = Points(("c", "x", "a"), np.arange(9.0).reshape(3, 3))
    names, first, second = match_points(fixed, moving)
    assert names == ("a", "c")
    np.testing.assert_array_equal(first, [(0, 1, 2), (6, 7, 8)])
    np.testing.assert_array_equal(second, [(6, 7, 8), (0, 1, 2)])
    with pytest.raises(InputError, match="no name in common"):
        match_points(fixed, Points(("y",), np.zeros((1, 3))))


def test_points_outside_are_named():
    image = sitk.Image(10, 10, 10, sitk.sitkUInt8)
    image.SetSpacing((2.0, 2.0, 2.0))
    check_inside(Points(("edge",), np.array([(-0.9, 18.9, 0.0)])), image, "p.csv", "the scan f")
    with pytest.raises(InputError, match=r"p.csv: 1 of 2.*the scan f.*'b' at \(0.0, 25.0, 0.0\)"):
        points = Points(("a", "b"), np.array([(0.0, 0, 0), (0, 25, 0)]))
        check_inside(points, image, "p.csv", "the scan f")


def test_landmarks_outside_their_scan_are_left_out_and_counted():
    image = sitk.Image(10, 10, 10, sitk.sitkUInt8)
    fixed = Points(("a", "b", "c", "d"), np.array([(1.0, 1, 1), (50, 1, 1), (2, 2, 2), (3, 3, 3)]))
    moving = Points(("c", "a", "b", "x"), np.array([(1.0, 1, 99), (4, 4, 4), (5, 5, 5), (6, 6, 6)]))
    notices = Notices()
    first, second = keep_inside(fixed, moving, image, image, notices)
    assert first.names == second.names == ("a",)
    np.testing.assert_array_equal(first.positions, [(1, 1, 1)])
    np.testing.assert_array_equal(second.positions, [(4, 4, 4)])
    said = {notice.code: notice.text for notice in notices.warnings()}
    assert list(said) == ["landmarks-outside"]
    assert [n.text[:24] for n in notices.warnings()] == ["1 of 3 landmarks lie out"] * 2
    assert [n.code for n in notices if n.level == "notice"] == ["landmarks-unmatched"]
    far = Points(fixed.names, fixed.positions + 1000)
    with pytest.raises(InputError, match="no pair of landmarks lies inside"):
        keep_inside(far, moving, image, image)


def test_only_the_points_inside():
    image = sitk.Image(10, 10, 10, sitk.sitkUInt8)
    points = Points(("a", "b"), np.array([(1.0, 1, 1), (50, 1, 1)]))
    notices = Notices()
    kept = only_inside(points, image, "p.csv", "the scan f", notices)
    assert kept.names == ("a",) and kept.positions.tolist() == [[1, 1, 1]]
    assert "p.csv: 1 of 2 points lie outside the scan f and were left out" in notices[0].text
    with pytest.raises(InputError, match=r"p.csv: 1 of 1 points lie outside"):
        only_inside(Points(("b",), points.positions[1:]), image, "p.csv", "the scan f")


def test_points_travel_with_the_transform():
    shift = sitk.TranslationTransform(3, (1.0, 2.0, 3.0))
    moved = transform_points(Points(("a",), np.array([(4.0, 4.0, 4.0)])), shift)
    np.testing.assert_array_equal(moved.positions, [(5, 6, 7)])
    assert displacement_field(shift) is None
