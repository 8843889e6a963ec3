"""What the wheel holds, what the requirements say, and how a Python for them is found."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import setuptools
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CLASSIC = ("3.9", "3.10", "3.11")
MODERN = ("3.12", "3.13")
ORDER = ("3.11", "3.10", "3.9", "3.13", "3.12")
SHELL = shutil.which("sh")


def environment(python, extra=""):
    """The environment that markers see on 64-bit Linux under one version of Python."""
    return {
        "python_version": python,
        "python_full_version": python + ".1",
        "platform_machine": "x86_64",
        "platform_system": "Linux",
        "sys_platform": "linux",
        "extra": extra,
    }


def applying(requirements, python, extra=""):
    """Name -> requirement, of those that apply under a Python."""
    chosen = {}
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate(environment(python, extra)):
            name = canonicalize_name(requirement.name)
            assert name not in chosen, f"{name} is given twice for Python {python}"
            chosen[name] = requirement
    return chosen


def read_pins(name):
    lines = (line.split(" #")[0].strip() for line in (ROOT / name).read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]


def pinned_version(requirement):
    (specifier,) = requirement.specifier
    assert specifier.operator == "==" and "*" not in specifier.version, str(requirement)
    return specifier.version


@pytest.fixture
def setup_arguments(monkeypatch):
    """The arguments that setup.py gives to setuptools."""
    seen = {}
    monkeypatch.setattr(setuptools, "setup", seen.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path(str(ROOT / "setup.py"))
    return seen


# Requirements


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_every_pin_is_exact(name):
    pins = read_pins(name)
    assert pins
    for pin in pins:
        pinned_version(pin)


@pytest.mark.parametrize("python", CLASSIC + MODERN)
def test_pins_satisfy_the_ranges_of_setup_py(setup_arguments, python):
    files = ("", "-baselines", "-brain", "-conversion", "-dev")
    pins = [pin for name in files for pin in read_pins(f"requirements{name}.txt")]
    pins = applying(pins, python)
    ranges = [(text, "") for text in setup_arguments["install_requires"]]
    for extra, texts in setup_arguments["extras_require"].items():
        ranges += [(text, extra) for text in texts]
    for text, extra in ranges:
        wanted = applying([Requirement(text)], python, extra)
        for name, requirement in wanted.items():
            assert name in pins, f"{name} has no pin for Python {python}"
            assert requirement.specifier.contains(pinned_version(pins[name])), text


def test_each_stack_has_its_packages():
    for python in CLASSIC:
        pins = applying(read_pins("requirements.txt"), python)
        assert pinned_version(pins["tensorflow"]) == "2.15.1"
        assert pinned_version(pins["tensorflow-addons"]) == "0.23.0"
        assert pinned_version(pins["numpy"]).startswith("1.")
        assert "tf-keras" not in pins
    for python in MODERN:
        pins = applying(read_pins("requirements.txt"), python)
        assert pinned_version(pins["tensorflow"]) == pinned_version(pins["tf-keras"])
        assert pinned_version(pins["tensorflow"]).startswith("2.21.")
        assert "tensorflow-addons" not in pins


@pytest.mark.parametrize("python", CLASSIC + MODERN)
def test_the_gpu_extra_brings_cuda_to_the_same_tensorflow(setup_arguments, python):
    texts = setup_arguments["extras_require"]["gpu"]
    (gpu,) = applying(map(Requirement, texts), python, "gpu").values()
    plain = applying(map(Requirement, setup_arguments["install_requires"]), python)["tensorflow"]
    assert gpu.name == "tensorflow" and gpu.extras == {"and-cuda"}
    assert gpu.specifier == plain.specifier


def test_python_versions_are_those_of_the_stacks(setup_arguments):
    allowed = SpecifierSet(setup_arguments["python_requires"])
    assert all(allowed.contains(version + ".1") for version in CLASSIC + MODERN)
    assert not allowed.contains("3.8.18") and not allowed.contains("3.14.0")


def test_the_library_declares_what_it_imports(setup_arguments):
    texts = list(setup_arguments["install_requires"])
    for more in setup_arguments["extras_require"].values():
        texts += more
    declared = {canonicalize_name(Requirement(text).name) for text in texts}
    package_of = {"absl": "absl-py", "google": "protobuf", "grpc": "grpcio"}
    package_of["tensorflow_serving"] = "tensorflow-serving-api"
    standard = getattr(sys, "stdlib_module_names", None)
    if standard is None:
        pytest.skip("Python 3.9 does not list its own modules")
    for path in sorted((ROOT / "ldr_tf").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            for name in names:
                top = name.split(".")[0]
                if top == "ldr_tf" or top in standard:
                    continue
                package = canonicalize_name(package_of.get(top, top))
                assert package in declared, f"{path.name} imports {top}; setup.py lacks {package}"


# Other ways to install, and to cite


def test_conda_and_docker_have_a_python_that_is_allowed(setup_arguments):
    allowed = SpecifierSet(setup_arguments["python_requires"])
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, packages = conda["dependencies"]
    assert (conda["name"], pip) == (setup_arguments["name"], "pip")
    assert packages == {"pip": ["-r requirements.txt", "-e ."]}
    docker = re.search(r"^FROM python:(\d+\.\d+)-", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for version in (python[len("python=") :], docker[1]):
        assert allowed.contains(version + ".1"), version


def test_the_dockerfile_does_what_make_does():
    text = (ROOT / "Dockerfile").read_text()
    assert re.findall(r"^RUN (.+)$", text, re.MULTILINE) == ["make install"]
    assert 'ENV PATH="/ldr_tf/.venv/bin:$PATH"' in text and "WORKDIR /ldr_tf\n" in text
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv*"} <= set(ignored)


def test_the_citation_says_what_setup_py_says(setup_arguments):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["title"] == setup_arguments["name"]
    for field in ("version", "license"):
        assert citation[field] == setup_arguments[field]
    assert citation["abstract"] == setup_arguments["description"]
    (paper,) = citation["references"]
    assert paper["title"] in (ROOT / "README.md").read_text(encoding="utf-8").replace("\n", " ")


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built without the network from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "a checkout"
    copy.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    skip = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "ldr_tf", copy / "ldr_tf", ignore=skip)
    for name in ("data", "experiments", "tests"):  # packages that the wheel must leave out
        (copy / name).mkdir()
        (copy / name / "__init__.py").touch()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(folder), str(copy)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=300)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_library_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    (info,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == {"ldr_tf", info}
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ldr_tf").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    shipped = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ldr_tf/shipped").rglob("*.*")}
    assert len(shipped) >= 3 and {name for name in names if "/shipped/" in name} == shipped
    viewer = {p.relative_to(ROOT).as_posix() for p in (ROOT / "ldr_tf/viewing").rglob("*.*")}
    compiled = {name for name in viewer if name.endswith(".pyc")}  # once something imported it
    assert {"ldr_tf/viewing/niivue/LICENSE", *viewer} - {*sources} - compiled <= names
    assert any(name.startswith(info) and name.endswith("LICENSE") for name in names)


def test_the_wheel_names_its_version_and_commands(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (info,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(info).decode())
        points = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    text = (ROOT / "ldr_tf" / "__init__.py").read_text(encoding="utf-8")
    assert f'__version__ = "{metadata["Version"]}"' in text
    assert canonicalize_name(metadata["Name"]) == "ldr-tf"
    assert SpecifierSet(metadata["Requires-Python"]) == SpecifierSet(">=3.9,<3.14")
    lines = {line.replace(" ", "") for line in points.splitlines()}
    assert "ldr-register=ldr_tf.commands.register:command" in lines
    assert "ldr-view=ldr_tf.commands.view:command" in lines
    assert "ldr-warp=ldr_tf.commands.warp:command" in lines


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "ldr-register --model=none --fixed=none.mha --moving=none.mha --output=new",
        "ldr-view none",
        "ldr-warp --transform=none.mha --input=none.mha --reference=none.mha --output=new.mha",
    ],
)
def test_the_installed_commands_need_no_checkout(wheel, tmp_path, command):
    target, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, timeout=300)
    program, *flags = command.split()
    result = subprocess.run(
        [str(target / "bin" / program), *flags],
        cwd=work,
        env={**os.environ, "PYTHONPATH": str(target)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 2, result.stderr
    assert "none" in result.stderr and "Traceback" not in result.stderr
    assert not list(work.iterdir())


@pytest.mark.parametrize("command", ["register", "view", "warp"])
def test_the_commands_exist(command):
    tree = ast.parse((ROOT / "ldr_tf" / "commands" / f"{command}.py").read_text(encoding="utf-8"))
    assert "main" in {getattr(node, "name", None) for node in tree.body}


# The Python that the Makefile finds


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{SHELL}\n{text}\n")
    path.chmod(0o755)
    return path


def stub(path, version, able="yes"):
    """A program that answers the finder as a Python of a given version would."""
    return write_program(path, f'echo "{version} {able} $0"')


def broken_shim(path):
    return write_program(path, f'echo "pyenv: {path.name}: command not found" >&2\nexit 127')


def without_ensurepip(path, tmp_path):
    """This very Python, but for a missing ensurepip."""
    module = tmp_path / "hidden" / "ensurepip.py"
    module.parent.mkdir(exist_ok=True)
    module.write_text("raise ImportError('no ensurepip')\n")
    line = f'PYTHONPATH="{module.parent}" exec "{sys.executable}" "$@"'
    return write_program(path, line)


def run_script(script, *arguments, path, home, cwd=ROOT, **variables):
    variables.update(PATH=os.pathsep.join(map(str, path)), HOME=str(home))
    return subprocess.run(
        [SHELL, str(script), *arguments],
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def find(tmp_path):
    def call(*path, order=ORDER, **variables):
        script = ROOT / "scripts" / "find_python.sh"
        return run_script(script, *order, path=path, home=tmp_path, **variables)

    return call


def refused(result):
    """The one sentence of a script that gave up."""
    assert result.returncode != 0
    assert result.stdout == ""
    (sentence,) = result.stderr.splitlines()
    assert sentence.endswith(".") or sentence.endswith("try again.")
    return sentence


@pytest.mark.parametrize("missing", range(len(ORDER)))
def test_the_finder_follows_the_order_of_preference(find, tmp_path, missing):
    present = ORDER[missing:]
    folder = tmp_path / "bin with a space"
    for version in present:
        stub(folder / f"python{version}", version)
    result = find(folder)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{folder}/python{present[0]}\n"


def test_the_other_order_finds_the_modern_stack(find, tmp_path):
    for version in ORDER:
        stub(tmp_path / "bin" / f"python{version}", version)
    assert find(tmp_path / "bin", order=MODERN[::-1]).stdout.endswith("/python3.13\n")


def test_a_shim_that_fails_does_not_count(find, tmp_path):
    shims, folder = tmp_path / "a" / "shims", tmp_path / "bin"
    for version in ORDER:
        broken_shim(shims / f"python{version}")
    good = stub(folder / "python3.11", "3.11")
    stub(folder / "python3.10", "3.10")
    assert find(shims, folder).stdout == f"{good}\n"


def test_a_plain_python3_counts_with_its_own_version(find, tmp_path):
    stub(tmp_path / "a" / "python3", "3.8")
    stub(tmp_path / "b" / "python3", "3.14")
    good = stub(tmp_path / "c" / "python3", "3.12")
    assert find(tmp_path / "a", tmp_path / "b", tmp_path / "c").stdout == f"{good}\n"


def test_the_versions_of_pyenv_count(find, tmp_path):
    root = tmp_path / "py env"
    good = stub(root / "versions" / "3.10.13" / "bin" / "python", "3.10")
    stub(root / "versions" / "3.13.0" / "bin" / "python", "3.13")
    broken_shim(root / "shims" / "python3.10")
    write_program(tmp_path / "bin" / "pyenv", f'echo "{root}"')
    assert find(tmp_path / "bin").stdout == f"{good}\n"
    assert find(root / "shims").stdout == f"{good}\n"
    assert find(tmp_path, PYENV_ROOT=str(root)).stdout == f"{good}\n"


def test_python_overrides_the_search(find, tmp_path):
    stub(tmp_path / "bin" / "python3.11", "3.11")
    other = stub(tmp_path / "other" / "python", "3.12")
    assert find(tmp_path / "bin", PYTHON=str(other)).stdout == f"{other}\n"
    shim = broken_shim(tmp_path / "shims" / "python3.10")
    assert "does not run" in refused(find(tmp_path / "bin", PYTHON=str(shim)))
    assert "names no program" in refused(find(tmp_path / "bin", PYTHON="python3.10"))
    old = stub(tmp_path / "old" / "python", "3.8")
    assert "is Python 3.8" in refused(find(tmp_path / "bin", PYTHON=str(old)))


def test_no_python_is_told_in_one_sentence(find, tmp_path):
    broken_shim(tmp_path / "bin" / "python3.11")
    stub(tmp_path / "bin" / "python3", "3.8")
    assert refused(find(tmp_path / "bin")).startswith("No Python that runs was found")


def test_a_python_with_ensurepip_is_preferred_to_one_without(find, tmp_path):
    stub(tmp_path / "bin" / "python3.11", "3.11", able="no")
    good = stub(tmp_path / "bin" / "python3.9", "3.9")
    assert find(tmp_path / "bin").stdout == f"{good}\n"


@pytest.mark.parametrize("version", ORDER)
def test_without_ensurepip_the_package_is_named(find, tmp_path, version):
    stub(tmp_path / "bin" / "python3", version, able="no")
    sentence = refused(find(tmp_path / "bin"))
    assert f"apt install python{version}-venv" in sentence


def test_the_finder_understands_a_real_python(find, tmp_path):
    version = "{}.{}".format(*sys.version_info[:2])
    base = getattr(sys, "_base_executable", sys.executable)
    answer = find(tmp_path, order=[version], PYTHON=sys.executable)
    assert os.path.samefile(answer.stdout.strip(), base)
    without_ensurepip(tmp_path / "bin" / "python3", tmp_path)
    sentence = refused(find(tmp_path / "bin", order=[version]))
    assert f"python{version}-venv" in sentence and "Traceback" not in sentence


# The environment that the Makefile makes


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the scripts alone, in a folder whose name holds a space."""
    folder = tmp_path / "my checkout"
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    for path in [*ROOT.glob("requirements*.txt"), ROOT / "setup.py"]:
        shutil.copy(path, folder / path.name)
    return folder


