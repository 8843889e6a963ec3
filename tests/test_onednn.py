"""The package asks TensorFlow for oneDNN's convolutions, unless the user has decided."""

import os
import subprocess
import sys

import pytest

VARIABLE = "TF_ENABLE_ONEDNN_OPTS"


@pytest.mark.parametrize("module", ["ldr_tf", "experiments"])
@pytest.mark.parametrize("given, wanted", [(None, "1"), ("0", "0")])
def test_asked_for_before_tensorflow_is_imported(module, given, wanted):
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    if given is not None:
        environment[VARIABLE] = given
    code = f"import sys, os, {module}; print(os.environ[{VARIABLE!r}], 'tensorflow' in sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [wanted, "False"]
