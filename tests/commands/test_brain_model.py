"""The model that ships, from the shell, on brains that nobody has: made-up ones."""

import json
import os
import subprocess
import sys

from experiments import make_phantoms


def test_it_registers_made_up_brains(tmp_path):
    made = [f"--output={tmp_path}", "--kind=brain", "--count=2", "--size=96", "--nifti=2"]
    assert make_phantoms.main(["make_phantoms", *made]) == 0
    names = {"fixed": "000", "moving": "001"}
    scans = [f"--{side}={tmp_path}/nifti/{name}.nii.gz" for side, name in names.items()]
    labels = [f"--{side}_labels={tmp_path}/nifti/{name}_seg.nii.gz" for side, name in names.items()]
    command = [sys.executable, "-m", "ldr_tf.commands.register", "--quality=fast"]
    output = tmp_path / "registered"
    done = subprocess.run(
        [*command, *scans, *labels, f"--output={output}"],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stderr
    # Nothing of TensorFlow's own.
    sentence = "both scans look like brains without skull in T1 or FLAIR: brain-t1."
    assert done.stderr == f"notice: {sentence}\n"
    found = json.loads((output / "summary.json").read_text())
    assert (found["model"]["name"], found["settings"]["model"]) == ("brain-t1", "auto")
    dice = found["dice"]
    # Seen: 0.30 before and 0.80 after. The model has learned from nothing like these.
    assert dice["mean_before"] < 0.4
    assert dice["mean_after"] > 0.7
    assert found["folds_percent"] < 0.5
