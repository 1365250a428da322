"""Values of the package: what holds arrays is equal to itself alone.

Arrays have no one response to ``==``, and none to ``hash``: a dataclass that compares its fields
would raise where somebody looks for it in a list or makes it a key.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections.abc import Iterator
from types import ModuleType

from support.sources import FILES, SOURCE

ARRAYS = re.compile(r"ndarray|torch\.Tensor|pyarrow")


def values() -> Iterator[tuple[ModuleType, type]]:
    """The frozen dataclasses of the package with their modules."""
    for file in FILES:
        name = ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)
        if name.startswith("object2vec.kernels.cuda"):
            continue
        module = importlib.import_module(name.removesuffix(".__init__"))
        for each in vars(module).values():
            if dataclasses.is_dataclass(each) and each.__module__ == module.__name__:
                if each.__dataclass_params__.frozen:
                    yield module, each


def holds(module: ModuleType, annotation: str, holders: set[type]) -> bool:
    """Say whether an annotation names arrays, or something that holds some."""
    if annotation.startswith("Callable"):
        return False
    named = [vars(module).get(name) for name in re.findall(r"\w+", annotation)]
    is_holder = any(each in holders for each in named if isinstance(each, type))
    return is_holder or any(ARRAYS.search(repr(each)) for each in named if each is not None)


def test_what_holds_arrays_is_equal_to_itself_alone():
    every = list(values())
    holders: set[type] = set()
    before = -1
    while len(holders) > before:
        before = len(holders)
        for module, each in every:
            fields = dataclasses.fields(each)
            if any(holds(module, str(field.type), holders) for field in fields):
                holders.add(each)
    assert len(holders) > 20
    compared = {each.__qualname__ for each in holders if each.__eq__ is not object.__eq__}
    assert compared == set()
