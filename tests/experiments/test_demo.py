"""The demo: its commands fit the scripts, and the chain keeps what it promises."""

import json
import shlex

import pytest

from experiments import demo, train
from experiments.stages import Command


def test_every_stage_takes_its_flags(tmp_path):
    plan = demo.stages(str(tmp_path), seed=1)
    assert len(plan) == 6
    for stage in plan:
        module, line = train, shlex.split(stage.work.shown())
        if isinstance(stage.work, Command):
            module = stage.work.module
        arguments = [word for word in line if word.startswith("--")]
        module.FLAGS.unparse_flags()
        assert module.FLAGS(["name", *arguments]) == ["name"]


@pytest.mark.slow
@pytest.mark.chain
def test_the_whole_chain(tmp_path, capfd):
    folder = tmp_path / "demo"
    assert demo.main(["demo", f"--output={folder}"]) == 0
    methods = json.loads((folder / "evaluation" / "summary.json").read_text())["methods"]
    dice = {name: figures["dice"]["mean"] for name, figures in methods.items()}
    assert dice["student"] > dice["identity"] + 0.15
    assert dice["student"] > dice["teacher"] - 0.05
    assert methods["student"]["folds_percent"]["mean"] < 1.0
    assert (folder / "model" / "1" / "saved_model.pb").exists()
    shown = capfd.readouterr().out
    assert str(folder / "registered" / "preview.png") in shown
    assert (folder / "registered" / "preview.png").exists()
    assert (folder / "registered" / "view.html").exists()
    assert demo.main(["demo", f"--output={folder}"]) == 0  # all is there: it only measures again
    assert "exists already" in capfd.readouterr().out
