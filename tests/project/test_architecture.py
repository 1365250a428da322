"""The shape of the code: imports point one way, nothing unpickles, and importing stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.sources import FILES, SOURCE, parsed

# A module imports from rows above its own and from its own package, never sideways or downwards.
LAYERS = (
    ("errors", "signals", "task_names", "version"),
    ("evaluation",),
    ("config",),
    ("objectives",),
    ("files",),
    ("compiled",),
    ("objects",),
    ("fields",),
    ("reading",),
    ("pairs",),
    ("devices",),
    ("kernels",),
    ("network",),
    ("artifact",),
    ("reporting",),
    ("training",),
    ("inference",),
    ("tasks",),
    ("estimator",),
    ("model",),
    ("tuning",),
    ("examples",),
    ("serving",),
    ("sagemaker",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
PUBLIC = "__init__"  # object2vec/__init__.py: public names, loaded when they are asked for

UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN = {"torch.load", "builtins.eval", "builtins.exec", "builtins.__import__"}
MAX_LINES = 40

# What a field that holds arrays is annotated with, alone or in a tuple.
ARRAY = re.compile(r"(tuple\[)?(NDArray|Tensor|Ragged|Numbers|Keys|PairList)\b")

# Values are frozen; only these change, each in the hands of one owner.
CHANGING = {"Draft", "Progress", "Lookup", "TransformReport", "_Ticket", "_Piece", "_Batch"}


def part(path: Path) -> str:
    """The part of the package that a file belongs to: its folder, or its name."""
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imported(tree: ast.AST) -> list[tuple[int, str]]:
    """Line and full dotted name of everything that a module imports, anywhere in it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found += [(node.lineno, f"{base}.{alias.name}") for alias in node.names]
    return found


def wrong_way(tree: ast.AST, source: str) -> list[str]:
    """What `source` imports against the order of the layers."""
    wrong = []
    for line, name in imported(tree):
        if name.startswith("."):
            wrong.append(f"{line}: {name} is relative")
        if name.split(".")[0] != "object2vec" or source == PUBLIC:
            continue
        target = [*name.split("."), PUBLIC][1]
        if target != source and LEVEL.get(target, len(LAYERS)) >= LEVEL[source]:
            wrong.append(f"{line}: {source} imports {name}")
    return wrong


def unsafe(tree: ast.AST) -> list[str]:
    """Every way to run code from data that a module holds."""
    wrong = [
        f"{line}: imports {name}"
        for line, name in imported(tree)
        if name.split(".")[0] in UNPICKLERS or name in FORBIDDEN
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in ("eval", "exec", "__import__"):
            wrong.append(f"{node.lineno}: {node.id}")
        if isinstance(node, ast.Attribute) and ast.unparse(node) in FORBIDDEN:
            wrong.append(f"{node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                wrong.append(f"{node.lineno}: allow_pickle is not False")
    return wrong


def long_functions(tree: ast.AST) -> list[str]:
    """Functions of more than `MAX_LINES` lines, their docstrings not counted."""
    long = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = node.end_lineno - node.lineno + 1
        if ast.get_docstring(node) is not None:
            lines -= node.body[0].end_lineno - node.body[0].lineno + 1
        if lines > MAX_LINES:
            long.append(f"{node.lineno}: {node.name} has {lines} lines")
    return long


def changing(tree: ast.AST) -> set[str]:
    """The names of dataclasses that are not frozen."""
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if decorator.startswith("dataclass") and "frozen=True" not in decorator
    }


def compared_by_arrays(tree: ast.AST) -> list[str]:
    """The dataclasses that hold arrays and would be compared by them, which has no answer."""
    return [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if decorator.startswith("dataclass") and "eq=False" not in decorator
        if any(
            ARRAY.match(ast.unparse(field.annotation))
            for field in node.body
            if isinstance(field, ast.AnnAssign)
        )
    ]


each_file = pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))


def test_every_part_has_its_place_in_the_order():
    parts = {part(path) for path in FILES} - {PUBLIC}
    assert {"errors", "config", "files", "network"} <= parts
    assert parts <= LEVEL.keys(), "name the new part in LAYERS"


@each_file
def test_imports_point_one_way(path):
    assert wrong_way(parsed(path), part(path)) == []


