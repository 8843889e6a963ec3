"""The made-up brain: sizes against those of real adult brains, and the truth of its subjects."""

import numpy as np
import pytest
from scipy import ndimage

from data import brain_anatomy
from data.brain_labels import BRAIN_LABELS
from data.phantoms import make_subject

SIZE = 96


@pytest.fixture(scope="module")
def template():
    return make_subject(1, None, SIZE, kind="brain")


def test_structures_have_freesurfers_numbers_and_plausible_sizes(template):
    assert set(brain_anatomy.LABELS.items()) <= set(BRAIN_LABELS.items())
    assert set(np.unique(template.labels)) == {0, *brain_anatomy.LABELS.values()}
    (spacing,) = set(brain_anatomy.spacing((SIZE,) * 3))
    millilitres = {
        name: (template.labels == value).sum() * spacing**3 / 1000
        for name, value in brain_anatomy.LABELS.items()
    }
    # Adult brains have 1,000 to 1,600 ml, a hippocampus 2 to 5, a thalamus 5 to 9 ml.
    assert 1000 < sum(millilitres.values()) < 1800
    assert 1.5 < millilitres["left-hippocampus"] < 5
    assert 4 < millilitres["right-thalamus"] < 9
    for name, volume in millilitres.items():
        if name.startswith("left-"):
            assert 0.8 < volume / millilitres[name.replace("left", "right")] < 1.25


def test_sides_and_poles(template):
    def middle(name):
        return ndimage.center_of_mass(template.labels == brain_anatomy.LABELS[name])

    # Axes point to the right, the front and the head.
    assert middle("right-putamen")[0] > middle("left-putamen")[0] + 0.2 * SIZE
    assert middle("right-cerebellum-cortex")[1] < middle("right-caudate")[1] - 0.2 * SIZE
    assert middle("brain-stem")[2] < middle("left-thalamus")[2] - 0.1 * SIZE
    assert (
        template.volume[template.labels == 2].mean() > template.volume[template.labels == 3].mean()
    )


def test_the_true_flow_takes_the_template_to_a_subject(template):
    subject = make_subject(1, 0, SIZE, kind="brain")
    where = np.indices(subject.labels.shape) + np.moveaxis(subject.flow, -1, 0)
    warped = ndimage.map_coordinates(template.labels, where, order=0, mode="nearest")
    assert np.mean(warped == subject.labels) > 0.97 > np.mean(template.labels == subject.labels)
    for value, point in zip((49, 51, 50), subject.points):
        assert subject.labels[tuple(np.rint(point).astype(int))] == value
