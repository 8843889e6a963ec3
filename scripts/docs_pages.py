"""MkDocs hook: files outside docs/ become pages of the site, and all links between files hold.

A link is written as it works in the checkout, from file to file. On the site it leads to the page
made of that file; where there is none, as for source files, the words stay without a link.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "index.md": "README.md",
    "brain-t1.md": "ldr_tf/shipped/brain-t1/README.md",
    "brain-t1-first.md": "ldr_tf/shipped/brain-t1-first/README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "datasets.md": "data/README.md",
    "results.md": "experiments/RESULTS.md",
}
"""Page of the site -> the file of the checkout that it is made of."""

_PAGE_OF = {source: page for page, source in PAGES.items()}
_LINK = re.compile(r"\[(?P<words>[^\[\]]*)\]\((?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files, config):
    """Adds the pages from outside docs/."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns a page's links between files into links between pages."""
    here = page.file.src_uri
    source = posixpath.dirname(PAGES.get(here, f"docs/{here}"))

    def link(match):
        target = posixpath.normpath(posixpath.join(source, match["path"]))
        inside = target[len("docs/") :] if target.startswith("docs/") else None
        goal = _PAGE_OF.get(target, inside)
        if goal is None:
            if not (ROOT / target).exists():
                raise FileNotFoundError(f"{here} links to {target}, which does not exist")
            return match["words"]
        goal = posixpath.relpath(goal, posixpath.dirname(here) or ".")
        return f"[{match['words']}]({goal}{match['anchor'] or ''})"

    return _LINK.sub(link, markdown)
