"""The page for people at ``/``: what the model is, and a pair and an embedding to try.

One file without anything from elsewhere; its content security policy allows nothing but its own
style and script.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from object2vec.objects.schema import SIDES
from object2vec.serving.inputs import example, inputs
from object2vec.version import VERSION

if TYPE_CHECKING:
    from object2vec.inference.engine import Engine
    from object2vec.serving.endpoint import Endpoint

_FACTS, _INPUTS, _EXAMPLE = "<!-- facts -->", "<!-- inputs -->", "<!-- example -->"
_LOADING = "<p>The model is being loaded. Reload the page in a moment.</p>"
_FAILED = "<p>The model could not be loaded. The server's log names the cause.</p>"
_LOCKED = '<p class="locked">This server asks for a token. Enter it below to see the model.</p>'


def page(endpoint: Endpoint, is_authorized: bool) -> tuple[str, str]:
    """Return the page and its content security policy.

    Parameters
    ----------
    endpoint : Endpoint
        What the page shows the model of.
    is_authorized : bool
        Whether the reader may see the model's facts; else the page asks for the token.
    """
    template, policy = _template()
    schema, classes = None, None
    if not is_authorized:
        facts = _LOCKED
    elif endpoint.model is not None:
        engine = endpoint.model.engine
        facts, schema, classes = _facts(engine), engine.schema, engine.classes
    else:
        facts = _LOADING if endpoint.failure is None else _FAILED
    parts = {_FACTS: facts, _INPUTS: inputs(schema, classes), _EXAMPLE: escape(example(schema))}
    pattern = "|".join(map(re.escape, parts))  # one pass: a part may hold anything
    return re.sub(pattern, lambda found: parts[found[0]], template), policy


@cache
def _template() -> tuple[str, str]:
    """Return the page without facts, and the policy that allows its style and script."""
    html = files("object2vec.serving").joinpath("page.html").read_text(encoding="utf-8")
    html = html.replace("{version}", escape(VERSION))
    hashes = {}
    for tag in ("style", "script"):
        found = re.search(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert found is not None
        digest = hashlib.sha256(found[1].encode()).digest()
        hashes[tag] = f"'sha256-{base64.b64encode(digest).decode()}'"
    return html, (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _facts(engine: Engine) -> str:
    """Return what is known of the model as a definition list."""
    config = engine.config
    rows = [
        (
            f"Encoder {encoder.side}",
            f"{encoder.network}, {encoder.vocab_size:,} ids, "
            f"at most {encoder.max_seq_len} in a sequence",
        )
        for encoder in config.encoders
    ]
    rows += [
        *_fields(engine),
        ("Embedding", f"{config.enc_dim} numbers"),
        ("Comparator", ", ".join(config.comparator_list)),
        ("Score", engine.network.objective.output),
        *(
            (f"{channel} {name}".replace("_", " "), _number(value))
            for channel, values in engine.facts.metrics.items()
            if isinstance(values, dict)
            for name, value in values.items()
        ),
    ]
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<dl>{body}</dl>"


def _fields(engine: Engine) -> list[tuple[str, str]]:
    """Return what the objects of a model with a schema are made of, and its classes."""
    if engine.schema is None:
        return []
    sides = zip(SIDES, engine.schema.declared.sides, strict=True)
    rows = [(name, ", ".join(each.specification() for each in fields)) for name, fields in sides]
    return rows + ([("Classes", ", ".join(engine.classes))] if engine.classes else [])


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
