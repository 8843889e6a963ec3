"""The folder of a pair's results, whatever it is and whatever lies there."""

import contextlib
import json
import os
import resource
import shutil
import tempfile

import pytest
import SimpleITK as sitk

from ldr_tf.commands import folder as folders
from ldr_tf.commands.folder import check_folder, held, listed, results_of
from ldr_tf.errors import InputError
from ldr_tf.files import write_json
from ldr_tf.imaging import write_image
from ldr_tf.registration.result_names import PLAIN, SUMMARY, ResultNames


def write(folder, text="new", names=("warped.nii.gz",), listed=None):
    """Writes a result of text files."""
    with held(folder), results_of(folder) as unfinished:
        for name in names:
            with open(os.path.join(unfinished, name), "w") as file:
                file.write(text)
        files = sorted([*names, SUMMARY]) if listed is None else listed
        write_json(os.path.join(unfinished, SUMMARY), {"finished": True, "files": files})


def summary(folder):
    return json.loads((folder / SUMMARY).read_text())


def content(folder):
    return {p.name: p.read_text() for p in folder.iterdir() if p.name != SUMMARY}


@pytest.fixture
def other_disk(tmp_path):
    """A folder on another file system than tmp_path."""
    if not os.path.isdir("/dev/shm") or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    path = tempfile.mkdtemp(dir="/dev/shm")
    yield path
    shutil.rmtree(path)


def test_a_link_to_another_file_system(tmp_path, other_disk):
    link = tmp_path / "out"
    link.symlink_to(other_disk)
    for text in ("first", "second"):
        check_folder(link, [])
        write(link, text)
        assert content(link) == {"warped.nii.gz": text} and summary(link)["finished"]
    assert link.is_symlink() and sorted(os.listdir(tmp_path)) == ["out"]
    deeper = link / "new" / "deep"
    write(deeper)
    assert content(deeper) == {"warped.nii.gz": "new"}


