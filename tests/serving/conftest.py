"""Models in folders, for servers that are processes of their own."""

from __future__ import annotations

import pytest

from support.servers import fitted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A pooled model: the event loop computes what is asked of it."""
    path = tmp_path_factory.mktemp("served") / "model"
    fitted("pooled").save(path)
    return path


@pytest.fixture(scope="module")
def slow_folder(tmp_path_factory):
    """A model that is never quick: every request goes through the model's thread."""
    path = tmp_path_factory.mktemp("slow") / "model"
    fitted("mixed").save(path)
    return path
