"""Exports for other runtimes answer as the run's network does, or are refused."""

import builtins
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import ldr_tf
from experiments import export as command
from ldr_tf.errors import InputError
from ldr_tf.serving import conversion
from ldr_tf.serving.export import export

INSTALLED = {
    form: all(importlib.util.find_spec(name) for name in names)
    for form, names in conversion._PACKAGES.items()
}


def needs(form):
    return pytest.param(
        form,
        marks=[
            pytest.mark.slow,
            pytest.mark.skipif(not INSTALLED[form], reason=f"the extra {form} is not installed"),
        ],
    )


each_form = pytest.mark.parametrize("form", [needs(form) for form in conversion.FORMS])


def test_the_command_knows_the_forms():
    assert command.FLAGS["format"].parser.enum_values == ["saved_model", *conversion.FORMS]
    assert set(conversion.FORMS) == set(conversion.FILES) == set(conversion._PACKAGES)


@pytest.mark.parametrize("form", conversion.FORMS)
def test_missing_packages_are_named(form, moving_run, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    words = ["export", f"--run={moving_run}", f"--output={tmp_path / 'm'}", f"--format={form}"]
    assert command.main(words) == 2
    (sentence,) = capfd.readouterr().err.splitlines()
    assert conversion._RUNTIMES[form] in sentence and f'"ldr_tf[{form}]"' in sentence
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("option", ["xla", "half_flow"])
def test_options_of_a_saved_model_are_refused(option, moving_run, tmp_path):
    with pytest.raises(InputError, match="are a SavedModel's alone"):
        export(str(moving_run), str(tmp_path / "m"), form="onnx", **{option: True})
    assert not (tmp_path / "m").exists()


class Difference:
    """Stands for a ServingModule: the flow is the difference of the volumes."""

    size = (4, 5, 6)

    def register(self, fixed, moving):
        return {"flow": tf.repeat(fixed - moving, 3, axis=-1), "warped": tf.identity(moving)}


@pytest.mark.parametrize(
    ("name", "change", "fine"),
    [
        ("flow", 0.0, True),
        ("flow", 0.9e-3, True),
        ("flow", -1.2e-3, False),
        ("flow", np.nan, False),
        ("warped", 0.2, True),
        ("warped", 0.3, False),
    ],
)
def test_what_errs_is_refused(name, change, fine, tmp_path, monkeypatch):
    def run(path, inputs):
        answer = {k: v.numpy() for k, v in Difference().register(**inputs).items()}
        answer[name][0, 1, 2, 3, 0] += change
        return answer

    monkeypatch.setitem(conversion._WRITERS, "onnx", lambda module, path: None)
    monkeypatch.setitem(conversion._RUNNERS, "onnx", run)
    monkeypatch.setattr(conversion, "_failures", lambda form: (RuntimeError,))
    monkeypatch.setattr(conversion, "version", lambda name: "1.2")
    if not fine:
        with pytest.raises(InputError, match="answers otherwise in onnxruntime: its flow errs by"):
            conversion.convert("onnx", Difference(), str(tmp_path))
        return
    checked = conversion.convert("onnx", Difference(), str(tmp_path))
    assert checked["runtime"] == "onnxruntime 1.2"
    assert checked[f"{name}_error"] == pytest.approx(abs(change), rel=0.1, abs=1e-5)
    text = conversion.conversion_text("onnx", Difference.size, checked)
    assert "[batch, 4, 5, 6, 1]" in text and "model.onnx" in text


def test_a_conversion_that_fails_is_told_in_one_sentence(tmp_path, monkeypatch):
    def write(module, path):
        raise RuntimeError("no such operation: Fold")

    monkeypatch.setitem(conversion._WRITERS, "onnx", write)
    monkeypatch.setattr(conversion, "_failures", lambda form: (RuntimeError,))
    with pytest.raises(InputError, match="cannot be converted to onnx: no such operation: Fold"):
        conversion.convert("onnx", Difference(), str(tmp_path))


def test_the_pair_fills_the_range():
    pair = conversion._pair((32, 32, 32))
    for volume in pair.values():
        assert volume.shape == (1, 32, 32, 32, 1) and volume.dtype == np.float32
        assert volume.min() < 10 and volume.max() > 245 and volume.std() > 20
    assert np.abs(pair["fixed"] - pair["moving"]).max() > 20


@each_form
def test_a_converted_run_answers_as_its_network(form, moving_run, levels, tmp_path, capfd):
    words = ["export", f"--run={moving_run}", f"--output={tmp_path / 'm'}", f"--format={form}"]
    assert command.main(words) == 0
    folder = tmp_path / "m" / "1"
    content = json.loads((folder / "model.json").read_text())
    assert content["export"]["form"] == form
    assert 0 <= content["conversion"]["flow_error"] < 1e-3
    readme = (folder / "README.md").read_text()
    assert content["conversion"]["runtime"] in readme and "float16" not in readme
    assert not (folder / "saved_model.pb").exists()
    # The README's own lines, with two pairs at once.
    pairs = dict(zip(("fixed", "moving"), (volume.astype("float32") for volume in levels)))
    lines = readme.split("```python\n")[1].split("```")[0]
    lines = lines.replace(conversion.FILES[form], str(folder / conversion.FILES[form]))
    names = dict(pairs)
    builtins.exec(lines, names)
    wanted = ldr_tf.load_run(str(moving_run))(*[pairs[k] / 255 for k in ("fixed", "moving")])
    assert np.abs(wanted.flow).max() > 2
    np.testing.assert_allclose(names["flow"], wanted.flow, rtol=0, atol=1e-3)
    np.testing.assert_allclose(names["warped"] / 255, wanted.warped, rtol=0, atol=1e-3)
    assert command.main(words) == 2 and "exists already" in capfd.readouterr().err
    assert command.main([*words, "--overwrite"]) == 0


@each_form
def test_a_model_of_other_weights_is_refused(form, moving_run, tmp_path, monkeypatch):
    write = conversion._WRITERS[form]

    def wrong(module, path):
        write(module, path)
        head = max(module.weights, key=lambda weight: weight.shape.rank)
        head.assign(1.01 * head)

    monkeypatch.setitem(conversion._WRITERS, form, wrong)
    with pytest.raises(InputError, match=f"converted to {form} answers otherwise"):
        export(str(moving_run), str(tmp_path / "m"), form=form)
    assert not list(pathlib.Path(tmp_path / "m").iterdir())
