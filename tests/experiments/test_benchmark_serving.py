"""experiments.benchmark serving: a small export under load, restarted in the middle."""

import json

import pytest

from experiments import benchmark
from ldr_tf.serving.export import export
from tests.servers import moving_run

__all__ = ["moving_run"]


@pytest.mark.slow
@pytest.mark.chain
def test_serving(tmp_path, moving_run, capfd):
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api is not installed")
    exported = tmp_path / "small"
    export(str(moving_run), str(exported))
    flags = [f"--model={exported}", "--requests=40", "--concurrency=4", "--wrong_every=10"]
    assert benchmark.main(["benchmark", "serving", *flags, f"--output={tmp_path}"]) == 0
    rows = json.loads((tmp_path / "serving.json").read_text())["rows"]
    assert [(row["batch"], row["answered"], row["refused"]) for row in rows] == [
        (1, 36, 4),
        (4, 36, 4),
    ]
    assert all(row["p50_ms"] <= row["p99_ms"] <= row["longest_ms"] for row in rows)
    assert benchmark.main(["benchmark", "serving", "--model=none"]) == 2
    assert "no such folder" in capfd.readouterr().err
