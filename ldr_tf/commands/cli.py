"""What every command line shares: flags of its own, help, exit codes.

Exit codes: 0; 2 for bad input (flags included); 1 for a failure of ours or an interruption; 3,
where a command has --strict, for work that is done with a warning. `~` in the value of a flag is
the home folder. A command keeps its flags in a `FlagValues` of its own, so that several can live in
one process:

    FLAGS = cli.new_flags()
    _RUN = flags.DEFINE_string("run", None, "...", required=True, flag_values=FLAGS)

    def run():                     # imports TensorFlow inside: bad flags answer at once
        ...

    def main(argv=None):
        return cli.main(run, FLAGS, __doc__, argv)

    def command():                 # the console's entry point
        cli.leave(main())
"""

import contextlib
import os
import sys
import typing

from absl import flags

import ldr_tf
from ldr_tf import records
from ldr_tf.commands.quiet import quiet_tensorflow
from ldr_tf.commands.screen import mute, show
from ldr_tf.errors import InputError

BAD_INPUT = 2
FAILURE = 1


def new_flags():
    """Returns the empty flag set of one command."""
    return flags.FlagValues()


def define_record(record, flag_values):
    """Defines a flag for each field of a record, see `ldr_tf.records.setting`."""
    for row in records.describe(record):
        kind = (typing.get_args(row.kind) or (row.kind,))[0]
        words = (row.name, row.default)
        if row.about["choices"] is not None:
            choices = list(row.about["choices"])
            flags.DEFINE_enum(*words, choices, row.about["meaning"], flag_values=flag_values)
        elif kind is bool:
            flags.DEFINE_bool(*words, row.about["meaning"], flag_values=flag_values)
        elif kind in (int, float):
            define = flags.DEFINE_integer if kind is int else flags.DEFINE_float
            bounds = row.about["least"], row.about["most"]
            define(*words, row.about["meaning"], *bounds, flag_values=flag_values)
        else:
            flags.DEFINE_string(*words, row.about["meaning"], flag_values=flag_values)


def read_record(record, flag_values):
    """Returns the record that the flags of `define_record` make."""
    return record(**{row.name: flag_values[row.name].value for row in records.describe(record)})


def main(run, flag_values, description, argv=None, more_help="", lone=None):
    """Parses `argv` (default: the process's own) into `flag_values`, calls `run()`.

    `more_help` follows the flags where help is asked for; `lone` is the flag that one word alone
    stands for, `ldr-view FOLDER`.

    Returns the exit code; a traceback appears only for a failure of ours.
    """
    argv = list(sys.argv if argv is None else argv)
    code = FAILURE
    try:
        code = _main(run, flag_values, description, argv, more_help, lone)
        sys.stdout.flush()
    except BrokenPipeError:  # of `| head -1`, which has seen enough
        mute(sys.stdout)
    return code


def leave(code):
    """Ends this process with an exit code, and at once.

    To take TensorFlow apart first would take one to two seconds more. So what a command leaves to
    the end of the process would be lost: files are closed and threads waited for before.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            stream.flush()
    os._exit(code)


def _main(run, flag_values, description, argv, more_help, lone):
    if any(word in ("--help", "-h", "-help", "--helpfull") for word in argv[1:]):
        show([_help(description, flag_values) + more_help], sys.stdout)
        return 0
    if _shows_version(flag_values) and any(w in ("--version", "-version") for w in argv[1:]):
        show([f"{_name(argv[0])} {ldr_tf.__version__}"], sys.stdout)
        return 0
    # Quiet unless asked otherwise: TensorFlow's start-up lines would hide our own.
    quiet_tensorflow()
    try:
        flag_values.unparse_flags()
        for name in flag_values:
            flag_values[name].unparse()
        words = [argv[0], *spelt_out(argv[1:], lone, flag_values)]
        rest = flag_values(words)
        if len(rest) > 1:
            raise InputError(f"unexpected argument {rest[1]!r}; values are given as --flag=value.")
        for name in flag_values:
            _settle(flag_values[name])
        return run() or 0
    except flags.Error as error:
        return _refuse(argv[0], str(error).replace("\n", " "))
    except InputError as error:
        return _refuse(argv[0], str(error))
    except MemoryError:
        _refuse(argv[0], "the memory of this machine does not suffice.")
        return FAILURE
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return FAILURE


def spelt_out(words, lone, flag_values):
    """Returns a command's arguments, the first that is no flag as the value of the flag `lone`.

    Args:
      words: the arguments.
      lone: see `main`.
      flag_values: of the command; a flag without "=" takes the next word, unless it is boolean.
    """
    place = 0
    while place < len(words) and words[place].startswith("-"):
        name = words[place].lstrip("-")
        place += 2 if name in flag_values and not flag_values[name].boolean else 1
    if lone is None or place >= len(words):
        return words
    return [*words[:place], f"--{lone}={words[place]}", *words[place + 1 :]]


def _settle(flag):
    """Puts the home folder for `~` in a flag's texts; InputError where a text is empty."""
    many = isinstance(flag.value, list)
    texts = flag.value if many else [flag.value]
    if not flag.present or not all(isinstance(text, str) for text in texts):
        return
    if flag.default != "" and not all(text.strip() for text in texts):
        raise InputError(f"--{flag.name} has no value; it is given as --{flag.name}=VALUE.")
    texts = [os.path.expanduser(text) for text in texts]
    flag.value = texts if many else texts[0]


def _refuse(command, sentence):
    print(f"{_name(command)}: {sentence}", file=sys.stderr)
    return BAD_INPUT


def _shows_version(flag_values):
    """Whether --version is not a flag of the command's own, such as the version of an export."""
    return "version" not in flag_values


def _name(command):
    return os.path.splitext(os.path.basename(command))[0]


def _help(description, flag_values):
    lines = [description.strip(), "", "Flags:"]
    for name in sorted(flag_values):
        flag = flag_values[name]
        default = "" if flag.default is None else f" (default: {flag.default})"
        lines.append(f"  --{name}: {flag.help}{default}")
    if _shows_version(flag_values):
        lines.append("  --version: show the version and end")
    return "\n".join(lines)
