"""Who may import whom, and what the library never does; read from the source with `ast`."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]

_BASE = {"config", "conventions", "errors", "notices", "records"}
_NETWORKS = _BASE | {"ops", "networks", "keras"}
_TRAINING = _NETWORKS | {"files", "losses", "metrics", "runs", "training"}
_APPLICATIONS = (_TRAINING - {"training"}) | {"evaluation", "imaging", "models"}

# Parts of ldr_tf, and what each may import of ldr_tf besides itself. A new part needs a line here.
LAYERS = {
    "": {"errors"},  # ldr_tf/__init__.py; its other names are lazy
    "beside": set(),
    "errors": set(),
    "conventions": set(),
    "keras": set(),
    "notices": set(),
    "records": {"errors"},
    "config": {"records"},
    "json_text": {"errors"},
    "files": {"errors", "json_text"},
    "cache": {"files"},
    "graphs": {"", "cache"},
    "hdf5": {"errors", "files"},
    "cluster": {"", "errors", "workers"},
    "workers": set(),
    "ops": {"conventions"},
    "losses": _BASE | {"ops"},
    "metrics": _BASE | {"ops"},
    "networks": _NETWORKS,
    "runs": _NETWORKS | {"files", "hdf5", "json_text"},
    "training": _TRAINING,
    "imaging": _BASE | {"files", "json_text"},
    "evaluation": _APPLICATIONS,
    "serving": _BASE | {"", "files", "json_text", "ops", "runs"},
    "models": _BASE | {"beside", "graphs", "json_text", "networks", "runs", "serving"},
    "registration": _APPLICATIONS | {"beside", "graphs"},
    "viewing": _APPLICATIONS | {"registration"},
    "commands": _APPLICATIONS
    | {"", "beside", "cache", "cluster", "registration", "viewing", "workers"},
    "interfaces": {"commands", "errors", "imaging", "records", "registration"},
}
_DATA = {"files", "hdf5", "imaging", "json_text", "metrics", "ops", "evaluation", "workers"}
DATA_MAY_IMPORT = _BASE | _DATA

FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "print"}
SCREEN_MODULES = {"absl.flags", "absl.app", "argparse"}
SCREEN_NAMES = {"os.environ", "os.getenv", "sys.argv", "sys.stdout", "sys.stderr", "tf.print"}
# Their variables are those that TensorFlow reads while it is imported.
SETS_UP_TENSORFLOW = {"ldr_tf/__init__.py", "ldr_tf/registration/memory.py"}
OTHER_KERAS = {"keras", "tf_keras", "tensorflow.keras"}


def complaints(path, source):
    """Lists what is wrong with a source file.

    Args:
      path: as seen from the root of the project, with "/".
      source: its text.
    """
    package, part = place(path)
    tree = ast.parse(source)
    found = [
        f"{path}: must not import {module}"
        for module in imported(tree, path)
        if not may_import(package, part, module)
    ]
    on_screen = package == "experiments" or part == "commands"
    for node in ast.walk(tree):
        for name in names(node):
            if path != "ldr_tf/keras.py" and name.startswith("tf.keras"):
                found.append(f"{path}: must take keras from ldr_tf.keras")
            elif not on_screen and name in SCREEN_NAMES and path not in SETS_UP_TENSORFLOW:
                found.append(f"{path}: must not use {name}")
        if not on_screen:
            found += [f"{path}: must not {deed}" for deed in misdeeds(node)]
    return found


def place(path):
    """Returns (package, part) of a file: ("ldr_tf", "ops"), ("data", "pairs")."""
    package, _, rest = path.partition("/")
    part = rest.split("/")[0].replace(".py", "")
    return package, "" if part == "__init__" else part


def imported(tree, path):
    """Lists the dotted names of all modules, or names in modules, that a file imports."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                folder = path.split("/")[: -node.level]
                base = ".".join(folder + ([base] if base else []))
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def may_import(package, part, module):
    """Whether a file of a package's part may import `module`, a dotted name."""
    top, *rest = module.split(".")
    on_screen = package == "experiments" or part == "commands"
    if not on_screen and (within(module, SCREEN_MODULES) or within(module, FORBIDDEN_MODULES)):
        return False
    if not on_screen and module in SCREEN_NAMES:  # from os import environ
        return False
    if within(module, OTHER_KERAS):
        return (package, part) == ("ldr_tf", "keras")
    if top not in ("ldr_tf", "data", "experiments") or package == "experiments":
        return True
    if package == "data":
        return top == "data" or (top == "ldr_tf" and bool(rest) and rest[0] in DATA_MAY_IMPORT)
    if top != "ldr_tf":
        return False
    target = rest[0] if rest else ""
    if target not in LAYERS:
        target = ""  # a name of ldr_tf itself: ldr_tf.load_run, ldr_tf.__version__
    return target == part or target in LAYERS.get(part, set())


