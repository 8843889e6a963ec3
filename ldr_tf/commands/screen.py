"""What a command says: results on stdout, what must be known of them on stderr.

Three flags have a say in it: --quiet, --verbose, and --strict, which makes warnings an exit code.
"""

import contextlib
import os
import sys
import traceback

import SimpleITK as sitk
from absl import flags
from tqdm import tqdm

from ldr_tf.commands.quiet import quiet_native
from ldr_tf.errors import InputError

WARNED = 3
"""Exit code, with --strict, where the work is done and a warning was given."""


def define_flags(flag_values):
    """Defines --quiet, --verbose and --strict in a command's flags."""
    for name, text in {
        "quiet": "say nothing but warnings and errors",
        "verbose": "show what libraries write by themselves, and the traceback of a pair that "
        "fails for a reason of ours",
        "strict": f"exit code {WARNED} where a warning is given; all files are written none the "
        "less",
    }.items():
        flags.DEFINE_bool(name, False, text, flag_values=flag_values)


class Screen:
    """The screen of one run of a command."""

    def __init__(self, flag_values):
        """Takes the flags of `define_flags`; InputError where they contradict each other."""
        self._quiet = flag_values["quiet"].value
        self.verbose = flag_values["verbose"].value
        self._strict = flag_values["strict"].value
        if self._quiet and self.verbose:
            raise InputError("--quiet and --verbose exclude each other.")
        sitk.ProcessObject.SetGlobalWarningDisplay(self.verbose)

    @property
    def draws(self):
        """Whether a bar of progress is wanted."""
        return not self._quiet and sys.stderr.isatty()

    def say(self, *lines):
        """Shows lines on stdout, unless --quiet."""
        if not self._quiet:
            show(lines, sys.stdout)

    def warn(self, *lines):
        """Shows lines on stderr."""
        show(lines, sys.stderr)

    def tell(self, notices, head=""):
        """Shows Notices, one a line; with --quiet warnings alone."""
        for notice in notices:
            if notice.level == "warning" or not self._quiet:
                self.warn(f"{head}{notice.level}: {notice.text}")

    def trace(self):
        """Shows, with --verbose, the traceback of the exception that is being handled."""
        if self.verbose:
            self.warn(traceback.format_exc().rstrip())

    def native(self):
        """Returns a context in which libraries write to the screen with --verbose alone."""
        return quiet_native(wanted=not self.verbose)

    def code(self, warned):
        """Returns the exit code of work that is done; `warned` tells of a warning."""
        return WARNED if self._strict and warned else 0


def show(lines, stream):
    """Writes lines to a stream, nowhere once nobody reads it; keeps clear of a bar of progress."""
    try:
        for line in lines:
            tqdm.write(line, file=stream)
        stream.flush()
    except BrokenPipeError:
        mute(stream)


def mute(stream):
    """Lets what is written to a stream go nowhere: nobody reads it any more (`| head -1`)."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
