"""ldr-view: writes a page on which a registration is looked at in a browser.

  ldr-view registered
  ldr-view registered --fixed=archive/F.nii.gz --moving=archive/M.nii.gz

FOLDER holds what ldr-register wrote. The page, FOLDER/view.html, is one file without links: it
opens without a network and may be sent. It shows

  the fixed, the warped and the moving scan, one at a time, blended or as a difference, in three
  planes and in 3D;

  over them outlines of the labels, the deformed grid, the Jacobian, folds and landmarks;

  the figures of summary.json, warnings first.

Volumes are reduced to some 160 voxels a side, and further where the page would exceed 12 MB: the
page holds the scans' contents, so keep it as you keep them. Labels and landmarks are read where
summary.json says; those that are gone are left out, and the page says so. The scans themselves are
needed: --fixed and --moving say where they lie by now.

Exit codes: 0; 2 for bad input; 1 for a failure of ours or an interruption; 3 with --strict where
something could not be shown, or a scan was written anew since.
"""

import os

from absl import flags

from ldr_tf.commands import cli
from ldr_tf.commands.folder import held, naming, read_summary
from ldr_tf.commands.screen import Screen, define_flags
from ldr_tf.errors import InputError
from ldr_tf.files import atomic_path, write_json
from ldr_tf.notices import Notices
from ldr_tf.registration.result_names import PLAIN, SUMMARY

FLAGS = cli.new_flags()
LONE = "folder"
"""The flag that may go without its name."""

_FOLDER = flags.DEFINE_string(
    LONE,
    None,
    "folder of results, written by ldr-register; the name of the flag may be left out",
    required=True,
    flag_values=FLAGS,
)
_MOVED = {
    side: flags.DEFINE_string(
        side,
        None,
        f"the {side} scan, file or DICOM folder (default: as summary.json says)",
        flag_values=FLAGS,
    )
    for side in ("fixed", "moving")
}
define_flags(FLAGS)


def run():
    """Writes the page; returns the exit code."""
    screen, folder = Screen(FLAGS), _FOLDER.value
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: is no folder; one that ldr-register wrote was expected.")
    summary = read_summary(folder)
    if summary.get("finished") is not True:
        raise InputError(f"{folder}: holds no finished registration (no {SUMMARY} that says so).")
    # These bring TensorFlow, which takes seconds to import.
    from ldr_tf.viewing import collect, read_stored, write_page

    path, notices = os.path.join(folder, PLAIN.files["view"]), Notices()
    if os.path.isdir(path):
        raise InputError(f"{path}: is a folder, where a file will be written.")
    with held(folder):
        with screen.native():
            stored = read_stored(folder, summary, {k: flag.value for k, flag in _MOVED.items()})
            content = collect(**stored.parts)
        for remark in stored.remarks:
            notices.warning("not-shown", remark)
        with naming(path), atomic_path(path) as temporary:
            write_page(temporary, content, summary, stored.remarks)
            _list_page(folder, summary)
    screen.tell(notices)
    screen.say(f"written: {path} ({os.path.getsize(path) / 1e6:.1f} MB)")
    return screen.code(notices.warnings())


def _list_page(folder, summary):
    """Has the summary list the page, so that the next registration takes it for its own."""
    names = summary.get("files")
    names = names if isinstance(names, list) else []
    if PLAIN.files["view"] not in names:
        summary = {**summary, "files": sorted([*map(str, names), PLAIN.files["view"]])}
        write_json(os.path.join(folder, SUMMARY), summary)


def main(argv=None):
    """Runs the command; returns the exit code."""
    return cli.main(run, FLAGS, __doc__, argv, lone=LONE)


def command():
    """The console's entry point: runs the command and ends the process."""
    cli.leave(main())


if __name__ == "__main__":
    command()