@contextlib.contextmanager
def not_root():
    """Runs the block without a superuser's rights."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_writable_folder_below_a_read_only_one():
    parent = tempfile.mkdtemp()
    out = os.path.join(parent, "out")
    try:
        os.mkdir(out)
        os.chmod(out, 0o777)
        os.chmod(parent, 0o555)
        with not_root():
            with pytest.raises(PermissionError):
                os.mkdir(os.path.join(parent, "other"))
            check_folder(out, [])
            write(out)
        assert sorted(os.listdir(out)) == [SUMMARY, "warped.nii.gz"]
        assert os.listdir(parent) == ["out"]
    finally:
        os.chmod(parent, 0o755)
        shutil.rmtree(parent)


def test_a_folder_that_cannot_be_made_is_named():
    parent = tempfile.mkdtemp()
    try:
        os.chmod(parent, 0o555)
        with not_root(), pytest.raises(InputError, match="deep: cannot be made"):
            write(os.path.join(parent, "deep"))
    finally:
        shutil.rmtree(parent)


@contextlib.contextmanager
def disk_full(at=40_000):
    """No file grows beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (at, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("what", ["image", "text"])
def test_a_full_disk_is_named_and_the_old_result_stays(tmp_path, what):
    out = tmp_path / "out"
    write(out, "old")
    before = content(out), summary(out)
    full = pytest.raises(InputError), disk_full()
    with full[0] as error, full[1], held(out), results_of(out) as unfinished:
        path = os.path.join(unfinished, "warped.nii.gz")
        if what == "image":
            write_image(sitk.Image(64, 64, 64, sitk.sitkFloat32), path)
        with open(path, "wb") as file:
            file.write(bytes(100_000))
    assert (content(out), summary(out)) == before
    assert f"{out}" in str(error.value) and "cannot be written (" in str(error.value)
    assert "unfinished" not in str(error.value)
    if what == "image":
        assert str(error.value).startswith(f"{out}/warped.nii.gz")


def test_files_of_others_stay_and_own_ones_of_before_go(tmp_path):
    out = tmp_path / "out"
    write(out, names=("warped.nii.gz", "jacobian.nii.gz"))
    (out / "notes.txt").write_text("mine")
    (out / "inverse_displacement.nii.gz").write_text("mine too")
    write(out, "second")
    assert content(out) == {
        "warped.nii.gz": "second",
        "notes.txt": "mine",
        "inverse_displacement.nii.gz": "mine too",
    }


@pytest.mark.parametrize("files", [["../secret", "notes.txt", 7], "warped", None])
def test_a_summary_of_somebody_else_deletes_nothing(tmp_path, files):
    out, secret = tmp_path / "out", tmp_path / "secret"
    out.mkdir()
    secret.write_text("mine")
    (out / "notes.txt").write_text("mine")
    (out / SUMMARY).write_text(json.dumps({"files": files}))
    write(out)
    assert secret.exists() and (out / "notes.txt").exists()


@pytest.mark.parametrize("steps", range(4))
def test_killed_between_two_renames_it_does_not_count_as_finished(tmp_path, monkeypatch, steps):
    out = tmp_path / "out"
    write(out, "old", ("affine.tfm", "jacobian.nii.gz", "warped.nii.gz"))
    real, left = os.replace, [steps]

    class Killed(BaseException):
        pass

    def replace(source, target):
        if os.path.dirname(target) == str(out):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(Killed):
        write(out, "new", ("affine.tfm", "warped.nii.gz"))
    assert summary(out)["finished"] is (steps == 0)
    monkeypatch.undo()
    write(out, "third", ("affine.tfm", "warped.nii.gz"))
    assert content(out) == {"affine.tfm": "third", "warped.nii.gz": "third"}
    assert summary(out)["finished"] is True


def test_what_a_killed_process_left_goes_with_the_next_one(tmp_path):
    out = tmp_path / "out"
    (out / folders._UNFINISHED).mkdir(parents=True)
    (out / folders._UNFINISHED / "half").write_text("x")
    (out / ".lock").write_text("")
    write(out)
    assert sorted(os.listdir(out)) == [SUMMARY, "warped.nii.gz"]


def test_a_folder_is_held_by_one_and_goes_again_where_nothing_came(tmp_path):
    deep = tmp_path / "a" / "b"
    with held(deep), pytest.raises(InputError, match="another process is writing"), held(deep):
        pass
    assert os.listdir(tmp_path) == []
    with pytest.raises(KeyError), held(deep):
        (deep.parent / "kept").write_text("")
        raise KeyError
    assert sorted(os.listdir(tmp_path / "a")) == ["kept"]


def test_pairs_that_share_a_folder_do_not_disturb_each_other(tmp_path):
    names = [ResultNames({"a": f"{n}_a", "summary": f"{n}_s.json"}, label=n) for n in "xy"]
    for _ in range(2):
        with held(tmp_path, names[0]), held(tmp_path, names[1]):
            with pytest.raises(InputError, match="another process"), held(tmp_path, names[0]):
                pass
            with results_of(tmp_path, names[0]) as x, results_of(tmp_path, names[1]) as y:
                for folder, own in ((x, names[0]), (y, names[1])):
                    with open(os.path.join(folder, own.files["a"]), "w") as file:
                        file.write(own.label)
                    write_json(os.path.join(folder, own.summary), {"files": own.all()})
    assert sorted(os.listdir(tmp_path)) == ["x_a", "x_s.json", "y_a", "y_s.json"]
    assert (tmp_path / "y_a").read_text() == "y"
    assert listed(tmp_path, names[0]) == {"x_a", "x_s.json"} and listed(tmp_path) == set()


@pytest.mark.parametrize("name", PLAIN.all())
def test_inputs_that_would_be_replaced_are_refused(tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("scan")
    link, round_about = tmp_path / "link", tmp_path / "other"
    link.symlink_to(out / name)
    round_about.symlink_to(out)
    for path in (out / name, link, round_about / name, out / ".." / "out" / name):
        with pytest.raises(InputError, match=f"lies where {name} will be written"):
            check_folder(str(out), [str(path)])
    check_folder(str(out), [str(out / "scan.nii.gz"), str(tmp_path / name)])
    # A link in the output folder would be replaced, though not what it leads to.
    (out / name).unlink()
    (tmp_path / "elsewhere").write_text("scan")
    (out / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="lies where"):
        check_folder(str(out), [str(out / name)])


def test_places_that_are_none(tmp_path):
    (tmp_path / "out" / "warped.nii.gz").mkdir(parents=True)
    with pytest.raises(InputError, match=r"warped\.nii\.gz: is a folder"):
        check_folder(str(tmp_path / "out"), [])
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for path, word in (
        (tmp_path / "nowhere", "leads nowhere"),
        (tmp_path / ("x" * 256), "256 bytes long; 255 are allowed"),
        (tmp_path / ("ä" * 128) / "out", "256 bytes long"),
        (f"{tmp_path}/{'d/' * 2500}", "longer than 4095 bytes"),
    ):
        with pytest.raises(InputError, match=word):
            check_folder(str(path), [])
