"""Doing without compiled code where loading it would take longer than the work."""

import sys
import types

import pytest

from object2vec.compiled import is_postponed, load, postponed


@pytest.mark.parametrize("is_loaded", [False, True])
def test_what_is_loaded_already_is_used(is_loaded, monkeypatch):
    if is_loaded:
        monkeypatch.setitem(sys.modules, "numba", types.ModuleType("numba"))
    else:
        monkeypatch.delitem(sys.modules, "numba", raising=False)
    assert not is_postponed()
    with postponed():
        assert is_postponed() == (not is_loaded)
    assert not is_postponed()
    with pytest.raises(KeyError), postponed():
        raise KeyError
    assert not is_postponed()
    with postponed():
        load()
        assert not is_postponed()
