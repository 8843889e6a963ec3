"""What the files of a registration are called: a value, so that a layout can have its own."""

import dataclasses
from collections.abc import Mapping

SUMMARY = "summary.json"


@dataclasses.dataclass(frozen=True)
class ResultNames:
    """The names of a registration's files in its output folder.

    Attributes:
      files: {what a file holds: its name}, of all that a registration may write besides sidecars.
      sidecars: {what a file holds: the content of a JSON file beside it}, of those that have one.
      label: what tells the pair from others whose files lie in the same folder; "" where it has
        the folder to itself.
    """

    files: Mapping[str, str]
    sidecars: Mapping[str, dict] = dataclasses.field(default_factory=dict)
    label: str = ""

    @property
    def summary(self):
        """The name of the file that says that all others are there."""
        return self.files["summary"]

    def sidecar(self, what):
        """Returns the name of the JSON file beside the file that holds `what`."""
        name = self.files[what]
        return name.removesuffix(".gz").rpartition(".")[0] + ".json"

    def all(self):
        """Returns the names of all files that may be written, a list."""
        return [*self.files.values(), *map(self.sidecar, self.sidecars)]

    def hidden(self, name):
        """Returns the name of a hidden file or folder, the pair's own."""
        return f"{name}-{self.label}" if self.label else name


PLAIN = ResultNames(
    {
        "warped": "warped.nii.gz",
        "displacement": "displacement.nii.gz",
        "affine": "affine.tfm",
        "warped_labels": "warped_labels.nii.gz",
        "jacobian": "jacobian.nii.gz",
        "inverse_displacement": "inverse_displacement.nii.gz",
        "fixed_mask": "fixed_mask.nii.gz",
        "moving_mask": "moving_mask.nii.gz",
        "preview": "preview.png",
        "view": "view.html",
        "summary": SUMMARY,
    }
)
"""The names where a pair has a folder to itself."""
