"""The benchmarks of inference and growth: counts by hand, a small run of each."""

import json
import pathlib
import subprocess
import sys

import pytest
import tensorflow as tf

from experiments.benchmarks import floors, growth, inference, ratios


def measured(folder, *arguments):
    """Runs the benchmark of inference in a process whose threads are not set yet."""
    command = [sys.executable, "-m", "experiments.benchmark", "inference", "--size=64"]
    subprocess.run(
        [*command, "--rounds=1", f"--output={folder}", *arguments],
        check=True,
        capture_output=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    return json.loads((folder / "inference.json").read_text())["rows"]


def test_multiply_adds_by_hand():
    def function(volume):
        # 2^3 outputs, each of 3^3 * 2 * 4 multiply-adds
        down = tf.nn.conv3d(volume, tf.ones([3, 3, 3, 2, 4]), [1, 2, 2, 2, 1], "SAME")
        # 2^3 inputs, each to 4^3 voxels of 3 channels from 4
        return tf.nn.conv3d_transpose(
            down, tf.ones([4, 4, 4, 3, 4]), [1, 4, 4, 4, 3], [1, 2, 2, 2, 1]
        )

    assert floors.multiply_adds(function, tf.ones([1, 4, 4, 4, 2])) == 8 * 216 + 8 * 768


def test_inference_of_a_student(tmp_path):
    rows = measured(tmp_path, "--only=LDR, 1", "--memory=false")
    by_name = {row["name"]: row for row in rows}
    assert by_name["LDR, 1 cascade, fast"]["voxels"] < 1e-3
    assert 0.0 < by_name["LDR, 1 cascade, bfloat16"]["voxels"] < 0.2
    assert by_name["threads"]["rate"] >= 1


def test_ratios_by_hand():
    seconds = {
        "LDR, 1 cascade": [1.0, 2.0, 4.0],
        "LDR at half resolution, 1 cascade": [0.5, 0.5, 1.0],
        "VTN, 1 cascade": [3.0, 4.0, 4.0],
        "VTN, 3 cascades": [9.0, 9.0, 9.0],
        "VoxelMorph, 1 cascade": [5.0, 5.0, 5.0],
    }
    assert ratios.compared(seconds) == list(seconds)[:3]
    # by rounds: 3, 2, 1; then 6, 8, 4; then 2, 4, 4
    assert ratios.rows(seconds) == [
        {"name": "VTN, 1 cascade / LDR, 1 cascade", "times": 2.0},
        {"name": "VTN, 1 cascade / LDR at half resolution, 1 cascade", "times": 6.0},
        {"name": "LDR, 1 cascade / LDR at half resolution, 1 cascade", "times": 4.0},
    ]
    # Each of eight students against two teachers, four of them against the student at full
    # resolution besides; of two cascades there is no teacher.
    assert len(ratios.rows({name: [1.0] for name in inference.NETWORKS})) == 20


@pytest.mark.slow
@pytest.mark.chain
def test_warps_agree(tmp_path):
    rows = measured(tmp_path, "--only=warp")
    names = [row["name"] for row in rows if "intensity" in row]
    assert {"warp, ours", "warp, eight gathers", "warp, SimpleITK", "warp, scipy"} <= set(names)
    assert all(row["intensity"] < 1e-3 for row in rows if "intensity" in row)


@pytest.mark.slow
@pytest.mark.chain
def test_growth_draws_what_it_measured(tmp_path):
    rows = growth.run(["64"], ["1"], ["2"], networks=["Pyramid"], size=64, rounds=1)
    assert [row["cascades"] for row in rows] == [1, 1, 2]
    assert all(row["MB"] > 0 and row["seconds"] > 0 for row in rows)
    assert growth.plot(rows, str(tmp_path)).endswith("growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 0
