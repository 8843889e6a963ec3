import pytest

from ldr_tf.registration.choice import AutoModel
from ldr_tf.registration.evidence import Look

BRAIN = Look(radius=50.0, rim=0.82, inwards=0.45)


class Brain(AutoModel):
    brain = "brain-t1"  # as if it were loaded


def test_two_t1_brains_get_their_model():
    model, reason = Brain().choose((BRAIN, BRAIN))
    assert model == "brain-t1"
    assert reason == "both scans look like brains without skull in T1 or FLAIR: brain-t1."
    assert Brain().choose((BRAIN, BRAIN._replace(inwards=0.22)))[0] == "brain-t1"  # FLAIR


@pytest.mark.parametrize(
    ("look", "words"),
    [
        (None, "is a CT or shows nothing"),
        (BRAIN._replace(radius=78.0), "shows more than a brain, as a ball of 78 mm fits into it"),
        (BRAIN._replace(radius=12.4), "shows less than a brain, as a ball of 12 mm fits into it"),
        (BRAIN._replace(inwards=-0.27), "shows neither T1 nor FLAIR"),
        (BRAIN._replace(inwards=None), "shows neither T1 nor FLAIR"),
    ],
)
@pytest.mark.parametrize("which", [0, 1])
def test_anything_else_is_left_to_the_refinement(look, words, which):
    looks = (BRAIN, look) if which else (look, BRAIN)
    model, reason = Brain().choose(looks)
    assert model is None
    assert reason.startswith(f"the {('fixed', 'moving')[which]} scan {words}")
    assert ": no model, refinement alone (" in reason
