"""Traits against the records and flags that they come from; the page's workflow from end to end."""

import importlib
import json
import os
import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from nipype.interfaces.base import isdefined
from traits.api import TraitError

from ldr_tf.commands import register as register_command
from ldr_tf.commands import warp as warp_command
from ldr_tf.commands.bids import DataSet
from ldr_tf.commands.model_options import ModelOptions
from ldr_tf.commands.pair import FileOptions
from ldr_tf.imaging import same_grid
from ldr_tf.interfaces import Register, Warp
from ldr_tf.records import describe
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import PairFiles

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "pipelines.md"
NIPYPES_OWN = {"args", "environ"}


@pytest.fixture
def scans(tmp_path):
    """Two files under the names of scans; nobody reads them."""
    paths = {side: tmp_path / f"{side} scan.nii.gz" for side in ("fixed", "moving")}
    for path in paths.values():
        path.write_text("")
    return {side: str(path) for side, path in paths.items()}


@pytest.mark.parametrize(
    "interface, command, left_out",
    [
        (Register, register_command, {"pairs", "quiet", "scheduler", "verbose", "workers"}),
        (Warp, warp_command, {"quiet", "verbose"}),
    ],
)
def test_every_flag_is_an_input_with_its_meaning(interface, command, left_out):
    traits = dict(interface.input_spec().items())
    assert set(traits) - NIPYPES_OWN == set(command.FLAGS) - left_out
    for name in set(traits) - NIPYPES_OWN:
        # The help of a flag with choices begins with these.
        assert command.FLAGS[name].help.endswith(traits[name].desc), name
        assert not isdefined(getattr(interface().inputs, name)) or name == "output"


@pytest.mark.parametrize(
    "row",
    [row for r in (RegistrationOptions, FileOptions, ModelOptions) for row in describe(r)],
    ids=lambda row: row.name,
)
def test_what_a_record_refuses_its_trait_refuses(row):
    inputs, about = Register().inputs, row.about
    good, bad = [], ["some text", []]
    if about["choices"] is not None:
        good = about["choices"]
    elif row.kind is bool:
        good = [True, False]
    elif "str" in str(row.kind):
        good, bad = ["some text"], [3]
    for bound, sign in (("least", -1), ("most", 1)):
        limit = about[bound]
        if limit is not None:
            good, bad = [*good, limit], [*bad, limit + sign * max(1, abs(limit))]
    assert good
    for value in good:
        setattr(inputs, row.name, value)
        assert getattr(inputs, row.name) == value
    for value in bad:
        with pytest.raises(TraitError):
            setattr(inputs, row.name, value)


def test_the_line_is_one_that_the_command_takes(scans, tmp_path):
    """Spaces and brackets included, though a shell reads it; what is not set is not named."""
    node = Register(**scans, model="none", refine_steps=2, max_memory=0.1, jacobian=True)
    command, *words = shlex.split(node.cmdline)
    flags = register_command.FLAGS
    flags.unparse_flags()
    assert command == "ldr-register" and flags([command, *words]) == [command]
    assert len(words) == 7 and "--output=registered" in words
    assert flags["moving"].value == scans["moving"] and flags["jacobian"].value is True
    assert flags["max_memory"].value == 0.1 and flags["refine_steps"].value == 2
    node = Warp(input=scans["moving"], transform=["a b.nii.gz", "[c.tfm,1]"])
    words = shlex.split(node.cmdline)
    assert words[0] == "ldr-warp" and "--output=moving scan_warped.nii.gz" in words
    assert {"--transform=a b.nii.gz", "--transform=[c.tfm,1]"} <= set(words)
    points = tmp_path / "p.mrk.json"
    points.write_text("")
    assert "--output=p.mrk_warped.csv" in shlex.split(
        Warp(input=str(points), transform="a").cmdline
    )


@pytest.mark.parametrize("bids", [False, True])
def test_outputs_are_the_files_that_the_summary_lists(tmp_path, bids):
    scans = [str(tmp_path / f"sub-{number}_T1w.nii.gz") for number in (1, 2)]
    for path in scans:
        Path(path).write_text("")
    out = tmp_path / "out"
    pair = PairFiles(*scans, str(out))
    pair = DataSet(out).place(pair) if bids else pair
    files = {what: Path(pair.output, name) for what, name in pair.names.files.items()}
    os.makedirs(pair.output)
    for what in ("warped", "affine", "jacobian", "summary"):
        files[what].write_text("")
    listed = [files[what].name for what in ("warped", "affine", "summary")]
    files["summary"].write_text(json.dumps({"finished": True, "files": listed}))
    given = {"fixed": scans[0], "moving": scans[1], "model": "none", "output": str(out)}
    node = pickle.loads(pickle.dumps(Register(**given, bids=bids)))
    found = node.aggregate_outputs()
    assert found.warped == str(files["warped"]) and found.affine == str(files["affine"])
    assert not isdefined(found.jacobian) and not isdefined(found.warped_labels)


def test_without_nipype_the_extra_is_named(monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[:2] == ["ldr_tf", "interfaces"]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nipype", None)
    with pytest.raises(ImportError, match=r'pip install "ldr_tf\[nipype\]"'):
        importlib.import_module("ldr_tf.interfaces")


@pytest.mark.slow
def test_the_workflow_of_the_page(tmp_path):
    (tmp_path / "scans").mkdir()
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 24)] * 3, indexing="ij"), -1)
    for name, shift in (("F", 0.0), ("M", 0.1)):
        array = 500 * np.exp(-4 * ((places - shift) ** 2).sum(-1))
        image = sitk.GetImageFromArray(array.astype(np.float32))
        sitk.WriteImage(image, str(tmp_path / "scans" / f"{name}.nii.gz"))
    lesions = sitk.Cast(image > 300, sitk.sitkUInt8)
    sitk.WriteImage(lesions, str(tmp_path / "scans" / "M_lesions.nii.gz"))
    (tmp_path / "bin").mkdir()
    for command in ("register", "warp"):
        program = tmp_path / "bin" / f"ldr-{command}"
        program.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -m ldr_tf.commands.{command} "$@"\n'
        )
        program.chmod(0o755)
    script = re.search(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)[1]
    assert 'quality="fast"' in script
    script = script.replace('quality="fast"', "refine_steps=0")  # seconds of compiling less
    (tmp_path / "workflow.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "workflow.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "NIPYPE_CONFIG_DIR": str(tmp_path / "config"),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (result,) = (tmp_path / "work").rglob("M_lesions_warped.nii.gz")
    assert str(result) in done.stdout
    labels, fixed = (
        sitk.ReadImage(str(path)) for path in (result, tmp_path / "scans" / "F.nii.gz")
    )
    assert same_grid(labels, fixed) and sitk.GetArrayViewFromImage(labels).any()
