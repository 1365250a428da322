"""The saved model: a folder of safetensors and JSON that appears whole or not at all.

=====================  ==========================================================
``config.json``        schema version and every hyperparameter
``model.safetensors``  the weights
``vocab0.json``        optional: the id of each token of in0; ``vocab1.json`` likewise
``metrics.jsonl``      what training reported, one JSON object per line
``README.md``          the model card: data counts, hyperparameters, metrics
=====================  ==========================================================

Nothing is ever unpickled. Sizes and shapes are checked against the configuration before anything is
allocated.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from object2vec.config import Config
from object2vec.devices import place
from object2vec.errors import ArtifactError, ConfigError
from object2vec.files.remote import PathLike, local_model, model_target
from object2vec.files.tensors import read_tensors, write_tensors
from object2vec.files.whole import whole_folder
from object2vec.kernels import kernel_for
from object2vec.version import VERSION

if TYPE_CHECKING:
    from object2vec.network.network import Network

SCHEMA_VERSION = 1
_MAX_JSON_BYTES = 1 << 30
CONFIG, WEIGHTS, _METRICS, _CARD = (
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "README.md",
)


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model besides its weights; goes into ``config.json`` and the card.

    Parameters
    ----------
    data : dict
        Counts of each channel that the model was trained or measured on.
    metrics : dict
        Values by channel and metric name.
    history : tuple of dict
        Events of the training, the lines of ``metrics.jsonl``.
    """

    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    history: tuple[dict[str, Any], ...] = ()


Vocabulary = dict[str, int]


@dataclass(frozen=True)
class Artifact:
    """A model as it is saved and loaded.

    Parameters
    ----------
    config : Config
    network : Network
    vocabularies : pair of dict or None
        Token to id for in0 and in1.
    facts : ModelFacts
    """

    config: Config
    network: Network
    vocabularies: tuple[Vocabulary | None, Vocabulary | None] = (None, None)
    facts: ModelFacts = field(default_factory=ModelFacts)


def save(artifact: Artifact, path: PathLike, *, replace: bool = False) -> None:
    """Write a model folder.

    Parameters
    ----------
    artifact : Artifact
    path : path or URL
    replace : bool, default False
        Whether a model that is there may be replaced.

    Raises
    ------
    StorageError
        If the folder exists and may not be replaced, or cannot be written.
    """
    config, facts = artifact.config, artifact.facts
    document = {
        "format": "object2vec",
        "schema_version": SCHEMA_VERSION,
        "object2vec_version": VERSION,
        "hyperparameters": config.to_dict(),
        "data": facts.data,
        "metrics": facts.metrics,
    }
    with (
        model_target(path, replace=replace) as target,
        whole_folder(target, replace=replace) as folder,
    ):
        write_tensors(folder / WEIGHTS, artifact.network.state_dict())
        _write(folder / CONFIG, json.dumps(document, indent=2) + "\n")
        _write(folder / _METRICS, "".join(json.dumps(event) + "\n" for event in facts.history))
        _write(folder / _CARD, _card(artifact))
        for side, vocabulary in enumerate(artifact.vocabularies):
            if vocabulary is not None:
                _write(folder / f"vocab{side}.json", json.dumps(vocabulary, ensure_ascii=False))


def load(path: PathLike, device: str | None = None) -> Artifact:
    """Read a model folder.

    Parameters
    ----------
    path : path or URL
    device : str, optional
        Where the network shall live; as in training by default.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged, of a later version, or does not fit the configuration.
    ConfigError
        If the device is not there.
    """
    with local_model(path) as folder:
        return _load(folder, device)


def read_config(path: Path) -> tuple[dict[str, Any], Config]:
    """Return the document ``config.json`` of a model folder, and the configuration in it.

    Raises
    ------
    ArtifactError
        If there is no folder, or the file is missing, damaged or of a later version.
    """
    if not path.is_dir():
        raise ArtifactError.at(
            str(path),
            "must be a model folder",
            "a file" if path.exists() else "nothing",
            "Name the folder that `object2vec train --out` wrote.",
        )
    document = _read_json(path / CONFIG)
    return document, _read_config(path / CONFIG, document)


