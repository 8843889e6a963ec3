"""The page in a browser: opened, scrolled, looked at; nothing fetched, nothing complained about."""

import numpy as np
import pytest

from ldr_tf.viewing import collect, write_page
from tests.viewing.browser import PROGRAM, browser
from tests.viewing.scenes import HOSTILE, grid_of_sides, parts, stretch

SUMMARY = {
    "inputs": {"fixed": HOSTILE, "moving": "M.nii.gz"},
    "notices": [{"level": "warning", "text": f"Look at <b>{HOSTILE}</b>."}],
    "landmarks_mm": {"before": {HOSTILE: 4.5}, "after": {HOSTILE: 2.0}},
    "folds_percent": 0.0,
}
PANEL = 348


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="no chromium on this machine")
def test_the_page_in_a_browser(tmp_path):
    path = tmp_path / "view.html"
    given = parts()
    given["warped"] = given["pair"].moving  # as if nothing had been moved: the pictures differ
    given["displacement"] = stretch(grid_of_sides())
    write_page(path, collect(**given), SUMMARY)
    with browser(tmp_path / "profile") as page:
        assert page.open(path, 900, 560) == "ready"
        title = page.run("document.title")
        name = HOSTILE.split("/")[-1]
        assert title == page.run("byId('title').textContent") == f"M.nii.gz registered to {name}"
        assert "img" not in page.run("byId('panel').innerHTML").split("&lt;")[0]
        assert page.run("byId('notices').textContent").startswith("Warning: Look at <b></script>")

        # Where the middle is, and that the second landmark is further left, front, head.
        assert page.run("scene.place()") == [12, 18, 15]
        page.run("act(() => scene.goTo([9, 21.5, 21.5]))")
        where = page.run("byId('where').textContent")
        assert where.startswith("L 5.0  A 6.0  S 7.0 mm"), where
        page.run("act(() => scene.goTo([11.5, 17.5, 14.5]))")

        # Each scan is a picture of its own, and none is black.
        page.press("o")
        page.press("l")
        seen = {}
        for key, name in (("f", "fixed"), ("f", "warped"), ("m", "moving"), ("d", "difference")):
            page.press(key)
            assert page.run("scene.image") == name
            seen[name] = page.picture()[:, :-PANEL]
            assert seen[name].max() > 0.5
        assert np.abs(seen["fixed"] - seen["warped"]).mean() > 0.005
        np.testing.assert_allclose(seen["warped"][40:-40], seen["moving"][40:-40], atol=0.02)
        # The ball lies further left in the moving scan, which is further right in the picture.
        centres = [column_of(seen[name]) for name in ("fixed", "moving")]
        assert centres[1] > centres[0] + 5

        page.press("f")
        for key in ("o", "g", "j", "l"):
            before = page.picture()[:, :-PANEL]
            page.press(key)
            assert np.abs(page.picture()[:, :-PANEL] - before).max() > 0.2, key

        page.press("2")  # the axial plane alone
        assert page.run("scene.view") == 0
        place = page.run("scene.place()")
        page.press("ArrowUp")
        assert page.run("scene.place()") == [place[0], place[1], place[2] + 1]
        before = page.picture()
        page.wheel(270, 280, 120)
        page.wait(f"scene.place()[2] !== {place[2] + 1}", 10)
        assert np.abs(page.picture() - before).max() > 0.1
        page.press("5")
        assert page.run("scene.view") == 4 and page.picture()[:, :-PANEL].max() > 0.2
        page.press("ArrowRight")
        assert page.run("[scene.image, byId('blend').value].join()") == "blend,55"

        assert page.requests == [path.as_uri()] and page.complaints == []


def column_of(picture):
    """The column about which the lower left quarter, the axial plane, is bright."""
    plane = picture[picture.shape[0] // 2 :, : picture.shape[1] // 2].mean(axis=-1)
    bright = (plane > 0.45).sum(axis=0)
    return (bright * np.arange(bright.size)).sum() / bright.sum()
