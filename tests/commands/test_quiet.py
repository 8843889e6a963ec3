import os
import sys

import pytest

from ldr_tf.commands.quiet import quiet_native
from ldr_tf.errors import InputError


def noise():
    os.write(1, b"native out\n")
    os.write(2, b"native err\n")


def test_native_lines_do_not_reach_the_screen(capfd):
    print("before")
    with quiet_native():
        noise()
    print("after")
    print("sentence", file=sys.stderr)
    assert capfd.readouterr() == ("before\nafter\n", "sentence\n")


def test_they_do_when_wanted(capfd):
    with quiet_native(wanted=False):
        noise()
    assert capfd.readouterr() == ("native out\n", "native err\n")


def test_a_sentence_stands_alone_but_a_failure_of_ours_shows_all(capfd):
    with pytest.raises(InputError), quiet_native():
        noise()
        raise InputError("a.nii: is damaged.")
    assert capfd.readouterr() == ("", "")
    with pytest.raises(KeyError), quiet_native():
        noise()
        raise KeyError("ours")
    assert capfd.readouterr() == ("", "native out\nnative err\n")
    noise()
    assert capfd.readouterr() == ("native out\n", "native err\n")


def test_blocks_inside_blocks(capfd):
    with quiet_native():
        with quiet_native():
            noise()
        noise()
    assert capfd.readouterr() == ("", "")