def within(module, roots):
    """Whether a dotted name is one of `roots` or inside one."""
    return any(module == root or module.startswith(root + ".") for root in roots)


def names(node):
    """Returns a node's dotted name, as a list of one, or an empty list: `os.environ`."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, (ast.Name, ast.Attribute)):
        return [f"{name}.{node.attr}" for name in names(node.value)]
    return [node.id] if isinstance(node, ast.Name) else []


def misdeeds(node):
    """Lists what a node does that the library never does."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            return [f"call {node.func.id}"]
        allows = [k for k in node.keywords if k.arg == "allow_pickle"]
        if any(not isinstance(k.value, ast.Constant) or k.value.value for k in allows):
            return ["allow pickles"]
    if isinstance(node, ast.ExceptHandler):
        kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        for kind in kinds:
            if kind is None or (names(kind) or [""])[0] in ("Exception", "BaseException"):
                return ["catch every exception"]
    return []


def knows_no_flags(path):
    """Whether a file belongs to the library; the kit of an export tells a server's own flags."""
    on_screen = path.startswith(("experiments/", "ldr_tf/commands/"))
    return not on_screen and path != "ldr_tf/serving/kit.py"


def flags_in_words(tree):
    """Lists the texts of a tree, docstrings apart, that name a command-line flag."""
    docs = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node not in docs
        and re.search(r"(^|[\s(`\"'])--[a-z]\w+", node.value)
    ]


def sources():
    return [
        path.relative_to(ROOT).as_posix()
        for package in ("ldr_tf", "data", "experiments")
        for path in sorted((ROOT / package).rglob("*.py"))
    ]


def test_sources_are_found():
    assert {"ldr_tf/records.py", "ldr_tf/ops/warp.py", "experiments/evaluate.py"} <= set(sources())


@pytest.mark.parametrize("path", sources())
def test_file_keeps_to_the_architecture(path):
    assert complaints(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [p for p in sources() if knows_no_flags(p)])
