"""Checkpoints of the original TensorFlow 1 code become run folders."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

import ldr_tf
from data.manifest import write_manifest
from data.volumes import write_scan
from experiments import import_checkpoint, train
from ldr_tf.config import NetworkConfig
from ldr_tf.networks.cascade import CascadeNetwork
from ldr_tf.runs.legacy import original_variables

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDER = GOLDEN / "ldr_released_brain_n1_64_ckpt"
BRAIN = [
    "--base_network=LDRReleased",
    "--cascades=1",
    "--anatomy=brain",
    "--image_size=64",
]


def command(checkpoint, output, *more):
    return import_checkpoint.main(
        ["import_checkpoint", f"--checkpoint={checkpoint}", f"--output={output}", *more]
    )


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    run = tmp_path_factory.mktemp("import") / "run"
    assert command(FOLDER / "model-1000", run, *BRAIN) == 0
    return run


def save_v1(values, prefix):
    """Writes a checkpoint as TensorFlow 1's Saver does."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = {
            name: tf.compat.v1.Variable(value, name=name) for name, value in values.items()
        }
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(prefix), write_meta_graph=False)


def golden_values():
    reader = tf.train.load_checkpoint(str(FOLDER / "model-1000"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def test_released_checkpoint_gives_the_golden_flow(imported):
    golden = np.load(GOLDEN / "ldr_released_brain_n1_64.npz")
    network = ldr_tf.load_run(str(imported))
    fixed, moving = (
        golden[name][None, ..., None] / np.float32(255) for name in ("fixed", "moving")
    )
    flow = network(fixed, moving).flow[:, ::2, ::2, ::2].numpy()
    difference = np.abs(flow - golden["real_flow__stride2"])
    assert difference.max() < 5e-4 and difference.mean() < 2e-5


def test_what_is_left_is_named(tmp_path, capfd):
    values = golden_values()
    values["gaffdfrm/ldr_util/conv1/W/Adam"] = np.zeros(3, "float32")
    values["beta1_power"] = np.float32(0.9)
    values["gaffdfrm/d_/h0_conv2d/w"] = np.zeros(3, "float32")
    save_v1(values, tmp_path / "model-7")
    assert command(tmp_path, tmp_path / "run", *BRAIN) == 0
    shown = capfd.readouterr().out
    assert "training flag: is_training" in shown
    assert "optimiser state: beta1_power, gaffdfrm/ldr_util/conv1/W/Adam" in shown
    assert "unused critic: gaffdfrm/d_/h0_conv2d/w" in shown


def test_arguments_beside_the_checkpoint_are_taken(tmp_path):
    folder = tmp_path / "weights"
    shutil.copytree(FOLDER, folder)
    arguments = {"base_network": "LDR", "n_cascades": 1, "dataset": "datasets/brain.json"}
    (folder / "args.json").write_text(json.dumps(arguments))
    assert command(folder, tmp_path / "run", "--image_size=64") == 0
    network = json.loads((tmp_path / "run" / "config.json").read_text())["network"]
    assert network["base_network"] == "LDRReleased" and network["affine_stem"] == "light"


def test_liver_is_recognised_by_the_data_sets_path(tmp_path, capfd):
    folder = tmp_path / "weights"
    shutil.copytree(FOLDER, folder)
    arguments = {"base_network": "LDR", "n_cascades": 1, "dataset": "datasets/liver.json"}
    (folder / "args.json").write_text(json.dumps(arguments))
    assert command(folder, tmp_path / "run", "--image_size=64") == 2  # its weights are a brain's
    assert "gaffdfrm/ldr_util/decode" in capfd.readouterr().err


@pytest.mark.slow
def test_vtn_of_three_cascades_round_trips(tmp_path):
    config = NetworkConfig(
        base_network="VTN", cascades=3, affine_stem="vtn", image_size=(64, 64, 64)
    )
    network = CascadeNetwork(config)
    rng = np.random.default_rng(0)
    values = {
        name: rng.normal(size=variable.shape).astype("float32") * 0.01
        for name, variable in original_variables(network).items()
    }
    save_v1(values, tmp_path / "model-100000")
    flags = ["--base_network=VTN", "--cascades=3", "--image_size=64"]
    assert command(tmp_path / "model-100000", tmp_path / "run", *flags) == 0
    loaded = original_variables(ldr_tf.load_run(str(tmp_path / "run")))
    assert set(loaded) == set(values)
    for name, variable in loaded.items():
        np.testing.assert_array_equal(variable, values[name])


def test_training_goes_on_from_the_originals_loss(imported, tmp_path):
    golden = np.load(GOLDEN / "ldr_released_brain_n1_64.npz")
    with h5py.File(tmp_path / "scans.h5", "w") as file:
        write_scan(file, "fixed", golden["fixed"])
        write_scan(file, "moving", golden["moving"])
    write_manifest(
        str(tmp_path / "scans.json"),
        file_paths={"scans": "scans.h5"},
        subsets={"train": ["scans/moving"]},
        schemes={"1": {"train": 1.0}},
        image_size=(64, 64, 64),
        atlas="scans/fixed",
    )
    run = tmp_path / "run"
    flags = [
        "--stage=student",
        f"--dataset={tmp_path / 'scans.json'}",
        f"--output={run}",
        f"--init={imported}",
        "--set=network.base_network=LDRReleased",
        "--set=network.affine_stem=light",
        "--set=augmentation.deformation=0",
        "--set=optimisation.steps=1",
        "--set=optimisation.summarize_every=1",
        "--set=data.validation=",
    ]
    assert train.main(["train", *flags]) == 0
    first = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert first["reconstruction"] == pytest.approx(golden["loss"][0], rel=1e-3)


@pytest.mark.parametrize(
    "more, words",
    [
        (["--base_network=VoxelMorph"], "missing: gaffdfrm/affine_stem/conv1/W (3, 3, 3, 2, 16)"),
        (["--base_network=VoxelMorph"], "left over: gaffdfrm/ldr_util/conv1/W"),
        (["--image_size=128"], "gaffdfrm/ldr_util/conv7_W/W (1, 1, 1, 128, 9) instead of (3, 3, 3"),
        (["--cascades=2"], "missing: gaffdfrm/deform_stem_1/conv1/W"),
        (["--anatomy=liver", "--cascades=2"], "cascades must be 1"),
        (["--image_size=50"], "multiples of 16"),
        (["--base_network=UNet"], "base_network"),
    ],
)
def test_what_does_not_fit_is_listed(more, words, tmp_path, capfd):
    assert command(FOLDER / "model-1000", tmp_path / "run", *BRAIN, *more) == 2
    shown = capfd.readouterr().err
    assert words in shown and "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []


def test_broken_or_absent_checkpoints(tmp_path, capfd):
    folder = tmp_path / "weights"
    shutil.copytree(FOLDER, folder)
    data = folder / "model-1000.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:100_000])
    run = tmp_path / "run"
    assert command(folder, run, *BRAIN) == 2
    assert "not a readable TensorFlow checkpoint" in capfd.readouterr().err
    index = folder / "model-1000.index"
    index.write_bytes(index.read_bytes()[:300])
    assert command(folder / "model-1000", run, *BRAIN) == 2
    assert "not a readable TensorFlow checkpoint" in capfd.readouterr().err
    assert command(tmp_path / "nothing", run, *BRAIN) == 2
    assert "neither a checkpoint" in capfd.readouterr().err
    (folder / "args.json").write_text("[1]")
    assert command(folder, run, "--image_size=64") == 2
    assert "no args.json of the original code" in capfd.readouterr().err
    assert not run.exists()


def test_flags_are_needed_where_nothing_else_says(tmp_path, capfd):
    assert command(FOLDER, tmp_path / "run") == 2
    assert "--base_network is needed" in capfd.readouterr().err


def test_an_existing_folder_is_not_overwritten(imported, capfd):
    assert command(FOLDER, imported, *BRAIN) == 2
    assert "exists already" in capfd.readouterr().err
