"""experiments.compare in process, and its figures against numbers worked out by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments import compare, make_teacher_flows
from experiments.evaluation import arms, curves


def run(phantoms, teacher, folder, *more):
    config = folder.parent / "arms.json"
    config.write_text(json.dumps({"network": {"channels": 2}, "optimisation": {"steps": 2}}))
    common = [f"--dataset={phantoms}", f"--teacher={teacher}", f"--config={config}"]
    common += [f"--output={folder}", "--subset=validation", "--set=data.validation="]
    return compare.main(["compare", *common, *more])


@pytest.mark.slow
@pytest.mark.chain
def test_arms_add_up(phantoms, student_run, tmp_path, capsys):
    flows = tmp_path / "flows.h5"
    make = [f"--dataset={phantoms}", f"--teacher={student_run}", "--refine_steps=1"]
    assert make_teacher_flows.main(["make_teacher_flows", *make, f"--output={flows}"]) == 0
    folder = tmp_path / "compared"
    first = ["--arms=none,refined", "--seeds=1", f"--refined_flows={flows}"]
    assert run(phantoms, student_run, folder, *first) == 0
    made = (folder / "none-1" / "seconds.json").stat().st_mtime_ns
    capsys.readouterr()
    second = ["--arms=none,none+network.channels=1+augmentation.flip_axis=0", "--seeds=1,2"]
    assert run(phantoms, student_run, folder, *second) == 0
    assert (folder / "none-1" / "seconds.json").stat().st_mtime_ns == made
    rows = {
        row["arm"]: row
        for row in json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    }
    wanted = [
        "identity",
        "teacher",
        "none",
        "refined",
        "none+network.channels=1+augmentation.flip_axis=0",
    ]
    assert list(rows) == wanted
    assert [rows[arm]["runs"] for arm in wanted] == [1, 1, 2, 1, 2]
    assert (
        rows["none+network.channels=1+augmentation.flip_axis=0"]["parameters"]
        < rows["none"]["parameters"]
    )
    pairs = pd.read_csv(folder / "evaluation" / "pairs.csv")
    means = pairs.groupby("method")["dice"].mean()
    assert rows["none"]["dice"] == pytest.approx((means["none-1"] + means["none-2"]) / 2)
    config = json.loads((folder / "refined-1" / "config.json").read_text(encoding="utf-8"))
    assert config["distillation"]["teacher_flows"] == str(flows)
    assert config["distillation"]["kind"] == "flow"
    text = (folder / "comparison.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out
    assert "| aldk-game | open |" in text and "| none | open |" not in text
    assert (folder / "comparison.png").stat().st_size > 1000


def test_rows_by_hand():
    # Two pairs; the arm's two runs are 0.1 and 0.3 above the base on the first, 0.2 on the second.
    dice = {"none-1": (0.5, 0.7), "flow-1": (0.6, 0.9), "flow-2": (0.8, 0.9)}
    pairs = pd.DataFrame(
        {
            "method": name,
            "fixed": ["a", "b"],
            "moving": ["b", "a"],
            "dice": values,
            "folds_percent": 0.5,
            "std_jacobian": 0.1,
            "parameters": 7,
            "cpu_seconds": [0.1, 0.3],
        }
        for name, values in dice.items()
    )
    pairs = pairs.explode(["fixed", "moving", "dice", "cpu_seconds"])
    pairs = pairs.astype({"dice": float, "cpu_seconds": float})
    runs = {"none": [("none-1", 2.0)], "flow": [("flow-1", 3.0), ("flow-2", 5.0)]}
    none, flow = arms.arm_rows(pairs, runs)
    assert none["over_base"] is None and none["dice_std"] is None
    assert none["dice"] == pytest.approx(0.6)
    assert flow["dices"] == pytest.approx([0.75, 0.85])
    assert flow["dice"] == pytest.approx(0.8)
    assert flow["dice_std"] == pytest.approx(0.05 * np.sqrt(2))  # sample deviation of two
    assert flow["minutes"] == 4.0
    assert flow["cpu_seconds"] == pytest.approx(0.2)
    np.testing.assert_allclose(flow["over_base"], [0.2, 0.2, 0.2])
    assert "| flow | 2 | 0.8000 ± 0.0707 |" in arms.table([none, flow])


def test_the_time_before_an_interruption_counts(tmp_path, monkeypatch):
    codes, clock = iter([1, 0]), iter([0.0, 3.0, 10.0, 15.0])
    training = SimpleNamespace(run=lambda: next(codes))
    monkeypatch.setattr(compare, "_folder", lambda *_: str(tmp_path))
    monkeypatch.setattr(compare, "_training", lambda *_: training)
    monkeypatch.setattr(compare, "time", SimpleNamespace(process_time=lambda: next(clock)))
    assert compare._train("none", "1") == 1
    assert not (tmp_path / "seconds.json").exists()
    assert compare._train("none", "1") == 0
    assert json.loads((tmp_path / "seconds.json").read_text(encoding="utf-8")) == 8.0


def test_curves_by_hand(tmp_path):
    """Four steps in eight minutes are two minutes a step; what a resumed run redid counts."""
    for name, lines in {
        "a": [(2, 0.1, 0.5), (4, 0.2, 0.4), (2, 0.3, 0.3)],
        "b": [(2, 0.5, 0.1), (4, 0.6, 0.2)],
        "never-validated": [],
    }.items():
        (tmp_path / name).mkdir()
        text = '{"step": 1, "reconstruction": 0.5}\n{"step": 2, "valida\n'
        for step, dice, folds in lines:
            figures = {"dice": dice, "folds_any_percent": folds, "correlation": 0.9}
            named = {f"validation/{figure}": value for figure, value in figures.items()}
            text += json.dumps({"step": step, **named}) + "\n"
        (tmp_path / name / "metrics.jsonl").write_text(text, encoding="utf-8")
    found = curves.read_curves(
        {
            "none": [(tmp_path / "a", 8.0), (tmp_path / "b", 6.0)],
            "flow": [(tmp_path / "never-validated", 5.0)],
        }
    )
    assert found.values.tolist() == [
        ["none", 0, 2, 4.0, 0.3, 0.3],
        ["none", 0, 4, 8.0, 0.2, 0.4],
        ["none", 1, 2, 3.0, 0.5, 0.1],
        ["none", 1, 4, 6.0, 0.6, 0.2],
    ]
    curves.draw(found, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert curves.read_curves({"flow": [(tmp_path / "never-validated", 5.0)]}).empty


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--arms=everything"], "--arms must be some of none"),
        (["--arms=refined"], "needs them"),
        (["--arms=none+gamma"], "a setting is FIELD=VALUE"),
        (["--arms=none+gama=1"], "gama"),
        (["--seeds=one"], "--seeds must be numbers"),
        (["--teacher=nowhere"], "nowhere: is not a run folder"),
        (["--dataset=nowhere.json"], "nowhere.json"),
        (["--arms=refined", "--refined_flows=nowhere.h5"], "nowhere.h5"),
        (["--arms=none", "--config=nowhere.json"], "nowhere.json"),
    ],
)
def test_bad_input_is_one_sentence(flags, words, phantoms, student_run, tmp_path, capfd):
    assert run(phantoms, student_run, tmp_path / "compared", *flags) == 2
    shown = capfd.readouterr().err
    assert words in shown and "Traceback" not in shown
    assert not list((tmp_path / "compared").glob("*-1"))  # no run begun
