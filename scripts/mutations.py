"""The small wrong changes of a source text that `mutants.py` tries.

A change replaces bytes, so that all else in a file stays as it is: an operator or a function
becomes its neighbour, a condition the opposite, a number one more, a call's option or a statement
is gone, a result is None. What only people or type checkers read is left alone.
"""

from __future__ import annotations

import ast
import hashlib
import random
import re
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

NOT_HERE = ("kernels/cuda/",)  # runs on a GPU alone
KEPT = (ast.Import, ast.ImportFrom, ast.Assert, ast.JoinedStr)
NO_CODE = ("annotation", "returns", "decorator_list", "defaults", "kw_defaults")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
OPPOSITES = (ast.Eq, ast.NotEq, ast.In, ast.NotIn, ast.Is, ast.IsNot)
OPERATOR = re.compile(rb"not\s+in|is\s+not|in|is|and|or|[-+*/<>=!&|^%@]+")
SWAPS = {"<": "<=", ">": ">=", "==": "!=", "in": "not in", "is": "is not", "and": "or", "+": "-"}
SWAPS |= {"+=": "-=", "*": "/", "*=": "/=", "min": "max", "any": "all"}
SWAPS |= {new: old for old, new in SWAPS.items()} | {"//": "*", "//=": "*="}

Edit = tuple[str, int, int, str]  # kind, first byte, byte behind the last one, new text


class Edits:
    """The small changes of a source text: a method for each kind of node."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self._lines = [0, 0, *(end.end() for end in re.finditer(rb"\n", source))]

    def span(self, node: Any) -> tuple[int, int]:
        """Return the first byte of a node and the one behind it."""
        start = self._lines[node.lineno] + node.col_offset
        return start, self._lines[node.end_lineno] + node.end_col_offset

    def text(self, node: ast.AST) -> str:
        """Return a node as it is written."""
        start, end = self.span(node)
        return self.source[start:end].decode()

    def of(self, node: ast.AST) -> Iterator[Edit]:
        """Find the changes of a node itself."""
        yield from getattr(self, f"_{type(node).__name__}", lambda _: ())(node)

    def _swap(self, kind: str, left: ast.AST, right: ast.AST) -> Iterator[Edit]:
        start, end = self.span(left)[1], self.span(right)[0]
        between = self.source[start:end]
        found = OPERATOR.search(between) if b"#" not in between else None
        name = " ".join(found[0].decode().split()) if found else ""
        if found and name in SWAPS:
            yield kind, start + found.start(), start + found.end(), SWAPS[name]

    def _behind(self, pattern: bytes, start: int) -> int:
        """Return the byte behind a pattern that matches at `start`."""
        found = re.compile(pattern).match(self.source, start)
        return found.end() if found else start

    def _Compare(self, node: ast.Compare) -> Iterator[Edit]:
        for left, right in pairwise([node.left, *node.comparators]):
            yield from self._swap("comparison", left, right)

    def _BoolOp(self, node: ast.BoolOp) -> Iterator[Edit]:
        for left, right in pairwise(node.values):
            yield from self._swap("and or", left, right)

    def _BinOp(self, node: ast.BinOp) -> Iterator[Edit]:
        yield from self._swap("arithmetic", node.left, node.right)

    def _UnaryOp(self, node: ast.UnaryOp) -> Iterator[Edit]:
        if isinstance(node.op, ast.Not):
            start = self.span(node)[0]
            yield "not", start, self._behind(rb"not\s*", start), ""

    def _condition(self, test: ast.expr) -> Iterator[Edit]:
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            if isinstance(test.ops[0], OPPOSITES):
                return  # a swap says the same, as does a `not` or a constant changed
        if not isinstance(test, ast.Constant) and not self.text(test).startswith("not "):
            yield "condition", *self.span(test), f"not ({self.text(test)})"

    def _If(self, node: ast.If | ast.While | ast.IfExp) -> Iterator[Edit]:
        yield from self._condition(node.test)

    _While = _IfExp = _If

    def _comprehension(self, node: ast.comprehension) -> Iterator[Edit]:
        for test in node.ifs:
            yield from self._condition(test)

    def _Constant(self, node: ast.Constant) -> Iterator[Edit]:
        if isinstance(node.value, bool):
            yield "boolean", *self.span(node), str(not node.value)
        elif isinstance(node.value, int | float):
            yield "number", *self.span(node), repr(node.value + 1)

    def _Raise(self, node: ast.stmt) -> Iterator[Edit]:
        yield "removed", *self.span(node), "pass"

    _Continue = _Break = _Raise

    def _Expr(self, node: ast.Expr) -> Iterator[Edit]:
        if isinstance(node.value, ast.Call | ast.Await):
            yield "removed", *self.span(node), "pass"

    def _AugAssign(self, node: ast.AugAssign) -> Iterator[Edit]:
        yield "removed", *self.span(node), "pass"
        yield from self._swap("arithmetic", node.target, node.value)

    def _Call(self, node: ast.Call) -> Iterator[Edit]:
        for keyword in node.keywords:
            if keyword.arg is not None:
                start, end = self.span(keyword)
                yield "keyword", start, self._behind(rb"\s*, ?", end), ""
        name, end = self.text(node.func).split(".")[-1], self.span(node.func)[1]
        if name in ("min", "max", "any", "all"):
            yield "min max", end - len(name), end, SWAPS[name]

    def _Return(self, node: ast.Return) -> Iterator[Edit]:
        if node.value is not None and self.text(node.value) != "None":
            yield "return", *self.span(node.value), "None"

    def _Slice(self, node: ast.Slice) -> Iterator[Edit]:
        for bound in (node.lower, node.upper):
            if bound is not None and not isinstance(bound, ast.Constant):
                yield "slice", *self.span(bound), f"({self.text(bound)}) + 1"

    def _arguments(self, node: ast.arguments) -> Iterator[Edit]:
        for default in filter(None, [*node.defaults, *node.kw_defaults]):
            edits = self.of(default) if isinstance(default, ast.Constant) else ()
            new = "0" if self.text(default) == "None" else "None"
            text = next((text for *_, text in edits), new)
            yield "default", *self.span(default), text


def edits_of(source: bytes) -> list[tuple[Edit, dict[str, Any]]]:
    """Return every change of a source text, and what says which tests run it.

    That is ``lines``, the first and last line whose run is a run of what is changed, and
    ``imported``, whether importing the file runs them.
    """
    edits, found = Edits(source), list[tuple[Edit, dict[str, Any]]]()

    def visit(node: Any, lines: list[int], imported: bool) -> None:
        if isinstance(node, KEPT) or is_typing(node):
            return
        if isinstance(node, ast.stmt):
            lines = header(node)
        found.extend((edit, {"lines": lines, "imported": imported}) for edit in edits.of(node))
        for name, value in ast.iter_fields(node):
            if name in NO_CODE:
                continue
            called = isinstance(node, FUNCTIONS) and name in ("args", "body")
            within = [body_of(node)[0], body_of(node)[-1]] if called else lines
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child, within, imported and not called)

    visit(ast.parse(source), [1, 1], True)
    return found


def is_typing(node: ast.AST) -> bool:
    """Return whether a node is there for type checkers alone."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def body_of(function: Any) -> range:
    """Return the lines of a function's statements."""
    return range(function.body[0].lineno, function.end_lineno + 1)


