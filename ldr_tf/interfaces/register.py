"""ldr-register as a node of a Nipype workflow."""

import os

from nipype.interfaces.base import Directory, File, TraitedSpec, traits

from ldr_tf.commands.bids import DataSet
from ldr_tf.commands.folder import listed
from ldr_tf.commands.model_options import ModelOptions
from ldr_tf.commands.pair import FileOptions
from ldr_tf.commands.register import FLAGS
from ldr_tf.interfaces.command import Command, about, scan, spec_of
from ldr_tf.registration.options import RegistrationOptions
from ldr_tf.registration.pair import PairFiles
from ldr_tf.registration.result_names import PLAIN


def _file(name):
    return File(exists=True, **about(FLAGS, name))


class RegisterInputSpec(spec_of("_Options", RegistrationOptions, FileOptions, ModelOptions)):
    """The flags of ldr-register for one pair."""

    fixed = scan(FLAGS, "fixed", mandatory=True)
    moving = scan(FLAGS, "moving", mandatory=True)
    model = traits.Str(**about(FLAGS, "model"))
    output = Directory("registered", usedefault=True, **about(FLAGS, "output"))
    fixed_labels = _file("fixed_labels")
    moving_labels = _file("moving_labels")
    fixed_points = _file("fixed_points")
    moving_points = _file("moving_points")
    fixed_mask = _file("fixed_mask")
    moving_mask = _file("moving_mask")
    strict = traits.Bool(**about(FLAGS, "strict"))


_WRITTEN = {what: File(exists=True, desc=f"as {name}") for what, name in PLAIN.files.items()}


class RegisterOutputSpec(type("_Files", (TraitedSpec,), _WRITTEN)):
    """The files of ldr-register."""


class Register(Command):
    """Registers a moving scan to a fixed one by ldr-register.

    Its inputs are the command's flags, its outputs the files that the command has written; one
    that was not asked for stays undefined. Paths are best given in full: a node works in a folder
    of its own, in which `output` lies unless it is given, too.
    """

    _cmd = "ldr-register"
    input_spec = RegisterInputSpec
    output_spec = RegisterOutputSpec

    def _list_outputs(self):
        inputs, outputs = self.inputs, self.output_spec().get()
        pair = PairFiles(inputs.fixed, inputs.moving, os.path.abspath(inputs.output))
        if inputs.bids is True:
            pair = DataSet(pair.output).place(pair)
        written = listed(pair.output, pair.names)
        for what, name in pair.names.files.items():
            if name in written:
                outputs[what] = os.path.join(pair.output, name)
        return outputs
