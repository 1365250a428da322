"""The model card: ``README.md`` of a saved model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from object2vec.version import VERSION

if TYPE_CHECKING:
    from object2vec.artifact.content import Artifact
    from object2vec.fields.schema import ObjectSchema
    from object2vec.network.network import Network


def model_card(artifact: Artifact) -> str:
    """Return the model card, a Markdown page."""
    from object2vec.network.network import parameter_count

    config, facts = artifact.config, artifact.facts
    settings = config.to_dict()
    networks = [encoder.network for encoder in config.encoders]
    examples = [_example(side, artifact.schema) for side in (0, 1)]
    lines = [
        "# object2vec model",
        "",
        f"Encoder 0 ({networks[0]}) and encoder 1 ({networks[1]}) turn objects "
        f"into vectors of {config.enc_dim} numbers; "
        f"a pair gets {artifact.network.objective.output}.",
        "",
        f"Made by object2vec {VERSION}; {parameter_count(artifact.network):,} trained numbers "
        f"beside token tables of {_sizes(artifact.network)} rows x columns.",
        "",
        "## Use",
        "",
        "```python",
        "from object2vec import Object2Vec",
        "",
        'model = Object2Vec.load("path/to/this/folder")',
        f"model.encode({examples[0]})",
        f"model.predict({', '.join(examples)})",
        "```",
        "",
        *_table("Columns", ("use", "column", "rows"), _columns(artifact.schema)),
        *_table("Data", ("channel", "fact", "value"), _flat(facts.data)),
        *_table("Metrics", ("channel", "metric", "value"), _flat(facts.metrics)),
        *_table(
            "Hyperparameters", ("name", "value"), [(k, json.dumps(settings[k])) for k in settings]
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _example(side: int, schema: ObjectSchema | None) -> str:
    """Return an argument with an object of a side."""
    if schema is None:
        return ("in0=[[1, 2, 3]]", "in1=[[4]]")[side]
    columns = schema.columns(side)
    if len(columns) == 1:
        return f"in{side}=[{json.dumps(columns[0], ensure_ascii=False)}]"
    values = ", ".join(f"{json.dumps(name, ensure_ascii=False)}: [...]" for name in columns)
    return f"in{side}={{{values}}}"


def _columns(schema: ObjectSchema | None) -> list[tuple[str, str, str]]:
    """Return what each column is for, its specification, and its rows of a token table."""
    if schema is None:
        return []
    declared = schema.declared
    rows = [
        (f"in{side}", f"`{each.specification()}`", f"{fitted.size:,}")
        for (side, each), fitted in zip(declared.fields, schema.fields, strict=True)
    ]
    roles = {role: getattr(declared, role) for role in ("label", "weight", "group", "time")}
    rows += [(role, f"`{name}`", "") for role, name in roles.items() if name]
    return rows + [("shared", f"`{','.join(names)}`", "") for names in declared.share]


def _sizes(network: Network) -> str:
    return " and ".join(f"{len(t.weight):,} x {t.weight.shape[1]}" for t in network.tables())


def _flat(tree: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the leaves of a tree of mappings as rows: first name, other names, value."""
    rows = []
    for group, leaves in tree.items():
        for name, value in leaves.items():
            if isinstance(value, dict):
                rows += [(group, f"{name}.{part}", text) for _, part, text in _flat({"": value})]
            else:
                rows.append((group, name, json.dumps(value)))
    return rows


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a section with a Markdown table; nothing without rows."""
    if not rows:
        return []
    bars = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return [f"## {title}", "", *bars, ""]
