import dataclasses

import pytest

from ldr_tf.notices import Notices
from ldr_tf.registration.checks import Evidence, check

GOOD = Evidence(
    correlation={"before": 0.3, "affine": 0.6, "network": 0.85},
    deep=0.3,
    explained=0.35,
    overlap=0.96,
    uncovered=0.02,
    scales=(1.1, 1.0, 0.95),
    rotation=8.0,
    shear=0.05,
    folds_percent=0.01,
    rims=(0.8, 0.85),
)


def said(**changes):
    if "correlation" in changes:
        changes = {"explained": None, **changes}
    notices = Notices()
    check(dataclasses.replace(GOOD, **changes), notices)
    return {notice.code: notice for notice in notices}


def test_a_good_answer_is_left_in_peace():
    assert said() == {}
    assert said(rims=None, folds_percent=None, rotation=None, shear=None, scales=()) == {}
    assert said(correlation={"before": 0.5}) == {}
    assert said(rims=(1.5, 1.7)) == {}  # two whole heads
    assert said(rims=(1.5, 0.8), cores=0.05) == {}  # one with a dark scalp


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"refused_scales": (1.1, 0.9, 0.13)}, "affine-scale"),
        ({"scales": (1.5, 1.0, 1.0)}, "affine-scale"),
        ({"shear": 0.4}, "affine-shear"),
        ({"correlation": {"before": 0.1, "affine": 0.2, "network": 0.35}}, "correlation-low"),
        ({"correlation": {"before": 0.1, "affine": 0.15}}, "correlation-low"),
        ({"correlation": {"before": -0.2}}, "correlation-low"),
        ({"correlation": {"before": 0.3, "affine": 0.1, "network": 0.6}}, "correlation-low"),
        ({"correlation": {"before": 0.3, "affine": 0.6, "network": 0.55}}, "worse-than-before"),
        (
            {"correlation": {"affine": 0.6, "network": 0.8, "refinement": 0.7}},
            "worse-than-before",
        ),
        ({"correlation": {"before": 0.7, "network": 0.6}}, "worse-than-before"),
        ({"correlation": {"before": 0.7, "affine": None}}, "correlation-unknown"),
        ({"correlation": {"before": None}}, "correlation-unknown"),
        ({"correlation": {"before": -0.5, "network": 0.6}, "explained": 0.35}, "contrast-differs"),
        ({"explained": 0.5}, "contrast-differs"),
        ({"deep": 0.16}, "contrast-differs"),
        ({"cores": 0.02}, "cores-unlike"),
        ({"overlap": 0.7}, "foreground-overlap-low"),
        ({"uncovered": 0.5}, "uncovered"),
        ({"rims": (0.8, 1.5)}, "only-one-stripped"),
        ({"folds_percent": 3.0}, "folds"),
    ],
)
def test_one_thing_amiss_is_one_warning(changes, code):
    found = said(**changes)
    assert list(found) == [code]
    assert found[code].level == "warning"


def test_contrast_is_judged_before_the_deformation():
    # 0.6^2 = 0.36 against 0.35; what the network makes of it does not count.
    assert said(explained=0.35) == {}
    assert list(said(explained=0.41)) == ["contrast-differs"]  # 0.36 < 0.9 * 0.41
    # Where hardly anything is explained, nothing is known of the contrast.
    assert "contrast-differs" not in said(
        correlation={"affine": -0.1, "network": 0.6}, explained=0.02
    )


def test_an_answer_across_contrasts_is_judged_by_the_cores():
    low = {"affine": 0.1, "refinement": 0.05}
    edges = {"correlation": low, "explained": 0.35, "similarity": "gradient_fields"}
    assert said(**edges, cores=0.05) == {}
    assert "cores-unlike" in said(**edges, cores=0.02)
    # Of brains nothing else is known, and their correlation may fall as they come together.
    assert list(said(**edges)) == ["contrast-differs"]
    doubtful = [{"cores": None}, {"cores": 0.02}, {"cores": 0.05, "similarity": None}]
    doubtful.append({"cores": 0.05, "correlation": {"affine": 0.1, "network": 0.05}})
    for changes in doubtful:  # brains, or not found, or refined by grey values, or by a network
        assert "contrast-differs" in said(**{**edges, **changes})


def test_reversed_contrasts_are_judged_as_edges_are():
    low = {"affine": 0.1, "refinement": -0.3}
    squares = {"correlation": low, "deep": -0.48, "similarity": "local_correlation"}
    (warning,) = said(**squares).values()
    assert warning.code == "contrast-differs" and "squares of their local" in warning.text
    # What is merely unlike deep inside is not reversed, and a network is not blind to it.
    assert "correlation-low" in said(**{**squares, "deep": -0.1})
    assert "correlation-low" in said(**{**squares, "correlation": {**low, "network": 0.1}})


def test_likeness_by_chance_before_the_affine_step_does_not_count():
    assert said(correlation={"before": 0.9, "affine": 0.6, "network": 0.8}) == {}


def test_a_large_turn_is_told_but_no_warning():
    assert said(rotation=175.0)["affine-rotation"].level == "notice"


def test_who_is_stripped():
    assert "only the fixed scan" in said(rims=(0.8, 1.5))["only-one-stripped"].text
    assert "only the moving scan" in said(rims=(1.5, 0.8))["only-one-stripped"].text
