"""What is in a saved model: written, and read with every size checked before it is allocated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from object2vec.artifact.card import model_card
from object2vec.artifact.location import (
    CARD,
    CONFIG,
    FORMAT,
    METRICS,
    VOCABULARIES,
    WEIGHTS,
    new_model,
    open_model,
)
from object2vec.config import Config
from object2vec.devices import find_device
from object2vec.errors import ArtifactError, ConfigError
from object2vec.fields.saved import SCHEMA
from object2vec.files.json import strict_json
from object2vec.files.remote import PathLike
from object2vec.files.tensors import read_tensors, write_tensors
from object2vec.kernels import kernel_for
from object2vec.version import VERSION

if TYPE_CHECKING:
    from object2vec.fields.schema import ObjectSchema
    from object2vec.network.network import Network

SCHEMA_VERSION = 1
_MAX_JSON_BYTES = 1 << 30
_HAS_SCHEMA = (
    "has_schema"  # in the configuration: what goes beyond AWS's limits, and needs its files
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
Vocabularies = tuple[Vocabulary | None, Vocabulary | None]
"""Those of in0 and in1."""


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
    schema : ObjectSchema, optional
        What makes ids of the values of a table; None where objects are ids.
    """

    config: Config
    network: Network
    vocabularies: Vocabularies = (None, None)
    facts: ModelFacts = field(default_factory=ModelFacts)
    schema: ObjectSchema | None = None


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
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "object2vec_version": VERSION,
        "hyperparameters": config.to_dict(),
        "data": facts.data,
        "metrics": facts.metrics,
    }
    if artifact.schema is not None:
        document[_HAS_SCHEMA] = True
    with new_model(path, replace=replace) as folder:
        write_tensors(folder / WEIGHTS, artifact.network.state_dict())
        if artifact.schema is not None:
            artifact.schema.to_files(folder)
        _write(folder / CONFIG, json.dumps(document, indent=2) + "\n")
        _write(folder / METRICS, "".join(json.dumps(event) + "\n" for event in facts.history))
        _write(folder / CARD, model_card(artifact))
        for name, vocabulary in zip(VOCABULARIES, artifact.vocabularies, strict=True):
            if vocabulary is not None:
                _write(folder / name, json.dumps(vocabulary, ensure_ascii=False))


def load(path: PathLike, device: str | None = None) -> Artifact:
    """Read a model.

    Parameters
    ----------
    path : path or URL
        Of a model folder or a ``model.tar.gz``, see `open_model`.
    device : str, optional
        Where the network shall live; as in training by default.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged, of a later version, or does not fit the configuration.
    ConfigError
        If the device is not there.
    """
    with open_model(path) as folder:
        return _load(folder, device)


def read_config(path: Path) -> tuple[dict[str, Any], Config]:
    """Return the document ``config.json`` of a model folder, and the configuration in it.

    Raises
    ------
    ArtifactError
        If the file is missing, damaged or of a later version.
    """
    document = _read_json(path / CONFIG)
    return document, _read_config(path / CONFIG, document)


def _load(path: Path, device: str | None) -> Artifact:
    """Read a model folder of this machine."""
    document, config = read_config(path)
    schema = read_schema(path, document, config)
    network = _read_network(path / WEIGHTS, config, find_device(device or config.device))
    sides = [load_vocabulary(path, side) for side in (0, 1)]
    facts = ModelFacts(
        _facts(document, "data"), _facts(document, "metrics"), _read_history(path / METRICS)
    )
    return Artifact(config, network, (sides[0], sides[1]), facts, schema)


def read_schema(path: Path, document: Mapping[str, Any], config: Config) -> ObjectSchema | None:
    """Return the schema of a model folder; None if its objects are ids.

    Raises
    ------
    ArtifactError
        If it is missing, damaged, or does not fit the configuration.
    """
    if not document.get(_HAS_SCHEMA):
        return None
    from object2vec.fields.schema import ObjectSchema

    schema = ObjectSchema.from_files(path)
    for side, encoder in enumerate(config.encoders):
        if schema.table_size(side) > encoder.vocab_size:
            must = f"must need at most the {encoder.vocab_size} rows of in{side} in {CONFIG}"
            got, cure = schema.table_size(side), "Copy or train the model again."
            raise ArtifactError.at(str(path / SCHEMA), must, got, cure)
    return schema


def _write(path: Path, text: str) -> None:
    """Write a text; half a surrogate pair, which UTF-8 cannot hold, as JSON escapes it."""
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"more than {_MAX_JSON_BYTES} bytes")
        return _parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        got = "nothing" if isinstance(err, FileNotFoundError) else str(err) or type(err).__name__
        raise ArtifactError.at(
            str(path), "must be a JSON object", got, "Copy or train the model again."
        ) from err


def _parse(text: str) -> dict[str, Any]:
    document = strict_json(text)
    if not isinstance(document, dict):
        raise ValueError(type(document).__name__)
    return document


def _read_config(path: Path, document: Mapping[str, Any]) -> Config:
    version = document.get("schema_version")
    if document.get("format") != FORMAT or version != SCHEMA_VERSION:
        must = f"must be an object2vec model of schema version {SCHEMA_VERSION}"
        cure = "Load it with the version of object2vec that wrote it."
        raise ArtifactError.at(str(path), must, f"{document.get('format')} {version}", cure)
    try:
        values = _section(document, "hyperparameters")
        return Config.build(values, beyond_aws=bool(document.get(_HAS_SCHEMA)))
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
            must, cure = f'must hold an object "{channel}"', "Copy or train it again."
            raise ArtifactError.at(f"{CONFIG}: {name}", must, facts, cure)
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
        got, cure = path.stat().st_size, "The file is truncated: copy the model again."
        raise ArtifactError.at(str(path), f"must hold at least {needed} bytes", got, cure)
    materialize(network)
    read_tensors(path, network.state_dict())
    return network.to(device).eval()


def load_vocabulary(folder: Path, side: int) -> Vocabulary | None:
    """Return the id of each token of one side of a model folder, where it has a vocabulary file.

    Raises
    ------
    ArtifactError
        If the file is damaged.
    """
    path = folder / VOCABULARIES[side]
    if not path.exists():
        return None
    document = _read_json(path)
    for token, number in document.items():
        if type(number) is not int or number < 0:
            must, cure = "must be an id, an integer >= 0", "Copy the model again."
            raise ArtifactError.at(f"{path}: {token}", must, number, cure)
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
