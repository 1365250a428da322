"""Facts that stand once, and what must stand nowhere: what the parsed source can say of it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from object2vec.artifact import MODEL_FILES
from object2vec.config.kinds import COMPARATORS
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.objectives import OBJECTIVES
from object2vec.reporting import LOG_FORMATS
from support.sources import texts, texts_of, trees


def files_with(wanted: set[str]) -> set[str]:
    """The files in whose code one of these texts stands."""
    return {file for file in trees() if not wanted.isdisjoint(texts_of(file))}


OF_OBJECTIVES = {"objectives/", "config/", "training/decisions.py"}
OTHER_MEANINGS = {  # of names of objectives, and the files where those stand
    "dot_product": {
        "inference/ipinsights.py",  # the key under which AWS's answers have the score
        "sagemaker/ipinsights.py",  # the objective: AWS's hyperparameters as ours
    },
    "ranking": {"task_names.py", "tasks/ranks.py", "tasks/registry.py"},  # the task
    "mean_squared_error": {"evaluation/regression.py"},  # the figure of predicted numbers
    "cosine": {
        *("evaluation/retrieval.py", "inference/neighbours.py"),  # the measure of nearness
        *("tasks/base.py", "tasks/labels.py", "tasks/ranks.py", "cli/options.py"),  # the same
        "training/schedule.py",  # the course of the learning rate
    },
}


@pytest.mark.parametrize(
    ("names", "files"),
    [
        ({file.name for file in MODEL_FILES}, {"artifact/location.py", "fields/saved.py"}),
        (set(OBJECTIVES) - OTHER_MEANINGS.keys(), OF_OBJECTIVES),
        *(({name}, OF_OBJECTIVES | files) for name, files in OTHER_MEANINGS.items()),
        ({JSON, JSON_LINES}, {"inference/payload.py"}),
        (set(COMPARATORS), {"config/", "kernels/", "examples/"}),
        (set(LOG_FORMATS) - {"json", "plain"}, {"reporting/", "cli/", "sagemaker/"}),
    ],
    ids=[
        "files of a model",
        "objectives",
        *OTHER_MEANINGS,
        "media types",
        "comparators",
        "log formats",
    ],
)
def test_names_stand_where_they_belong(names, files):
    assert {f for f in files_with(names) if not f.startswith(tuple(files))} == set()


def definitions(tree: ast.Module) -> Iterator[str]:
    """The public classes and constants that a module defines."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and "Protocol" not in map(ast.unparse, node.bases):
            yield node.name  # a protocol is called as what keeps it
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in targets:
            for name in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(name, ast.Name) and name.id.isupper():
                    yield name.id


def test_no_class_and_no_constant_has_the_name_of_another():
    owners = defaultdict(list)
    for file, tree in trees().items():
        for name in set(definitions(tree)):
            if not name.startswith("_"):
                owners[name].append(file)
    doubled = {name: files for name, files in owners.items() if len(files) > 1}
    assert doubled.keys() <= {"SCHEMA_VERSION"}, doubled  # of a model, a checkpoint, a study


def test_no_file_of_tests_has_the_name_of_another():
    names = [path.name for path in Path(__file__).parents[1].rglob("test_*.py")]
    assert len(set(names)) == len(names)  # pytest would take one for the other


def test_one_formatter_lays_out_every_file():
    root = Path(__file__).parents[2]
    files = [
        file
        for top in ("src", "tests", "benchmarks", "examples", "scripts")
        for file in (root / top).rglob("*.py")
    ]
    assert len(files) > 500
    excepted = re.compile("#.*fmt" + ": *(skip|off)")
    assert [str(file) for file in files if excepted.search(file.read_text("utf-8"))] == []


@pytest.mark.parametrize("name", ["is_classifier", "output_width"])
def test_what_objectives_replaced_is_gone(name):
    for file, tree in trees().items():
        names = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(tree)}
        assert name not in names, file


def imports(file: str) -> set[str]:
    """The files that a module imports when it is imported, or when its functions are called."""
    tree, found = trees()[file], set()
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {f for name in found if (f := file_of(name)) is not None} - {file}