def header(node: Any) -> list[int]:
    """Return the first and last line of a statement without the statements in it."""
    body = getattr(node, "body", None) or getattr(node, "cases", None)
    if not body:
        return [node.lineno, node.end_lineno]
    first = body[0].pattern if isinstance(body[0], ast.match_case) else body[0]
    return [node.lineno, max(node.lineno, first.lineno - 1)]


def changed(source: bytes, edit: Edit) -> bytes:
    """Return a source text with one change."""
    _, start, end, text = edit
    return source[:start] + text.encode() + source[end:]


def is_other(old: bytes, new: bytes) -> bool:
    """Return whether new source compiles, without a warning, to something else than the old."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            compile(new, "changed", "exec", dont_inherit=True)
        except SyntaxError:
            return False
    return ast.dump(ast.parse(old)) != ast.dump(ast.parse(new))


def draw(root: Path, number: int, seed: int) -> list[dict[str, Any]]:
    """Return changes of the package, drawn from all of them with equal chances."""
    sources = {file: (root / file).read_bytes() for file in files_of(root)}
    found = [(file, *each) for file, source in sources.items() for each in edits_of(source)]
    random.Random(seed).shuffle(found)
    mutants: list[dict[str, Any]] = []
    for file, edit, where in found:
        old, new = sources[file], changed(sources[file], edit)
        if len(mutants) < number and is_other(old, new):
            line = old.count(b"\n", 0, edit[1])
            column = edit[1] - (old.rfind(b"\n", 0, edit[1]) + 1)
            texts = [text.split(b"\n")[line].decode().strip() for text in (old, new)]
            facts = {"before": texts[0], "after": texts[1], "edit": edit, **where}
            key = f"{file}:{line + 1}:{column}:{edit[0]}"
            mutants.append({"key": key, "file": file, "source": digest(old), **facts})
    return mutants


def package_of(root: Path) -> Path:
    """Return the folder of the package."""
    return next((root / "src").glob("*/__init__.py")).parent


def files_of(root: Path) -> list[str]:
    """Return the files whose changes the tests here could notice, from `root`."""
    package = package_of(root)
    return [
        path.relative_to(root).as_posix()
        for path in sorted(package.rglob("*.py"))
        if not path.relative_to(package).as_posix().startswith(NOT_HERE)
    ]


def digest(source: bytes) -> str:
    """Return a short text that changes with a source."""
    return hashlib.sha256(source).hexdigest()[:16]
