"""Every command in README.md names flags that exist, and gives them values that parse."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from ldr_tf.config import RunConfig, run_config
from ldr_tf.records import from_settings

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMANDS = {"ldr-register": "ldr_tf.commands.register", "ldr-warp": "ldr_tf.commands.warp"}


def commands():
    for block in re.findall(r"^```\w*\n(.*?)^```", README, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words[:2] == ["python", "-m"]:
                yield words[2], words[3:]
            elif words and words[0] in COMMANDS:
                yield COMMANDS[words[0]], words[1:]


def test_there_are_commands():
    names = {name for name, _ in commands()}
    assert len(names) >= 7 and set(COMMANDS.values()) <= names


@pytest.mark.parametrize("module, arguments", commands(), ids=lambda value: str(value)[:60])
def test_flags_exist(module, arguments):
    flag_values = importlib.import_module(module).FLAGS
    flag_values.unparse_flags()
    assert flag_values([module, *arguments]) == [module]


def test_settings_exist():
    texts = re.findall(r"--set=(\S+=[^\s`]+)", README.replace("--set=FIELD=VALUE", ""))
    assert texts
    run_config(from_settings(RunConfig, texts))


def test_files_named_exist():
    for path in re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"--config=(\S+)", README):
        assert (Path(__file__).parents[1] / path).exists(), path