def _load(path: Path, device: str | None) -> Artifact:
    """Read a model folder of this machine."""
    document, config = read_config(path)
    network = _read_network(path / WEIGHTS, config, place(device or config.device))
    sides = [_read_vocabulary(path / f"vocab{side}.json") for side in (0, 1)]
    facts = ModelFacts(
        _facts(document, "data"), _facts(document, "metrics"), _read_history(path / _METRICS)
    )
    return Artifact(config, network, (sides[0], sides[1]), facts)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"more than {_MAX_JSON_BYTES} bytes")
        return _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        got = "nothing" if isinstance(err, FileNotFoundError) else str(err) or type(err).__name__
        raise ArtifactError.at(
            str(path), "must be a JSON object", got, "Copy or train the model again."
        ) from err


def _parse(text: str) -> dict[str, Any]:
    """Return the JSON object of a text, of strict JSON where Python's own reader is lenient."""
    document = json.loads(
        text, object_pairs_hook=_unique, parse_constant=_finite, parse_float=_finite
    )
    if not isinstance(document, dict):
        raise ValueError(type(document).__name__)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("an object with a name that stands twice")
    return document


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text}")
    return number


def _read_config(path: Path, document: Mapping[str, Any]) -> Config:
    version = document.get("schema_version")
    if document.get("format") != "object2vec" or version != SCHEMA_VERSION:
        raise ArtifactError.at(
            str(path),
            f"must be an object2vec model of schema version {SCHEMA_VERSION}",
            f"{document.get('format')} {version}",
            "Load it with the version of object2vec that wrote it.",
        )
    try:
        return Config.build(_section(document, "hyperparameters"))
    except ConfigError as err:
        raise ArtifactError(f"{path}: {err}") from err


def _section(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = document.get(name)
    if not isinstance(section, dict):
        raise ArtifactError.at(
            CONFIG, f'must hold an object "{name}"', section, "Copy or train it again."
        )
    return section


def _facts(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a section of objects, by channel."""
    section = _section(document, name)
    for channel, facts in section.items():
        if not isinstance(facts, dict):
            raise ArtifactError.at(
                f"{CONFIG}: {name}",
                f'must hold an object "{channel}"',
                facts,
                "Copy or train it again.",
            )
    return section


def _read_network(path: Path, config: Config, device: str) -> Network:
    """Return the network with the weights of a file, whose shapes are checked first."""
    import torch

    from object2vec.network.network import Network, materialize

    kernel = kernel_for(config.kernel, device)
    with torch.device("meta"):
        network = Network(config, kernel)
    if not path.is_file():
        raise ArtifactError.at(
            str(path), "must be a safetensors file", "nothing", "Copy the model again."
        )
    # A float32 takes four bytes: a file smaller than that cannot hold what its header may claim.
    needed = 4 * sum(tensor.numel() for tensor in network.state_dict().values())
    if path.stat().st_size < needed:
        raise ArtifactError.at(
            str(path),
            f"must hold at least {needed} bytes",
            path.stat().st_size,
            "The file is truncated: copy the model again.",
        )
    materialize(network)
    read_tensors(path, network.state_dict())
    return network.to(device).eval()


def _read_vocabulary(path: Path) -> Vocabulary | None:
    if not path.exists():
        return None
    document = _read_json(path)
    for token, number in document.items():
        if type(number) is not int or number < 0:
            raise ArtifactError.at(
                f"{path}: {token}",
                "must be an id, an integer >= 0",
                number,
                "Copy the model again.",
            )
    return document


def _read_history(path: Path) -> tuple[dict[str, Any], ...]:
    if not path.exists():
        return ()
    try:
        return tuple(_parse(line) for line in path.read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError, RecursionError) as err:
        raise ArtifactError.at(
            str(path), "must be JSON Lines", str(err), "Copy or train the model again."
        ) from err


def _card(artifact: Artifact) -> str:
    """Return the model card."""
    from object2vec.network.network import parameter_count

    config, facts = artifact.config, artifact.facts
    settings = config.to_dict()
    lines = [
        "# object2vec model",
        "",
        f"Encoder 0 ({config.enc0_network}) and encoder 1 ({config.enc1_network}) turn objects "
        f"into vectors of {config.enc_dim} numbers; "
        + (
            f"the head gives probabilities of {config.num_classes} classes."
            if config.is_classifier
            else "the head predicts a number."
        ),
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
        "model.encode(in0=[[1, 2, 3]])",
        "model.predict(in0=[[1, 2, 3]], in1=[[4]])",
        "```",
        "",
        *_table("Data", ("channel", "fact", "value"), _flat(facts.data)),
        *_table("Metrics", ("channel", "metric", "value"), _flat(facts.metrics)),
        *_table(
            "Hyperparameters", ("name", "value"), [(k, json.dumps(settings[k])) for k in settings]
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


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
