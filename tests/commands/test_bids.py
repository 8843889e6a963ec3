"""BIDS: names of scans and results; data sets of derivatives against the schema of BIDS."""

import csv
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk
from bidsschematools.schema import load_schema
from bidsschematools.validator import validate_bids

from ldr_tf.commands import register
from ldr_tf.commands.bids import DataSet
from ldr_tf.commands.bids_names import BidsName, names_of
from ldr_tf.errors import InputError
from ldr_tf.registration.pair import PairFiles
from ldr_tf.registration.result_names import PLAIN


def place(root, fixed, moving, **more):
    return DataSet(str(root)).place(PairFiles(str(fixed), str(moving), str(root), **more))


@pytest.mark.parametrize(
    "fixed, moving, folder, warped, there",
    [
        (
            "sub-01_T1w.nii.gz",
            "sub-02_T1w.nii",
            "sub-02/anat",
            "sub-02_space-sub01T1w_desc-warped_T1w.nii.gz",
            "sub-02_from-T1w_to-sub01T1w_mode-image",
        ),
        (
            "sub-01_ses-a_run-2_res-1_desc-brain_FLAIR.mha",
            "sub-01_ses-b_acq-hi_space-orig_chunk-1_desc-brain_T2w.nii.gz",
            "sub-01/ses-b/anat",
            "sub-01_ses-b_acq-hi_space-sub01sesarun2FLAIR_chunk-1_desc-warped_T2w.nii.gz",
            "sub-01_ses-b_acq-hi_chunk-1_from-T2w_to-sub01sesarun2FLAIR_mode-image",
        ),
        (
            "tpl-MNI152NLin2009cAsym_res-01_T1w.nii.gz",
            "sub-3_run-1_acq-x_T1w.nii.gz",
            "sub-3/anat",
            "sub-3_acq-x_run-1_space-MNI152NLin2009cAsym_desc-warped_T1w.nii.gz",
            "sub-3_acq-x_run-1_from-T1w_to-MNI152NLin2009cAsym_mode-image",
        ),
    ],
)
def test_names(tmp_path, fixed, moving, folder, warped, there):
    pair = place(tmp_path, f"x/{fixed}", f"y/{moving}")
    assert pair.output == str(tmp_path / folder)
    files = pair.names.files
    assert files["warped"] == warped and files["displacement"] == f"{there}_xfm.nii.gz"
    assert pair.names.sidecar("displacement") == f"{there}_xfm.json"
    assert there == f"{pair.names.label}_mode-image"
    assert set(files) == set(PLAIN.files) and len(set(pair.names.all())) == 11 + 8


def test_the_inverse_goes_back_and_labels_of_two_scans_do_not_clash():
    fixed = BidsName.of("sub-01_T1w.nii.gz")
    made = [names_of(fixed, BidsName.of(f"sub-02_{kind}.nii.gz"))[1] for kind in ("T1w", "T2w")]
    assert made[0]["inverse_displacement"] == "sub-02_from-sub01T1w_to-T1w_mode-image_xfm.nii.gz"
    assert made[0]["warped_labels"] == "sub-02_space-sub01T1w_desc-warpedT1w_dseg.nii.gz"
    assert not set(made[0].values()) & set(made[1].values())


@pytest.mark.parametrize(
    "name, word",
    [
        ("brain.nii.gz", "expected is sub-LABEL"),
        ("sub-01.nii.gz", "expected is sub-LABEL"),
        ("sub-01_T1w_brain.nii.gz", "expected is sub-LABEL"),
        ("sub-0_1_T1w.nii.gz", "expected is sub-LABEL"),
        ("ses-a_T1w.nii.gz", "expected is sub-LABEL"),
        ("sub-01_sub-02_T1w.nii.gz", "expected is sub-LABEL"),
        ("sub-ä_T1w.nii.gz", "expected is sub-LABEL"),
        ("tpl-MNI_T1w.nii.gz", "entity tpl-"),
        ("sub-01_dir-AP_T1w.nii.gz", "entity dir-"),
        ("sub-01_bold.nii.gz", "suffix bold"),
        (f"sub-{'a' * 230}_T1w.nii.gz", "bytes long"),
    ],
)
def test_other_names_are_refused(tmp_path, name, word):
    with pytest.raises(InputError, match=word) as error:
        place(tmp_path, "sub-01_T1w.nii.gz", name)
    assert name.split(".")[0][:40] in str(error.value)


