"""Landmark files of all kinds, written by hand here."""

import json
import time

import numpy as np
import pytest

from ldr_tf.errors import InputError
from ldr_tf.imaging import Points, match_points, read_points, write_points
from ldr_tf.notices import Notices

FCSV = """# Markups fiducial file version = 4.11
# CoordinateSystem = {space}
# columns = id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label,desc,associatedNodeID
vtkMRMLMarkupsFiducialNode_1,1.5,-2,3,0,0,0,1,1,1,0,F-1,,
vtkMRMLMarkupsFiducialNode_2,4,5,6,0,0,0,1,1,1,0,"F, 2",,
"""


def written(tmp_path, text, name="points.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def slicer(points, system="LPS", unit="mm"):
    markups = {"type": "Fiducial", "coordinateSystem": system, "coordinateUnits": unit}
    return json.dumps({"markups": [{**markups, "controlPoints": points}]})


@pytest.mark.parametrize("space, sign", [("LPS", 1), ("RAS", -1), ("0", -1), ("1", 1)])
def test_fcsv_says_its_own_space(tmp_path, space, sign):
    path = written(tmp_path, FCSV.format(space=space), "a.fcsv")
    for asked in ("LPS", "RAS"):
        points = read_points(path, asked)
        assert points.names == ("F-1", "F, 2")
        expected = [(1.5 * sign, -2 * sign, 3), (4 * sign, 5 * sign, 6)]
        np.testing.assert_array_equal(points.positions, expected)


@pytest.mark.parametrize(
    "system, unit, sign", [("LPS", "mm", 1), ("RAS", "mm", -1), ("LPS", "cm", 10)]
)
def test_markups_say_their_own_space(tmp_path, system, unit, sign):
    given = [
        {"id": "1", "label": "a", "position": [1.5, -2, 3], "positionStatus": "defined"},
        {"id": "2", "label": "", "position": [4, 5, 6]},
        {"id": "3", "label": "c", "position": None, "positionStatus": "undefined"},
    ]
    notices = Notices()
    points = read_points(
        written(tmp_path, slicer(given, system, unit), "a.mrk.json"), "RAS", notices
    )
    assert points.names == ("a", "2")
    third = 10 if unit == "cm" else 1
    np.testing.assert_allclose(points.positions[0], (1.5 * sign, -2 * sign, 3 * third))
    assert [notice.code for notice in notices] == ["landmarks-undefined"]


def test_elastix_lists(tmp_path):
    path = written(tmp_path, "point\n2\n1 2 3\n4.5 -5 6e1\n", "a.txt")
    points = read_points(path)
    assert points.names == ("1", "2")
    np.testing.assert_array_equal(points.positions, [(1, 2, 3), (4.5, -5, 60)])


@pytest.mark.parametrize(
    "text", ["name;x;y;z\na;1,5;2;-3,25\n", "x\tname\ty\tz\n1,5\ta\t2\t-3.25\n"]
)
def test_semicolons_tabs_and_decimal_commas(tmp_path, text):
    points = read_points(written(tmp_path, text))
    np.testing.assert_array_equal(points.positions, [(1.5, 2, -3.25)])


@pytest.mark.parametrize(
    "text, words",
    [
        ("index\n1\n1 2 3\n", "voxel indices"),
        ("2\n1 2 3\n4 5 6\n", "voxel indices"),
        ("point\n3\n1 2 3\n", "holds 1 points, 3 by its second line"),
        ("point\nmany\n1 2 3\n", "number of points"),
        ("point\n1\n1 2\n", "three numbers"),
        ("point\n1\n1 2 x\n", "must be numbers"),
        (FCSV.format(space="IJK"), "must be LPS or RAS"),
        (FCSV.format(space="LPS").replace('"F, 2"', "F-1"), "twice"),
        (FCSV.format(space="LPS").replace("1.5", "nan"), "must be numbers"),
        ("{", "not valid JSON"),
        ("{}", "no list of landmarks"),
        ('{"markups": 3}', "no list of landmarks"),
        ('{"markups": ' + "[" * 100_000, "not valid JSON"),
        (slicer([{"label": "a", "position": [1, 2]}]), "three numbers"),
        (slicer([{"label": "a", "position": [1, 2, 10**400]}]), "is too large"),
        (slicer([{"label": "a", "position": [1, 2, 3]}], "IJK"), "LPS or RAS"),
        (slicer([{"label": "a", "position": [1, 2, 3]}], unit="parsec"), "in mm"),
        (slicer([{"label": "", "position": [1, 2, 3]}]), "has no name"),
        (slicer([]), "no points"),
        ("name;x;y;z\na;1,5,2;2;3\n", "must be numbers"),
        ("name,x,y,z\n" + "a" * 300_000 + ",1,2,3\n", "not a CSV"),
    ],
    ids=lambda value: value[:20],
)
def test_bad_files(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=words) as caught:
        read_points(path)
    assert str(caught.value).startswith(path) and len(str(caught.value)) < 400


def test_many_points_take_no_quadratic_time(tmp_path):
    count = 100_000
    positions = np.random.default_rng(0).uniform(-100, 100, (count, 3))
    points = Points(tuple(f"p{n}" for n in range(count)), positions)
    path = str(tmp_path / "a.csv")
    start = time.process_time()
    write_points(points, path)
    again = read_points(path)
    names, first, second = match_points(points, again)
    # Quadratic, it took minutes; ten times this bound is still far from that.
    assert time.process_time() - start < 60
    assert names == points.names
    np.testing.assert_allclose(first, second, atol=1e-4)
