"""ldr-warp as a node of a Nipype workflow."""

import os

from nipype.interfaces.base import File, InputMultiObject, TraitedSpec, isdefined, traits

from ldr_tf.commands.warp import FLAGS, WarpOptions
from ldr_tf.imaging import POINT_ENDINGS, scan_stem
from ldr_tf.interfaces.command import Command, about, scan, spec_of


class WarpInputSpec(spec_of("_Options", WarpOptions)):
    """The flags of ldr-warp."""

    transform = InputMultiObject(traits.Str(), **about(FLAGS, "transform", mandatory=True))
    input = scan(FLAGS, "input", mandatory=True)
    reference = scan(FLAGS, "reference")
    output = File(genfile=True, **about(FLAGS, "output"))
    strict = traits.Bool(**about(FLAGS, "strict"))


class WarpOutputSpec(TraitedSpec):
    """The file of ldr-warp."""

    output = File(exists=True, desc="the image, or the landmarks, carried along")


class Warp(Command):
    """Carries an image, labels or landmarks along a registration by ldr-warp.

    Its inputs are the command's flags. Unless `output` is given, the file is called INPUT_warped
    and lies in the node's folder.
    """

    _cmd = "ldr-warp"
    input_spec = WarpInputSpec
    output_spec = WarpOutputSpec

    def _gen_filename(self, name):
        # Nipype asks for the traits with `genfile` alone: the output.
        path = self.inputs.input
        if path.lower().endswith(POINT_ENDINGS):
            return f"{os.path.splitext(os.path.basename(path))[0]}_warped.csv"
        return f"{scan_stem(path)}_warped.nii.gz"

    def _list_outputs(self):
        given = self.inputs.output
        return {
            "output": os.path.abspath(given if isdefined(given) else self._gen_filename("output"))
        }