def test_messages_of_the_library_name_no_flag(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    assert flags_in_words(tree) == []


@pytest.mark.parametrize("path", sorted((ROOT / "examples").rglob("*.py")), ids=lambda p: p.name)
def test_examples_import_nothing_of_ours(path):
    modules = imported(ast.parse(path.read_text(encoding="utf-8")), path.name)
    assert modules and not any(within(m, ("ldr_tf", "data", "experiments")) for m in modules)


def test_every_part_has_its_layer():
    parts = {place(path)[1] for path in sources() if path.startswith("ldr_tf/")}
    assert parts <= set(LAYERS)


@pytest.mark.parametrize(
    "path, source",
    [
        ("ldr_tf/config/run.py", "import ldr_tf.files"),
        ("ldr_tf/conventions.py", "from ldr_tf.errors import InputError"),
        ("ldr_tf/errors.py", "from . import config"),
        ("ldr_tf/ops/warp.py", "from ldr_tf.config import RunConfig"),
        ("ldr_tf/ops/warp.py", "from ..errors import InputError"),
        ("ldr_tf/ops/warp.py", "def late():\n    import ldr_tf.networks"),
        ("ldr_tf/ops/warp.py", "from ldr_tf import load_run"),
        ("ldr_tf/metrics/overlap.py", "from ldr_tf import losses"),
        ("ldr_tf/losses/similarity.py", "from ldr_tf.metrics import overlap"),
        ("ldr_tf/networks/vtn.py", "from ldr_tf.losses.similarity import correlation"),
        ("ldr_tf/networks/vtn.py", "from ldr_tf.training import loop"),
        ("ldr_tf/training/loop.py", "from ldr_tf.commands import cli"),
        ("ldr_tf/training/loop.py", "import data.pairs"),
        ("ldr_tf/imaging/grid.py", "from ldr_tf.ops.warp import warp"),
        ("ldr_tf/evaluation.py", "from data.pipeline import evaluation_pairs"),
        ("ldr_tf/evaluation.py", "from experiments import evaluate"),
        ("ldr_tf/commands/register.py", "from data import volumes"),
        ("ldr_tf/unheard_of.py", "import ldr_tf.config"),
        ("data/volumes.py", "from ldr_tf.networks import vtn"),
        ("data/volumes.py", "import ldr_tf"),
        ("data/volumes.py", "from experiments import train"),
        ("ldr_tf/training/loop.py", "from absl import flags"),
        ("ldr_tf/training/loop.py", "import argparse"),
        ("ldr_tf/training/loop.py", "import os\nos.environ['A'] = '1'"),
        ("ldr_tf/training/loop.py", "from os import environ"),
        ("data/volumes.py", "import sys\nprefix = sys.argv[1]"),
        ("data/volumes.py", "print('read')"),
        ("ldr_tf/ops/warp.py", "tf.print(flow)"),
        ("ldr_tf/config/run.py", "value = eval(text)"),
        ("ldr_tf/config/run.py", "exec(text)"),
        ("data/volumes.py", "import pickle"),
        ("data/volumes.py", "from pickle import load"),
        ("data/volumes.py", "np.load(path, allow_pickle=True)"),
        ("data/volumes.py", "try:\n    read()\nexcept:\n    pass"),
        ("data/volumes.py", "try:\n    read()\nexcept Exception:\n    pass"),
        ("data/volumes.py", "try:\n    read()\nexcept (OSError, BaseException) as e:\n    pass"),
        ("ldr_tf/networks/layers.py", "layer = tf.keras.layers.Conv3D(3, 3)"),
        ("ldr_tf/networks/layers.py", "from tensorflow import keras"),
        ("ldr_tf/networks/layers.py", "import tf_keras"),
        ("ldr_tf/networks/layers.py", "import tensorflow.keras.layers"),
        ("experiments/train.py", "tf.keras.optimizers.Adam()"),
    ],
)
def test_the_checker_sees(path, source):
    found = complaints(path, source)
    assert found, "no complaint"
    assert found[0].startswith(path)


@pytest.mark.parametrize(
    "path, source",
    [
        ("ldr_tf/__init__.py", "import importlib\nfrom ldr_tf.errors import InputError"),
        ("ldr_tf/config/run.py", "from ldr_tf.records import require"),
        ("ldr_tf/ops/flow.py", "from ldr_tf.ops.warp import warp\nfrom .warp import sample"),
        ("ldr_tf/ops/flow.py", "from ldr_tf.conventions import check_flow"),
        ("ldr_tf/networks/vtn.py", "from ldr_tf.keras import keras\nkeras.layers.Conv3D(3, 3)"),
        ("ldr_tf/keras.py", "import tensorflow as tf\nimport tf_keras\nkeras = tf.keras"),
        ("ldr_tf/evaluation.py", "from ldr_tf.metrics import overlap"),
        ("ldr_tf/commands/register.py", "from absl import flags\nimport ldr_tf\nprint('done')"),
        (
            "data/pipeline.py",
            "from ldr_tf.evaluation import VolumePair\nimport data.pairs",
        ),
        ("data/pipeline.py", "from absl import logging"),
        ("data/volumes.py", "np.load(path, allow_pickle=False)"),
        ("data/volumes.py", "try:\n    read()\nexcept OSError:\n    pass"),
        ("experiments/train.py", "import os\nimport data.pairs\nprint(os.environ)"),
    ],
)
def test_the_checker_lets_pass(path, source):
    assert complaints(path, source) == []
