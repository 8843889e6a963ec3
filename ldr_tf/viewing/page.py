"""The page itself: an HTML file with style, viewer, program and data inside."""

import dataclasses
import html
import json
import os
import re

from ldr_tf.files import atomic_path, read_bytes
from ldr_tf.viewing import facts

_HERE = os.path.dirname(os.path.abspath(__file__))
_PARTS = {
    "style": "page/page.css",
    "licence": "niivue/LICENSE",
    "niivue": "niivue/niivue.umd.js",
    "planes": "page/planes.js",
    "jacobian": "page/jacobian.js",
    "scene": "page/scene.js",
    "panel": "page/panel.js",
}
_PLACE = re.compile(r"\{\{(\w+)\}\}")


def write_page(path, content, summary, remarks=()):
    """Writes the page of a registration, atomically; it holds less than 12 MB.

    Args:
      path: the file, which ends in .html.
      content: a Content, see `collect`.
      summary: what summary.json says of the registration; parts may be missing.
      remarks: sentences about the page itself, such as what could not be shown.
    """
    title = facts.title(summary)
    data = {
        "title": title,
        "remarks": list(remarks),
        "notices": facts.notices(summary),
        "tables": facts.tables(summary),
        **dataclasses.asdict(content),
    }
    texts = {name: _read(part) for name, part in _PARTS.items()}
    texts.update(title=html.escape(title), data=_script_json(data))
    page = _PLACE.sub(lambda place: texts[place[1]], _read("page/page.html"))
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(page)


def _script_json(data):
    """Returns JSON that stays inside its <script>: of names of files anything may come."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _read(name):
    return read_bytes(os.path.join(_HERE, name)).decode("utf-8")
