"""Benchmarks one subject on this machine: prints a table and, with --output, writes JSON.

    python -m experiments.benchmark SUBJECT [--output=DIR] [flags of the subject]
    python -m experiments.benchmark SUBJECT --help

Each subject is a file of experiments/benchmarks with `define(flag_values)`, which defines its
flags, and `run(**settings)`, which takes their values and returns the rows of the table; some have
`plot(rows, folder)`, which draws them and returns the picture's path.
"""

import importlib
import sys

from absl import flags

from ldr_tf.commands import cli
from ldr_tf.commands.quiet import quiet_tensorflow

SUBJECTS = {
    "clients": "an export in C, Node, gRPC, OpenVINO and ONNX Runtime: figures, sizes, time",
    "data": "reading training batches, against plain h5py; memory against the number of scans",
    "export": "a pair through an export, its XLA variant, in process, the original's graph",
    "inference": "a pair registered, fast and naive, by students and teachers; warps",
    "growth": "time and memory of students against volume size, batch and cascades",
    "flows": "a store of teacher flows: bytes, error of half precision, time to write and read",
    "serving": "an exported model under load: latency, memory, wrong requests, a restart",
    "shell": "scans registered from the shell: Dice against seconds, other programs beside us",
    "train": "a step of each arm, against the least that it must do",
}
"""Subject, a module of experiments.benchmarks -> what it measures."""


def main(argv=None):
    """Runs the command; returns the exit code."""
    argv = list(sys.argv if argv is None else argv)
    subject = argv[1] if len(argv) > 1 else ""
    if subject in ("--help", "-h", "-help", "--helpfull"):
        print("\n".join([__doc__.strip(), "", "Subjects:", *_listed()]))
        return 0
    if subject not in SUBJECTS:
        print(
            f"benchmark: the first argument must be one of {', '.join(SUBJECTS)}, "
            f"not {subject!r}; --help tells more.",
            file=sys.stderr,
        )
        return cli.BAD_INPUT
    quiet_tensorflow()
    module = importlib.import_module(f"experiments.benchmarks.{subject}")
    flag_values = cli.new_flags()
    flags.DEFINE_string("output", None, "folder for SUBJECT.json", flag_values=flag_values)
    module.define(flag_values)

    def run():
        from experiments.benchmarks import common
        from ldr_tf.files import check_output_folder

        settings = {name: flag_values[name].value for name in flag_values}
        output = settings.pop("output")
        if output is not None:
            check_output_folder(output)
        rows = module.run(**settings)
        print(common.table(rows))
        if output is not None:
            print(f"-> {common.write_report(output, subject, settings, rows)}")
            if hasattr(module, "plot"):
                print(f"-> {module.plot(rows, output)}")
        return 0

    return cli.main(run, flag_values, module.__doc__, [f"benchmark {subject}", *argv[2:]])


def _listed():
    width = max(map(len, SUBJECTS))
    return [f"  {name.ljust(width)}  {text}" for name, text in SUBJECTS.items()]


if __name__ == "__main__":
    sys.exit(main())