def file_of(module: str) -> str | None:
    path = module.removeprefix("object2vec").removeprefix(".").replace(".", "/")
    candidates = (f"{path}.py", f"{path}/__init__.py".lstrip("/"))
    return next((c for c in candidates if c in trees()), None) if path else None


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Ways along the edges that come back to where they began."""
    found, done = [], set()

    def visit(node: str, way: list[str]) -> None:
        if node in way:
            found.append([*way[way.index(node) :], node])
        elif node not in done:
            for target in sorted(edges.get(node, ())):
                visit(target, [*way, node])
            done.add(node)

    for node in sorted(edges):
        visit(node, [])
    return found


def test_a_value_is_frozen_unless_it_is_there_to_be_filled_in():
    found = {
        node.name
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for decorator in map(ast.unparse, node.decorator_list)
        if decorator.startswith("dataclass") and "frozen=True" not in decorator
    }
    assert found == {
        "Draft",
        "Lookup",
        "Progress",
        "TransformReport",
        "_Batch",
        "_Piece",
        "_Ticket",
    }


def test_no_module_imports_one_that_imports_it():
    edges = {f: imports(f) for f in trees() if f != "__init__.py"}
    assert sum(map(len, edges.values())) > 300
    assert circles(edges) == []


def test_a_circle_is_seen():
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == [["a", "b", "c", "a"]]


def test_a_text_in_a_docstring_is_none_in_the_code():
    assert list(texts(ast.parse('"""a"""\nx = "b"\n"""c"""'))) == ["b"]


def test_the_glossary_is_kept():
    words = re.compile(r"(^|_)(told|refused?|refuse|turned)(_|$)")
    for file, tree in trees().items():
        names = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert [name for name in names if words.search(name)] == [], file


ARRAYS = re.compile(r"\b(NDArray|Tensor|Ragged|Floats|Numbers|Strings)\b")
BY_IDENTITY = {  # they hold what holds arrays, or are what they are
    *("ObjectSchema", "Part", "VocabularyField", "Learned", "Pairs", "Positives"),
    *("Parsed", "RecordText", "TableBlock"),
}


def compared_by_identity(trees: Iterable[ast.Module]) -> tuple[set[str], set[str]]:
    """The names of dataclasses with eq=False, and of those that have a member with arrays."""
    found, with_arrays = set(), set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if not isinstance(node, ast.ClassDef):
            continue
        decorators = [d for d in map(ast.unparse, node.decorator_list) if d.startswith("dataclass")]
        members = [ast.unparse(n.annotation) for n in node.body if isinstance(n, ast.AnnAssign)]
        if any("eq=False" in each for each in decorators):
            found.add(node.name)
        if decorators and any(ARRAYS.search(re.sub(r"Callable\[.*", "", m)) for m in members):
            with_arrays.add(node.name)
    return found, with_arrays


def test_what_holds_arrays_is_compared_by_identity():
    """Comparing two of them would raise, as an array of truths is neither true nor false."""
    found, with_arrays = compared_by_identity(trees().values())
    assert len(with_arrays) > 30
    assert found == with_arrays | BY_IDENTITY


def test_a_value_of_arrays_that_would_be_compared_is_seen():
    code = """
@dataclass(frozen=True)
class A:
    rows: Ragged
@dataclass(eq=False)
class B:
    size: int
@dataclass(frozen=True)
class C:
    make: Callable[[], NDArray]
"""
    assert compared_by_identity([ast.parse(code)]) == ({"B"}, {"A"})


MAY_DIFFER_IN_LENGTH = {
    "fields/schema.py": 1,  # the end of each piece and the beginning of the next one
    "fields/words.py": 2,  # parts, and the ends of them all with 0 before
    "inference/neighbours.py": 1,  # as many as are wanted
    "kernels/contrast.py": 1,  # bounds, and those that follow
    "objects/ragged.py": 1,  # as many as are wanted
    "reading/programs.py": 1,  # compiled: Numba knows no strict zip
    "training/memory.py": 1,  # a side without partners
}


def test_what_goes_together_has_one_length():
    """`zip` drops what is over in silence, so that it says where lengths may differ."""
    for file, tree in trees().items():
        loose = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "zip"
            if "strict=True" not in map(ast.unparse, node.keywords)
        ]
        assert len(loose) == MAY_DIFFER_IN_LENGTH.get(file, 0), (file, loose)


MUST_END = {
    "reading/flushing.py": 1,  # what was read is on the disk when the process has ended
    "sagemaker/local/jobs.py": 1,  # a job's last state is written
}


def test_a_process_waits_for_no_thread_but_those_that_finish_something():
    for file, tree in trees().items():
        waited_for = [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "threading.Thread"
            if "daemon=True" not in map(ast.unparse, node.keywords)
        ]
        assert len(waited_for) == MUST_END.get(file, 0), (file, waited_for)
