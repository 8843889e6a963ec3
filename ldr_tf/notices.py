"""Notices and warnings about an answer, in one form from the reader of a file to the tables."""

import dataclasses

LEVELS = ("notice", "warning")


@dataclasses.dataclass(frozen=True)
class Notice:
    """One thing to know about an answer.

    Attributes:
      code: a short name for programs to filter by, lower case with hyphens.
      text: a sentence for people that names the file or scan it is about.
      level: "notice": something was done or assumed; "warning": the answer may be wrong.
    """

    code: str
    text: str
    level: str = "warning"


class Notices(list):
    """Notices in the order in which they arose, without repetitions."""

    def notice(self, code, text):
        """Adds that something was done or assumed."""
        self._add(Notice(code, text, "notice"))

    def warning(self, code, text):
        """Adds that the answer may be wrong."""
        self._add(Notice(code, text, "warning"))

    def warnings(self):
        """Returns those of level "warning"."""
        return [notice for notice in self if notice.level == "warning"]

    def _add(self, notice):
        if notice not in self:
            self.append(notice)
