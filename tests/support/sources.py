"""The source of the package, parsed once for all that look at it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "object2vec"
FILES = sorted(SOURCE.rglob("*.py"))


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The tree of a file, which nobody changes."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@functools.cache
def trees() -> dict[str, ast.Module]:
    """The tree of each file of the package, by its path in there."""
    return {str(path.relative_to(SOURCE)): parsed(path) for path in FILES}


def texts(tree: ast.Module) -> Iterator[str]:
    """Every text in the code of a module; its docstrings are not."""
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docstrings.add(id(node.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                yield node.value


@functools.cache
def texts_of(file: str) -> frozenset[str]:
    """Every text in the code of a file of the package."""
    return frozenset(texts(trees()[file]))