# Stands for Python, venv and pip: notes what it is asked to install in $LOG.
PRETENDED_PYTHON = """
case "$1 ${2:-} ${3:-}" in
    *"import ensurepip"*) echo "3.11 yes $0" ;;
    -c*) echo "3.11.7 (pretended)" ;;
    "-m venv "*)
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && echo venv >>"$LOG" ;;
    "-m pip install")
        echo "$*" >>"$LOG"
        case "$*" in *"-r "*) [ ! -e "$LOG.interrupt" ] ;; esac ;;
esac
"""


@pytest.fixture
def bootstrap(checkout, tmp_path):
    """Runs the script with a pretended Python; gives the result and what was installed."""
    write_program(tmp_path / "bin" / "python3.11", PRETENDED_PYTHON)
    log = tmp_path / "log"

    def call(**variables):
        log.write_text("")
        path = [tmp_path / "bin", "/usr/bin", "/bin"]
        script = checkout / "scripts" / "bootstrap.sh"
        result = run_script(script, path=path, home=tmp_path, cwd="/", LOG=str(log), **variables)
        return result, log.read_text().splitlines()

    return call


def test_a_second_call_installs_nothing(bootstrap, checkout):
    result, steps = bootstrap()
    assert result.returncode == 0, result.stderr
    assert steps[0] == "venv"
    assert any("-r requirements-dev.txt" in step for step in steps)
    assert any(step.endswith("-e .") for step in steps)
    result, steps = bootstrap()
    assert (result.returncode, result.stdout, result.stderr, steps) == (0, "", "", [])


