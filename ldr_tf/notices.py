"""What is to be said of an answer: notices and warnings, in one form from reader to table."""

import dataclasses

LEVELS = ("notice", "warning")


@dataclasses.dataclass(frozen=True)
class Notice:
    """One thing to know about an answer.

    Attributes:
      code: a short name that programs filter by, lower case with hyphens.
      text: a sentence for people, which names the file or scan that it is about.
      level: "notice": something was done or assumed; "warning": the answer may be wrong.
    """

    code: str
    text: str
    level: str = "warning"


class Notices(list):
    """Notices in the order in which they arose, each said once."""

    def notice(self, code, text):
        """Adds that something was done or assumed."""
        self._add(Notice(code, text, "notice"))

    def warning(self, code, text):
        """Adds that the answer may be wrong."""
        self._add(Notice(code, text, "warning"))

    def warnings(self):
        """Returns those that say that the answer may be wrong."""
        return [notice for notice in self if notice.level == "warning"]

    def _add(self, notice):
        if notice not in self:
            self.append(notice)
