"""From records and flags to traits, and from traits back to a command line."""

import shlex
import typing

from nipype.interfaces.base import CommandLine, CommandLineInputSpec, Directory, File, traits

from ldr_tf import records


class Command(CommandLine):
    """Base of the interfaces: every trait with an `argstr` is the flag of its name."""

    def _format_arg(self, name, trait_spec, value):
        # Nipype hands the line to a shell and quotes nothing itself.
        values = value if isinstance(value, list) else [value]
        return " ".join(shlex.quote(f"--{name}={_text(one)}") for one in values)


def spec_of(name, *of):
    """Returns a class of input traits, one for each field of some records.

    A trait that is not set is left out of the command line: the command knows the defaults.

    Args:
      name: of the class.
      of: the records, see `ldr_tf.records.setting`.
    """
    rows = [row for record in of for row in records.describe(record)]
    return type(name, (CommandLineInputSpec,), {row.name: _trait(row) for row in rows})


def about(flags, name, **more):
    """Returns the metadata of the trait that stands for a flag.

    Args:
      flags: the flags of the command.
      name: of the flag.
      more: further metadata.
    """
    return {"desc": flags[name].help, "argstr": f"--{name}=%s", **more}


def scan(flags, name, **more):
    """Returns the trait of a flag for a scan: a file, or a folder of DICOM slices."""
    return traits.Either(File(exists=True), Directory(exists=True), **about(flags, name, **more))


def _trait(row):
    kind = (typing.get_args(row.kind) or (row.kind,))[0]
    known = {"desc": row.about["meaning"], "argstr": f"--{row.name}=%s"}
    if row.about["choices"] is not None:
        return traits.Enum(*row.about["choices"], **known)
    if kind is bool:
        return traits.Bool(**known)
    if kind is str:
        return traits.Str(**known)
    least, most, above = (row.about[bound] for bound in ("least", "most", "above"))
    if least is most is above is None:
        return (traits.Int if kind is int else traits.Float)(**known)
    low = above if least is None else least
    return traits.Range(low=low, high=most, exclude_low=above is not None, **known)


def _text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)