def test_a_data_set_keeps_what_it_says_and_one_of_raw_data_is_refused(tmp_path):
    path, ignore = tmp_path / "dataset_description.json", tmp_path / ".bidsignore"
    path.write_text('{"Name": "raw"}')
    with pytest.raises(InputError, match=r"dataset_description\.json: must say"):
        DataSet(str(tmp_path))
    own = '{"Name": "mine", "BIDSVersion": "1.9.0", "DatasetType": "derivative"}'
    path.write_text(own)
    ignore.write_text("*.html\nresults.csv")
    (tmp_path / "README").write_text("mine")
    for _ in range(2):
        DataSet(str(tmp_path)).describe()
    assert path.read_text() == own and (tmp_path / "README").read_text() == "mine"
    assert ignore.read_text() == "*.html\nresults.csv\n*_mode-image_*\n"


@pytest.mark.parametrize(
    "name, sidecar, stripped",
    [
        ("sub-1_T1w", None, False),
        ("sub-1_desc-brain_T1w", None, True),
        ("sub-1_desc-brain_T1w", {"SkullStripped": False}, False),
        ("sub-1_T1w", {"SkullStripped": True}, True),
        ("sub-1_desc-brain_T1w", {"SkullStripped": "no"}, True),
    ],
)
def test_whether_the_skull_is_there(tmp_path, name, sidecar, stripped):
    if sidecar:
        (tmp_path / f"{name}.json").write_text(json.dumps(sidecar))
    pair = place(tmp_path / "out", "sub-2_T1w.nii.gz", tmp_path / f"{name}.nii.gz")
    assert pair.names.sidecars["warped"]["SkullStripped"] is stripped


