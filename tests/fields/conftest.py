from __future__ import annotations

import importlib

import pytest

MODULES = ("strings", "values", "words", "learner", "kinds.addresses")  # that have compiled code


@pytest.fixture
def go_without_compiled(monkeypatch):
    """What makes fields do everything in Python and NumPy for the rest of a test."""

    def go():
        for name in MODULES:
            module = importlib.import_module(f"object2vec.fields.{name}")
            monkeypatch.setattr(module, "compiled_programs", lambda: None)

    return go


@pytest.fixture(params=["compiled", "plain"])
def each_way(request, go_without_compiled):
    """Run a test with compiled code and without."""
    if request.param == "plain":
        go_without_compiled()
