import pytest
from absl import flags

from ldr_tf.commands import cli
from ldr_tf.errors import InputError

FLAGS = cli.new_flags()
COUNT = flags.DEFINE_integer("count", 3, "how many", flag_values=FLAGS, lower_bound=0)
NAME = flags.DEFINE_string("name", None, "whose", required=True, flag_values=FLAGS)
KIND = flags.DEFINE_enum("kind", "a", ["a", "b"], "which", flag_values=FLAGS)


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
