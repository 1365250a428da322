"""JSON as it stands there: keys in order, also those given twice."""

from __future__ import annotations

import json
from typing import Any


class JsonObject(list[tuple[str, Any]]):
    """The entries of a JSON object, in order."""


def load_json(text: str | bytes) -> Any:
    """Return the value that `text` is, its objects as `JsonObject`.

    Raises
    ------
    ValueError
        If it is no JSON, or one that Python cannot hold; its text says why.
    """
    try:
        return json.loads(text, object_pairs_hook=JsonObject)
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError as err:
        raise ValueError(f"no {err.encoding} text at byte {err.start}") from err
    except (ValueError, RecursionError) as err:
        raise ValueError("a number is too long or the nesting too deep") from err
