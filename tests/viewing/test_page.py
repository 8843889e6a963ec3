import hashlib
import json
import pathlib
import re

import pytest

import ldr_tf.viewing
from ldr_tf.viewing import collect, write_page
from tests.viewing.scenes import HOSTILE, parts

HERE = pathlib.Path(ldr_tf.viewing.__file__).parent
SUMMARY = {"inputs": {"fixed": f"f/{HOSTILE}", "moving": "M.nii.gz"}, "similarity": {"after": 0.9}}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "view.html"
    write_page(path, collect(**parts()), SUMMARY, ["A remark."])
    return path.read_text(encoding="utf-8")


def test_the_data_come_back(page):
    (block,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    data = json.loads(block)
    assert data["remarks"] == ["A remark."] and data["size"] == [24, 36, 30]
    assert data["landmarks"][1]["name"] == HOSTILE


def test_names_of_files_do_not_break_out(page):
    assert "<img" not in page and "onerror=" in page
    # Viewer, program, data: no more scripts than the page has of its own.
    assert page.count("</script") == 3
    title = re.search("<title>(.*?)</title>", page)[1]
    assert "&lt;img src=x" in title and "<" not in title


def test_nothing_is_fetched(page):
    assert "default-src 'none'" in page and not re.search(r'(src|href)="(?!data:)', page)
    assert len(page) < 3_000_000 and "{{" not in page.split("<script>")[0]


def test_the_viewer_and_its_licence_are_those_that_are_pinned(page):
    script = (HERE.parents[1] / "scripts" / "fetch_niivue.sh").read_text()
    bundle = (HERE / "niivue" / "niivue.umd.js").read_bytes()
    assert f"BUNDLE_SHA256={hashlib.sha256(bundle).hexdigest()}" in script
    version = re.search("^VERSION=(.+)$", script, re.M)[1]
    licence = (HERE / "niivue" / "LICENSE").read_text()
    assert licence.startswith(f"NiiVue {version}\n") and licence in page
    assert "*/" not in licence