@each_file
def test_nothing_runs_code_from_data(path):
    assert unsafe(parsed(path)) == []


@each_file
def test_functions_are_short(path):
    assert long_functions(parsed(path)) == []


def test_values_are_frozen():
    assert set().union(*(changing(parsed(path)) for path in FILES)) == CHANGING


@each_file
def test_values_that_hold_arrays_are_equal_to_themselves_alone(path):
    assert compared_by_arrays(parsed(path)) == []


@pytest.mark.parametrize("kind", ["NDArray[np.int64]", "tuple[Tensor, int]", "Ragged | None"])
def test_a_value_that_would_compare_arrays_is_seen(kind):
    code = f"@dataclass{{}}\nclass A:\n    size: int\n    array: {kind}"
    assert compared_by_arrays(ast.parse(code.format("(frozen=True)"))) == ["A"]
    assert compared_by_arrays(ast.parse(code.format("(frozen=True, eq=False)"))) == []


@pytest.mark.parametrize("options", ["", "(slots=True)", "(frozen=False)"])
def test_a_value_that_may_change_is_seen(options):
    code = f"@dataclass(frozen=True)\nclass A: ...\n@dataclass{options}\nclass B: ..."
    assert changing(ast.parse(code)) == {"B"}


@pytest.mark.parametrize(
    ("source", "code", "wrong"),
    [
        ("network", "from object2vec.config import Config", []),
        ("network", "from object2vec.network.head import Head", []),
        ("network", "import numpy as np\nfrom torch import nn", []),
        ("cli", "def f():\n    from object2vec.serving.app import serve", []),
        (PUBLIC, "from object2vec.model import Object2Vec", []),
        (
            "config",
            "def f():\n    from object2vec.network import Network",
            ["2: config imports object2vec.network.Network"],
        ),
        ("pairs", "import object2vec.kernels.base", ["1: pairs imports object2vec.kernels.base"]),
        ("model", "from object2vec import cli", ["1: model imports object2vec.cli"]),
        ("model", "import object2vec", ["1: model imports object2vec"]),
        ("errors", "from object2vec import Pairs", ["1: errors imports object2vec.Pairs"]),
        ("training", "from .losses import loss", ["1: .losses.loss is relative"]),
    ],
)
def test_a_wrong_import_is_seen(source, code, wrong):
    assert wrong_way(ast.parse(code), source) == wrong


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("model.eval()\nnp.load(path, allow_pickle=False)\njson.load(file)", []),
        ("import pickle", ["1: imports pickle"]),
        ("def f():\n    from marshal import loads", ["2: imports marshal.loads"]),
        ("import numpy, joblib", ["1: imports joblib"]),
        ("import builtins\nbuiltins.eval('1')", ["2: builtins.eval"]),
        ("from torch import load", ["1: imports torch.load"]),
        ("torch.load(path)", ["1: torch.load"]),
        ("read = torch.load", ["1: torch.load"]),
        ("eval('1')", ["1: eval"]),
        ("run = exec", ["1: exec"]),
        ("np.load(path, allow_pickle=True)", ["1: allow_pickle is not False"]),
        ("np.load(path, allow_pickle=flag)", ["1: allow_pickle is not False"]),
    ],
)
def test_unsafe_code_is_seen(code, wrong):
    assert unsafe(ast.parse(code)) == wrong


def test_a_long_function_is_seen():
    body = "\n".join(f"    x{i} = {i}" for i in range(39))
    docstring = '    """Return.\n\n    Notes\n    """'
    assert long_functions(ast.parse(f"def f():\n{docstring}\n{body}")) == []
    assert long_functions(ast.parse(f"def f():\n{docstring}\n{body}\n    y = 1")) == [
        "1: f has 41 lines"
    ]


@pytest.mark.parametrize(
    "module",
    [
        "object2vec",
        "object2vec.errors",
        "object2vec.config.table",
        "object2vec.config",
        "object2vec.cli",
    ],
)
def test_what_every_command_imports_is_light(module):
    heavy = ("torch", "numba", "pyarrow", "numpy", "rich", "msgspec", "fsspec", "_hashlib")
    code = f"import sys, {module}; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "\n"
