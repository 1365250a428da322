"""object2vec: vectors for anything that comes in pairs.

The public names are loaded when they are first used, so that importing the package costs nothing.

Examples
--------
>>> from object2vec import Object2Vec, Pairs
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from object2vec.config import Config
    from object2vec.errors import (
        ArtifactError,
        ConfigError,
        DataError,
        Interrupted,
        MissingExtraError,
        NotFittedError,
        Object2VecError,
        RequestError,
        StorageError,
        TrainingError,
    )
    from object2vec.fields.declare import (
        Characters,
        Date,
        Ids,
        IPv4,
        IPv6,
        Number,
        Text,
        Token,
        Tokens,
    )
    from object2vec.model import Object2Vec
    from object2vec.objects.ragged import Ragged
    from object2vec.pairs.dataset import Pairs

__all__ = [
    "ArtifactError",
    "Characters",
    "Config",
    "ConfigError",
    "DataError",
    "Date",
    "IPv4",
    "IPv6",
    "Ids",
    "Interrupted",
    "MissingExtraError",
    "NotFittedError",
    "Number",
    "Object2Vec",
    "Object2VecError",
    "Pairs",
    "Ragged",
    "RequestError",
    "StorageError",
    "Text",
    "Token",
    "Tokens",
    "TrainingError",
    "__version__",
]

_FIELDS = (
    "Characters",
    "Date",
    "IPv4",
    "IPv6",
    "Ids",
    "Number",
    "Text",
    "Token",
    "Tokens",
)
_HOMES = {
    **dict.fromkeys(_FIELDS, "object2vec.fields.declare"),
    "Config": "object2vec.config",
    "Object2Vec": "object2vec.model",
    "Pairs": "object2vec.pairs.dataset",
    "Ragged": "object2vec.objects.ragged",
}


def __getattr__(name: str) -> Any:
    """Return a public name from the module where it lives (PEP 562)."""
    if name == "__version__":
        return import_module("object2vec.version").VERSION
    if name not in __all__:
        raise AttributeError(f"module 'object2vec' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "object2vec.errors")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
