"""The run's config: round trips, choices that exist, fields that may change, old forms."""

import json

import pytest

from ldr_tf import config as configs
from ldr_tf.config import (
    CHANGEABLE,
    NetworkConfig,
    RunConfig,
    data,
    distillation,
    loss,
    network,
    optimisation,
    run_config,
)
from ldr_tf.errors import InputError
from ldr_tf.records import describe, to_dict

# As a run of the first version wrote it; and the fields that later ones added to the same form.
FIRST = {
    "stage": "student",
    "network": {
        "base_network": "LDR",
        "cascades": 2,
        "rep": 1,
        "affine_stem": "none",
        "image_size": [64, 64, 64],
        "channels": 16,
    },
    "image": {"orientation": "RAS", "spacing": None, "intensity": "none"},
    "training": {
        "steps": 100,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "schedule": "rcn",
        "seed": 3,
        "similarity": "mse",
        "regularization": 0.5,
        "augmentation": 0.2,
        "flip_axis": 2,
        "validate_every": 50,
        "checkpoint_every": 25,
        "summarize_every": 5,
        "keep_checkpoints": 2,
    },
    "distillation": {
        "kind": "aldk",
        "objective": "joint",
        "gamma": 0.4,
        "beta": 0.2,
        "penalty": 5.0,
        "feature_reduction": "sum",
        "flow_unit": 10.0,
        "critic_size": [32, 32, 32],
        "critic_learning_rate": 1e-4,
        "critic_steps": 2,
        "reconstruction_steps": 1,
        "until_step": 80,
        "afterwards": "full",
    },
    "dataset": "scans/liver.json",
    "subset": "train",
    "teacher": "runs/teacher",
}
LATER = {
    "network": {"flow_resolution": "half"},
    "image": {"crop": "foreground", "fit": "isotropic"},
    "training": {
        "accumulate": 1,
        "recompute": True,
        "precision": "mixed_bfloat16",
        "strategy": "mirrored",
        "images": "synthetic",
        "painted": "label_maps",
        "paired": True,
        "deterministic": True,
        "xla": "off",
        "label_weight": 2.0,
        "shift": 3,
        "on_nonfinite": "skip",
    },
    "distillation": {"constraint": "none", "flow_length": "rms"},
    "teacher": None,
    "teacher_flows": "flows.h5",
}


def later():
    values = {**FIRST, **{key: LATER[key] for key in ("teacher", "teacher_flows")}}
    for record in ("network", "image", "training", "distillation"):
        values[record] = {**FIRST[record], **LATER[record]}
    return json.loads(json.dumps(values))


def test_round_trip_through_json():
    run = RunConfig(
        network=NetworkConfig(cascades=3),
        augmentation=configs.AugmentationConfig(flip_axis=0),
        distillation=configs.DistillationConfig(
            "aldk", teacher="t", critic=configs.CriticConfig(size=(8, 8, 8))
        ),
    )
    assert run_config(json.loads(json.dumps(to_dict(run)))) == run


def test_the_first_form_is_brought_forward():
    run = run_config(json.loads(json.dumps(FIRST)))
    assert run.data.dataset == "scans/liver.json" and run.data.subset == "train"
    assert run.distillation.teacher == "runs/teacher" and run.distillation.teacher_flows is None
    assert (run.optimisation.steps, run.optimisation.schedule) == (100, "rcn")
    assert run.loss == configs.LossConfig(similarity="mse", regularization=0.5)
    assert run.augmentation == configs.AugmentationConfig(deformation=0.2, flip_axis=2)
    critic = run.distillation.critic
    assert (critic.objective, critic.penalty, critic.beta) == ("joint", 5.0, 0.2)
    assert (critic.size, critic.steps, critic.learning_rate) == ((32, 32, 32), 2, 1e-4)
    assert (run.distillation.gamma, run.distillation.until_step) == (0.4, 80)
    # That version measured the slope by the sum and had no other way.
    assert critic.flow_length == "sum" and critic.constraint == "gradient_penalty"


