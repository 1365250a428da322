"""What every test stands on: one thread, a cache of its own, reproducible properties."""

from __future__ import annotations

import gc
import os
import signal

import pytest
from hypothesis import settings

# Tests run side by side and their matrices are tiny: threads would only wait for one another. Read
# when PyTorch is first imported; `threads` still sets any number.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The machine that tests is shared: a deadline would measure the neighbours.
settings.register_profile("object2vec", deadline=None, derandomize=True)
settings.load_profile("object2vec")


def pytest_configure(config):
    """Hide a GPU from all tests but its own (`make test-gpu`): they say what a CPU computes."""
    if config.option.markexpr != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Leave what is collected to no collector: it lives to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def cache_dir(tmp_path_factory):
    """Keep what is parsed out of the user's cache."""
    path = tmp_path_factory.mktemp("cache")
    before = os.environ.get("OBJECT2VEC_CACHE")
    os.environ["OBJECT2VEC_CACHE"] = str(path)
    yield path
    if before is None:
        del os.environ["OBJECT2VEC_CACHE"]
    else:
        os.environ["OBJECT2VEC_CACHE"] = before


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU where there is none; torch is imported only if such a test is run."""
    wanted = [item for item in items if item.get_closest_marker("gpu")]
    if not wanted:
        return
    import torch

    if not torch.cuda.is_available():
        for item in wanted:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def python_takes_signals():
    """Python's own handlers: what a shell runs in the background ignores SIGINT, nohup SIGHUP."""
    own = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    inherited = {number: signal.signal(number, handler) for number, handler in own.items()}
    yield
    for number, handler in inherited.items():
        signal.signal(number, handler)


@pytest.fixture
def folders_stay(monkeypatch):
    """No folder can be removed, as on Windows where a file in it is mapped; returns those tried."""
    tried = []

    def denied(path, **options):
        tried.append(path)
        raise PermissionError(13, "The process cannot access the file")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", denied)
        yield tried