def test_changed_requirements_are_installed(bootstrap, checkout):
    bootstrap()
    with (checkout / "requirements.txt").open("a") as file:
        file.write("# changed\n")
    _, steps = bootstrap()
    assert steps and "venv" not in steps
    assert bootstrap()[1] == []


def test_an_interrupted_installation_is_redone(bootstrap, checkout, tmp_path):
    (tmp_path / "log.interrupt").touch()
    result, _ = bootstrap()
    assert result.returncode != 0
    assert "could not be installed" in result.stderr.splitlines()[-1]
    (tmp_path / "log.interrupt").unlink()
    leftover = checkout / ".venv" / "half"
    leftover.touch()
    result, steps = bootstrap()
    assert result.returncode == 0 and steps[0] == "venv"
    assert not leftover.exists()


def test_a_second_environment_goes_elsewhere(bootstrap, checkout):
    result, steps = bootstrap(VENV=".venv other")
    assert result.returncode == 0 and steps[0] == "venv"
    assert (checkout / ".venv other" / "bin" / "python").exists()
    assert not (checkout / ".venv").exists()


def test_the_environment_of_the_documentation_holds_its_packages_alone(bootstrap, checkout):
    chosen = {"VENV": ".venv-docs", "REQUIREMENTS": "requirements-docs.txt"}
    result, steps = bootstrap(**chosen)
    assert result.returncode == 0, result.stderr
    assert steps[0] == "venv" and steps[-1].endswith("-r requirements-docs.txt")
    assert not any("-e ." in step or "requirements-dev" in step for step in steps)
    assert bootstrap(**chosen)[1] == []


def test_a_folder_that_is_no_environment_is_never_deleted(bootstrap, checkout):
    keep = checkout / "results" / "table.csv"
    keep.parent.mkdir()
    keep.touch()
    result, steps = bootstrap(VENV="results")
    assert result.returncode != 0 and steps == []
    assert "delete it" in refused(result)
    assert keep.exists()


def test_without_ensurepip_no_environment_is_begun(checkout, tmp_path):
    stub(tmp_path / "bin" / "python3.11", "3.11", able="no")
    # Whatever Pythons this machine has stay out of sight.
    for name in ("cat", "dirname", "ls", "rm", "mkdir", "sh"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    script = checkout / "scripts" / "bootstrap.sh"
    result = run_script(script, path=[tmp_path / "bin"], home=tmp_path)
    assert "apt install python3.11-venv" in refused(result)
    assert not (checkout / ".venv").exists()


def test_the_commands_of_the_readme_exist():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in ("demo", "test", "docs"):
        assert target in targets and f"make {target}" in readme