# The command


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A raw data set of two subjects; a call of the command, which draws no pictures."""
    monkeypatch.setattr(
        "ldr_tf.registration.preview.write_preview", lambda path, *_: open(path, "w").close()
    )
    places = np.stack(np.meshgrid(*[np.linspace(-1, 1, 20)] * 3, indexing="ij"), -1)
    for name, shift in (("sub-01_T1w", 0.0), ("sub-02_T1w", 0.1), ("sub-02_T2w", 0.15)):
        folder = tmp_path / name[:6] / "anat"
        folder.mkdir(parents=True, exist_ok=True)
        array = 500 * np.exp(-4 * ((places - shift) ** 2).sum(-1))
        image = sitk.GetImageFromArray(array.astype(np.float32))
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
        labels = sitk.Cast(image > 200, sitk.sitkUInt8)
        sitk.WriteImage(labels, str(folder / f"{name}_dseg.nii.gz"))

    out = tmp_path / "derivatives" / "ldr_tf"
    flags = ["--model=none", "--refine_steps=0", "--affine=none", "--bids", f"--output={out}"]

    def call(*more):
        return register.main(["ldr-register", *flags, *map(str, more)])

    def scan(name):
        return f"{name[:6]}/anat/{name}.nii.gz"

    return SimpleNamespace(call=call, folder=tmp_path, out=out, scan=scan)


def check(root):
    """All files that .bidsignore does not name are of BIDS, with the sidecars that it asks for."""
    found = validate_bids(str(root))
    assert found["path_tracking"] == [] and len(found["path_listing"]) > 3
    rules = load_schema().rules.sidecars.derivatives.common_derivatives
    needed = {**rules.SpatialReferenceNonStandard.fields, **rules.ImageDerivatives.fields}
    assert needed == {"SpatialReference": "required", "SkullStripped": "required"}
    for path in root.rglob("*_desc-warped_*.nii.gz"):
        sidecar = json.loads((path.parent / path.name.replace(".nii.gz", ".json")).read_text())
        assert set(needed) <= set(sidecar)
        for seen in (*sidecar["Sources"], sidecar["SpatialReference"]):
            assert (root / seen).exists()
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and description["GeneratedBy"][0]["Version"]


def test_many_pairs_make_one_data_set_and_resume(case, capsys):
    rows = [
        [case.scan("sub-01_T1w"), case.scan(f"sub-02_{kind}"), case.scan(f"sub-02_{kind}_dseg")]
        for kind in ("T1w", "T2w")
    ]
    pairs = case.folder / "pairs.csv"
    pairs.write_text("\n".join(map(",".join, [["fixed", "moving", "moving_labels"], *rows])))
    for words in ("2 registered, 0 finished before", "0 registered, 2 finished before"):
        assert case.call(f"--pairs={pairs}", "--jacobian", "--inverse") == 0
        assert words in capsys.readouterr().out
    check(case.out)
    top = {"sub-02", "README", "results.csv", "dataset_description.json", ".bidsignore"}
    assert set(os.listdir(case.out)) == top
    names = os.listdir(case.out / "sub-02" / "anat")
    assert len(names) == 2 * (8 + 6) and not any(name.startswith(".") for name in names)
    label = "sub-02_from-T2w_to-sub01T1w"
    with open(case.out / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["status"] for row in table] == ["finished"] * 2
    assert table[1]["output"] == f"sub-02/anat/{label}"
    # One of the two is done again, without its extras, and the other one stays as it is.
    summary = case.out / "sub-02" / "anat" / f"{label}_mode-image_summary.json"
    summary.write_text(summary.read_text().replace('"finished": true', '"finished": false'))
    pairs.write_text("\n".join(map(",".join, [["fixed", "moving"], rows[1][:2]])))
    assert case.call(f"--pairs={pairs}") == 0
    left = os.listdir(case.out / "sub-02" / "anat")
    assert sorted(set(names) - set(left)) == sorted(
        name
        for name in names
        if "warpedT2w" in name or ("T2w_" in name and "jaco" in name) or "to-T2w" in name
    )
    pairs.write_text("\n".join(map(",".join, [["fixed", "moving"], rows[0][:2], rows[0][:2]])))
    assert case.call(f"--pairs={pairs}") == 2
    assert "lines 2 and 3 have one name for their results" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["name", "output column", "raw data set", "missing scan"])
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(case, capsys, what):
    fixed, moving = (case.folder / case.scan(name) for name in ("sub-01_T1w", "sub-02_T1w"))
    flags, word = [f"--fixed={fixed}", f"--moving={moving}"], f"{moving}: no such file"
    if what == "name":
        flags[0], word = f"--fixed={fixed.parent / 'scan.nii.gz'}", "scan.nii.gz: is not named"
    elif what == "output column":
        (case.folder / "p.csv").write_text(f"fixed,moving,output\n{fixed},{moving},x\n")
        flags, word = [f"--pairs={case.folder / 'p.csv'}"], "line 2: output must be empty"
    elif what == "raw data set":
        (case.folder / "dataset_description.json").write_text("{}")
        flags, word = [*flags, f"--output={case.folder}"], "must say"
    else:
        moving.unlink()
    before = sorted(case.folder.rglob("*"))
    assert case.call(*flags) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and word in err
    assert sorted(case.folder.rglob("*")) == before


def test_one_pair_makes_the_same_files_as_without(case):
    flags = [
        f"--{side}={case.folder / case.scan(f'sub-0{n}_T1w')}"
        for n, side in enumerate(("fixed", "moving"), 1)
    ]
    assert case.call(*flags) == 0
    check(case.out)
    pair = place(case.out, *(flag.partition("=")[2] for flag in flags))
    plain = case.folder / "plain"
    assert case.call(*flags, "--nobids", f"--output={plain}") == 0
    assert not list(plain.glob("*_*")) and "bids" not in (plain / "summary.json").read_text()
    for what in ("warped", "displacement"):
        first, second = (
            sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
            for path in (
                plain / PLAIN.files[what],
                os.path.join(pair.output, pair.names.files[what]),
            )
        )
        np.testing.assert_array_equal(first, second)