def test_the_last_form_before_is_brought_forward():
    run = run_config(later())
    assert run.network.flow_resolution == "half" and run.image.fit == "isotropic"
    assert (run.data.images, run.data.painted, run.data.paired) == ("synthetic", "label_maps", True)
    assert (run.loss.label_weight, run.augmentation.shift) == (2.0, 3)
    assert run.optimisation.recompute and run.optimisation.deterministic
    assert (run.optimisation.xla, run.optimisation.on_nonfinite) == ("off", "skip")
    assert run.distillation.teacher_flows == "flows.h5"
    assert run.distillation.critic.constraint == "none"
    assert run.distillation.critic.flow_length == "rms"
    assert run_config(to_dict(run)) == run


def test_a_part_of_an_old_config_is_brought_forward():
    values = {"training": {"steps": 3, "shift": 2}, "distillation": {"penalty": 1.0}}
    run = run_config(values)
    assert (run.optimisation.steps, run.augmentation.shift) == (3, 2)
    assert run.distillation.critic.penalty == 1.0
    assert run.distillation.critic.flow_length == "rms"
    with pytest.raises(InputError, match=r"unknown field optimisation\.stepz"):
        run_config({"training": {"stepz": 3}})


def test_every_choice_can_be_had():
    """What the records let pass is what the tables of those who do the work know."""
    from data.synthetic import STYLES
    from ldr_tf.losses.similarity import SIMILARITY_LOSSES
    from ldr_tf.networks.cascade import AFFINE_STEMS, DENSE_STEMS

    assert set(loss.SIMILARITIES) == set(SIMILARITY_LOSSES)
    assert set(network.BASE_NETWORKS) == set(DENSE_STEMS)
    assert set(network.AFFINE_STEMS) == {"none", *AFFINE_STEMS}
    assert set(data.IMAGES) == {"scans", *STYLES}


@pytest.mark.parametrize("name", optimisation.SCHEDULES)
def test_every_schedule_begins_at_the_rate(name):
    from ldr_tf.training.schedules import learning_rate

    config = configs.OptimisationConfig(schedule=name, learning_rate=2.0)
    assert learning_rate(config, 0) == 2.0


def test_what_may_change_is_declared_so():
    assert {"optimisation.steps", "optimisation.xla", "data.cache"} <= CHANGEABLE
    assert not CHANGEABLE & {"optimisation.seed", "optimisation.batch_size", "loss.similarity"}


def test_every_field_says_what_it_is():
    for row in describe(RunConfig):
        assert row.about["meaning"] and not row.about["meaning"].endswith("."), row.name


@pytest.mark.parametrize(
    "values, words",
    [
        (
            {
                "optimisation": {"batch_size": 2, "accumulate": 2},
                "distillation": {"critic": {"steps": 2}},
            },
            r"distillation\.critic\.steps must be 1",
        ),
        ({"stage": "teacher", "distillation": {"kind": "flow"}}, "none for the stage teacher"),
        ({"distillation": {"teacher": "t"}}, "does not use it"),
        (
            {"distillation": {"kind": "flow", "teacher": "t", "teacher_flows": "f"}},
            "only one of them",
        ),
        ({"network": {"cascades": 10**6}}, "cascades must be at most 100"),
        ({"network": {"channels": 10**6}}, "channels must be at most"),
        ({"optimisation": {"seed": -1}}, "seed must be at least 0"),
        ({"loss": {"similarity": "none"}}, "label_weight must be above 0"),
        ({"distillation": {"critic": {"size": [0, 8, 8]}}}, r"critic\.size must be at least 1"),
        (
            {"network": {"flow_resolution": "half", "base_network": "VTN"}},
            "half for base_network LDR",
        ),
        ({"network": {"affine_stem": "vtn", "image_size": [96, 64, 64]}}, "multiples of 64"),
        ({"image": {"orientation": "LLS"}}, "three letters"),
        ([1], "must be an object"),
    ],
)
def test_what_does_not_fit_is_refused(values, words):
    with pytest.raises(InputError, match=words):
        run_config(values)


def test_the_paths_of_a_machine_do_not_travel():
    told = configs.public_config(run_config(FIRST))
    assert (told.data.dataset, told.distillation.teacher) == ("scans/liver.json", "teacher")
    assert distillation.DISTILLATIONS == ("none", "flow", "aldk")
