"""Every command in README.md and docs/ names flags that exist, and gives values that parse."""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from ldr_tf.commands import cli
from ldr_tf.config import RunConfig, run_config
from ldr_tf.records import from_settings

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
TUTORIALS = ROOT / "docs" / "tutorials"
DOCS = sorted((ROOT / "docs").rglob("*.md"))
PAGES = [README, *DOCS]
COMMANDS = {f"ldr-{name}": f"ldr_tf.commands.{name}" for name in ("register", "view", "warp")}

_BLOCK = re.compile(r"(<!-- not run: .+? -->\n)?^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SECTION = re.compile(r'^--8<-- "(.+):(\w+)"$', re.MULTILINE)


def read(path):
    """A page with the parts of the tutorials' scripts that it shows."""
    return _SECTION.sub(section, path.read_text(encoding="utf-8"))


def section(match):
    mark = rf"^# --8<-- \[start:{match[2]}\]\n(.*?)^# --8<-- \[end:{match[2]}\]$"
    script = (ROOT / match[1]).read_text(encoding="utf-8")
    return re.search(mark, script, re.DOTALL | re.MULTILINE)[1]


def lines(block):
    """The words of each line of a block of commands."""
    split = (shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines())
    return [words for words in split if words]


def commands(*pages):
    """Yields (module, arguments) of the commands of this project."""
    for page in pages:
        for _, language, block in _BLOCK.findall(read(page)):
            for words in lines(block) if language == "" else ():
                if words[:2] == ["python", "-m"] and words[2].startswith("experiments."):
                    yield words[2], words[3:]
                elif words[0] in COMMANDS:
                    yield COMMANDS[words[0]], words[1:]


def flags_of(module, arguments):
    """The flags of a command, and the arguments that are flags."""
    if module != "experiments.benchmark":
        found = importlib.import_module(module).FLAGS
        found.unparse_flags()
        return found, arguments
    found = cli.new_flags()
    flags.DEFINE_string("output", None, "folder", flag_values=found)
    importlib.import_module(f"experiments.benchmarks.{arguments[0]}").define(found)
    return found, arguments[1:]


def short(value):
    return value.name if isinstance(value, Path) else str(value)[:60]


def test_there_are_commands():
    names = {name for name, _ in commands(README)}
    assert len(names) >= 7 and set(COMMANDS.values()) <= names


@pytest.mark.parametrize("module, arguments", commands(*PAGES), ids=short)
def test_flags_exist(module, arguments):
    if arguments == ["--version"]:
        return  # shows the version and ends
    flag_values, arguments = flags_of(module, arguments)
    lone = getattr(importlib.import_module(module), "LONE", None)
    arguments = cli.spelt_out(arguments, lone, flag_values)
    assert flag_values([module, *arguments]) == [module]


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_settings_exist(page):
    text = re.sub(r"--set=(FIELD|RECORD\.FIELD)=VALUE", "", read(page)).replace('"$STEPS"', "600")
    # One by one: a page may set a field twice, and some settings need each other.
    texts = re.findall(r"--set=(\S+=[^\s`]+)", text)
    for one in texts:
        from_settings(RunConfig, [one])
    if page == README:
        run_config(from_settings(RunConfig, texts))


@pytest.mark.parametrize("page", PAGES, ids=short)
def test_files_named_exist(page):
    text = read(page)
    for path in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / path).exists(), path
    for path in re.findall(r"--config=(\S+)", text):
        assert (ROOT / path).exists(), path


def is_vouched_for(words, targets, extras):
    """Whether a test knows that a line of a shell works."""
    if words[0] in COMMANDS:
        return True
    if words[:2] == ["python", "-m"]:
        return words[2].startswith("experiments.")
    if words[0] == "make":
        return set(words[1:2]) <= targets
    if words[0] == "sh":
        return (ROOT / words[1]).exists()
    if words[:3] == ["pip", "install", "-r"]:
        return (ROOT / words[3]).exists()
    if words[:2] == ["pip", "install"]:
        named = re.fullmatch(r"\.(?:\[([a-z,]+)\])?", words[2])
        return bool(named) and set((named[1] or "").split(",")) - {""} <= extras
    return False


@pytest.mark.parametrize("page", DOCS, ids=short)
def test_every_block_of_commands_is_tested_or_says_why_not(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    extras = set(re.findall(r'^        "(\w+)": \[', (ROOT / "setup.py").read_text(), re.MULTILINE))
    for marked, language, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "" and not marked and not _SECTION.match(block):
            for words in lines(block):
                assert is_vouched_for(words, targets, extras), " ".join(words)


# The tutorials, as they are typed


@pytest.fixture(scope="module")
def run_tutorial(tmp_path_factory):
    """Runs a tutorial's script in one folder for all; returns the folder."""
    folder = tmp_path_factory.mktemp("tutorials") / "tutorial"
    bin_folder = tmp_path_factory.mktemp("bin")
    for command, module in COMMANDS.items():
        program = bin_folder / command
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        program.chmod(0o755)
    path = os.pathsep.join([str(bin_folder), os.path.dirname(sys.executable), os.environ["PATH"]])

    def call(name, **variables):
        script = TUTORIALS / f"{name}.sh"
        subprocess.run(
            ["sh", str(script), str(folder)],
            cwd=ROOT,
            env={**os.environ, "PATH": path, **variables},
            stdin=subprocess.DEVNULL,
            check=True,
        )
        return folder

    return call


@pytest.mark.slow
@pytest.mark.chain
def test_two_scans_to_a_result(run_tutorial):
    folder = run_tutorial("two_scans", SIZE="64")
    assert (folder / "registered" / "preview.png").exists()
    assert (folder / "refined" / "inverse_displacement.nii.gz").exists()
    assert (folder / "fixed_labels_on_moving.nii.gz").exists()


@pytest.mark.slow
@pytest.mark.chain
def test_a_folder_of_scans_to_a_server(run_tutorial):
    folder = run_tutorial("folder_to_student", STEPS="2")
    assert (folder / "data" / "contact_sheet.png").exists()
    assert (folder / "results" / "report.html").exists()
    run_tutorial("student_to_server")
    assert (folder / "models" / "student" / "1" / "saved_model.pb").exists()
    assert (folder / "by_export" / "preview.png").exists()
