"""What `read_pair` makes of a pair's files, and what it says of them."""

import numpy as np
import pytest
import SimpleITK as sitk

from ldr_tf import imaging
from ldr_tf.errors import InputError
from ldr_tf.notices import Notices
from ldr_tf.registration.pair import PairFiles, read_pair

HEAD = b"TransformMatrix"


@pytest.fixture
def pair(tmp_path):
    """Writes two scans, the moving one without an orientation, and landmarks."""
    image = sitk.GetImageFromArray(np.random.default_rng(0).uniform(0, 9, (20, 20, 20)))
    for name in ("fixed", "moving"):
        sitk.WriteImage(image, str(tmp_path / f"{name}.mha"))
    content = (tmp_path / "moving.mha").read_bytes()
    cut = content[: content.index(HEAD)] + content[content.index(b"Offset") :]
    (tmp_path / "moving.mha").write_bytes(cut)
    (tmp_path / "fixed.csv").write_text("name,x,y,z\na,1,2,3\nb,99,2,3\nc,4,4,4\n")
    (tmp_path / "moving.txt").write_text("name;x;y;z\na;1,5;2;3\nb;4;4;4\nc;5;5;5\n")
    return PairFiles(
        fixed=str(tmp_path / "fixed.mha"),
        moving=str(tmp_path / "moving.mha"),
        output=str(tmp_path / "out"),
        fixed_points=str(tmp_path / "fixed.csv"),
        moving_points=str(tmp_path / "moving.txt"),
    )


def test_notices_of_all_files_are_gathered(pair):
    notices = Notices()
    data = read_pair(pair, notices=notices)
    assert [notice.code for notice in notices] == ["orientation-unknown", "landmarks-outside"]
    assert "moving.mha" in notices[0].text and "1 of 3 landmarks" in notices[1].text
    assert data.fixed_points.names == data.moving_points.names == ("a", "c")
    np.testing.assert_array_equal(data.moving_points.positions[0], (1.5, 2, 3))
    assert read_pair(pair).fixed_points.names == ("a", "c")


def test_landmarks_that_all_lie_outside(pair):
    with open(pair.fixed_points, "w", encoding="utf-8") as file:
        file.write("name,x,y,z\na,100,200,300\n")
    with pytest.raises(InputError, match="no pair of landmarks lies inside"):
        read_pair(pair)


@pytest.mark.parametrize(
    "series, wanted",
    [(None, [None, None]), ("2", ["2", "2"]), ("1.2.3, 4", ["1.2.3", "4"]), (",3", [None, "3"])],
)
def test_series_of_both_scans_or_of_each(monkeypatch, series, wanted):
    seen = []

    def read_scan(path, series, uneven, notices):
        seen.append((path, series, uneven))
        return sitk.Image(4, 4, 4, sitk.sitkFloat32)

    monkeypatch.setattr(imaging, "read_scan", read_scan)
    read_pair(PairFiles("f", "m", "out"), series=series, uneven="resample")
    assert seen == [("f", wanted[0], "resample"), ("m", wanted[1], "resample")]
    with pytest.raises(InputError, match="one or two"):
        read_pair(PairFiles("f", "m", "out"), series="1,2,3")
