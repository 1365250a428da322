"""JSON as it stands there, with keys that are given twice; and strict JSON, without any."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any


class JsonObject(list[tuple[str, Any]]):
    """The entries of a JSON object, in order."""


class _NotStrict(ValueError):
    """Why a text is JSON, but no strict one."""


def load_json(text: str | bytes) -> Any:
    """Return the value that `text` is, its objects as `JsonObject`.

    Raises
    ------
    ValueError
        If it is no JSON, or one that Python cannot hold; its text says why.
    """
    return _loaded(text, object_pairs_hook=JsonObject)


def strict_json(text: str | bytes) -> Any:
    """Return the value that `text` is, without what readers of JSON take in different ways.

    Raises
    ------
    ValueError
        If it is no JSON, has a name twice in one object or a number that is not finite, or is one
        that Python cannot hold; its text says why.
    """
    return _loaded(text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise _NotStrict(f"an object with a name that stands twice: {twice!r}")
    return document


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _NotStrict(f"the number {text}")
    return number


def _loaded(text: str | bytes, **hooks: Any) -> Any:
    try:
        return json.loads(text, **hooks)
    except (json.JSONDecodeError, _NotStrict):
        raise
    except UnicodeDecodeError as err:
        raise ValueError(f"no {err.encoding} text at byte {err.start}") from err
    except (ValueError, RecursionError) as err:
        raise ValueError("a number is too long or the nesting too deep") from err
