import dataclasses
import gc
import pathlib
import subprocess
import sys
from typing import Optional

import pytest
from absl import flags

import ldr_tf
from ldr_tf.commands import cli
from ldr_tf.commands.lasting import lasting
from ldr_tf.errors import InputError
from ldr_tf.records import Record, setting

FLAGS = cli.new_flags()
COUNT = flags.DEFINE_integer("count", 3, "how many", flag_values=FLAGS, lower_bound=0)
NAME = flags.DEFINE_string("name", None, "whose", required=True, flag_values=FLAGS)
KIND = flags.DEFINE_enum("kind", "a", ["a", "b"], "which", flag_values=FLAGS)


PATH = flags.DEFINE_string("path", "", "where", flag_values=FLAGS)
MANY = flags.DEFINE_multi_string("many", None, "which ones", flag_values=FLAGS)


def call(capsys, arguments, run=lambda: None):
    code = cli.main(run, FLAGS, "Does a thing.", ["/somewhere/thing.py", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_runs_with_the_flags_given(capsys):
    seen = []
    call(
        capsys,
        ["--name=x", "--count=5", "--kind=b"],
        lambda: seen.append((NAME.value, COUNT.value)),
    )
    assert seen == [("x", 5)]


def test_exit_codes(capsys):
    assert call(capsys, ["--name=x"]) == (0, "", "")
    assert call(capsys, ["--name=x"], lambda: 1)[0] == 1

    def interrupted():
        raise KeyboardInterrupt

    assert call(capsys, ["--name=x"], interrupted)[::2] == (cli.FAILURE, "interrupted\n")


@pytest.mark.parametrize(
    "arguments, word",
    [
        ([], "name"),
        (["--name=x", "--colour=red"], "colour"),
        (["--name=x", "--count=many"], "count"),
        (["--name=x", "--count=-1"], "count"),
        (["--name=x", "--kind=c"], "kind"),
        (["--name=x", "stray"], "stray"),
    ],
)
def test_bad_flags_end_in_one_sentence_and_code_2(capsys, arguments, word):
    def never():
        raise AssertionError("must not run")

    code, out, err = call(capsys, arguments, never)
    assert code == cli.BAD_INPUT
    assert out == "" and err.startswith("thing: ") and err.count("\n") == 1 and word in err


def test_bad_input_ends_in_its_sentence_and_code_2(capsys):
    def refuse():
        raise InputError("a.nii: the file is empty.")

    assert call(capsys, ["--name=x"], refuse) == (2, "", "thing: a.nii: the file is empty.\n")


def test_a_failure_of_ours_keeps_its_traceback(capsys):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call(capsys, ["--name=x"], fail)


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_every_flag_and_runs_nothing(capsys, word):
    code, out, err = call(capsys, [word])
    assert code == 0 and err == ""
    assert "Does a thing." in out
    for line in ("--count: how many (default: ", "--name: whose", "--kind: ", "which"):
        assert line in out


def test_a_second_call_starts_from_the_defaults(capsys):
    seen = []
    for arguments in (["--name=x", "--count=9"], ["--name=y"]):
        call(capsys, arguments, lambda: seen.append((NAME.value, COUNT.value)))
    assert seen == [("x", 9), ("y", 3)]
    assert call(capsys, [])[0] == cli.BAD_INPUT


def test_the_home_folder(capsys, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    seen = []
    arguments = ["--name=~", "--path=~/scans/a.nii", "--many=~/b", "--many=c~d", "--kind=b"]
    call(capsys, arguments, lambda: seen.extend([NAME.value, PATH.value, *MANY.value]))
    assert seen == ["/home/somebody", "/home/somebody/scans/a.nii", "/home/somebody/b", "c~d"]


@pytest.mark.parametrize("argument", ["--name=", "--name= ", "--many="])
def test_an_empty_value_is_one_sentence(capsys, argument):
    name = argument.strip("= ")
    sentence = f"thing: {name} has no value; it is given as {name}=VALUE.\n"
    assert call(capsys, ["--name=x", argument]) == (2, "", sentence)
    assert call(capsys, ["--name=x", "--path="])[0] == 0  # its default is empty, too


def test_the_version(capsys):
    assert call(capsys, ["--version"]) == (0, f"thing {ldr_tf.__version__}\n", "")


def test_a_command_may_have_a_version_of_its_own(capsys):
    own = cli.new_flags()
    version = flags.DEFINE_integer("version", 1, "of the model", flag_values=own)
    seen = []
    cli.main(lambda: seen.append(version.value), own, "Exports.", ["export", "--version", "3"])
    assert seen == [3]
    cli.main(lambda: None, own, "Exports.", ["export", "--help"])
    assert capsys.readouterr().out.count("--version") == 1


def test_running_out_of_memory_is_one_sentence(capsys):
    def fail():
        raise MemoryError

    code, _, err = call(capsys, ["--name=x"], fail)
    assert code == cli.FAILURE and err == "thing: the memory of this machine does not suffice.\n"


@dataclasses.dataclass(frozen=True)
class Options(Record):
    number: Optional[float] = setting(None, "a number", least=-5.0, most=5.0)
    count: int = setting(1, "a count", least=0)


def test_flags_of_a_record(capsys):
    flag_values, seen = cli.new_flags(), []
    cli.define_record(Options, flag_values)

    def run():
        seen.append(cli.read_record(Options, flag_values))

    for word, code in (("--number=-2.5", 0), ("--number=nan", 2), ("--number=6", 2), ("", 0)):
        assert cli.main(run, flag_values, "", ["x", *word.split()]) == code, word
    assert seen == [Options(-2.5), Options()]


_LOUD = """
import sys
from ldr_tf.commands import cli
from ldr_tf.commands.screen import Screen, define_flags

FLAGS = cli.new_flags()
define_flags(FLAGS)

def run():
    screen = Screen(FLAGS)
    for line in range(20000):
        screen.say(f"line {line}")
    screen.warn("all done")
    return screen.code(True)

sys.exit(cli.main(run, FLAGS, "Says much."))
"""


@pytest.mark.parametrize("flag", ["--strict", "--help"])
def test_a_reader_that_has_seen_enough_ends_nothing(flag):
    """`| head -1`: the work goes on, and nobody hears of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LOUD, flag],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=pathlib.Path(__file__).parents[2],
    )
    assert process.stdout.readline() in ("line 0\n", "Says much.\n")
    process.stdout.close()
    assert process.stderr.read() == ("all done\n" if flag == "--strict" else "")
    process.stderr.close()
    assert process.wait() == (3 if flag == "--strict" else 0)


_LEAVES = """
import atexit, sys
from ldr_tf.commands import cli

atexit.register(print, "taken apart")
sys.stdout.write("said without an end of line")
cli.leave(3)
"""


def test_a_command_leaves_with_its_code_and_its_last_words():
    done = subprocess.run([sys.executable, "-c", _LEAVES], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (3, "said without an end of line")


def test_what_lasts_is_never_looked_at_by_the_collector():
    gc.unfreeze()
    for lasts in (True, False):  # the first block alone
        before = gc.get_freeze_count()
        with lasting():
            assert not gc.isenabled()
            kept = [[] for _ in range(100)]
        assert gc.isenabled()
        assert (gc.get_freeze_count() >= before + len(kept)) == lasts
    gc.unfreeze()
