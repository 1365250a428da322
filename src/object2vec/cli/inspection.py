"""``object2vec check``, ``info``, ``vocabulary`` and ``cache``: a look at what a user has.

Nothing here imports torch but `info`, which loads a model.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from object2vec.cli.settings import read_hyperparameters
from object2vec.cli.streams import say
from object2vec.cli.tables import Reading, TableChoice, explaining_tables
from object2vec.config import Config
from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from object2vec.artifact import Artifact
    from object2vec.fields.base import Entry
    from object2vec.fields.schema import ObjectSchema
    from object2vec.fields.table_schema import TableSchema
    from object2vec.objects.statistics import IdStatistics, NumberStatistics

_LINES = 10_000  # that are written at once
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def check(
    files: Sequence[str],
    config: str | None,
    settings: Sequence[str],
    channel: str,
    table: TableChoice,
    reading: Reading,
) -> str:
    """Return what a model with these hyperparameters sees of `files`, or what they ask of a model.

    Of a table it is what training would learn and decide.

    Raises
    ------
    ConfigError, DataError
        If hyperparameters or records are wrong.
    """
    given = read_hyperparameters(config, settings)
    if (schema := table.schema()) is not None:
        return "\n".join(_check_table(files, schema, given, table.preset, reading))
    with explaining_tables(files, "model"):
        lines = _check_limits(files, Config.build(given), channel) if given else _find_limits(files)
    return "\n".join(lines)


def _check_table(
    files: Sequence[str],
    schema: TableSchema,
    hyperparameters: dict[str, Any],
    preset: str | None,
    reading: Reading,
) -> list[str]:
    """Return what training would learn of a table, and how its records fit what it would decide."""
    from object2vec.pairs.report import check_channel
    from object2vec.reporting.table import table_lines
    from object2vec.training.tables import Declared, learn_from

    declared = Declared(schema, hyperparameters, preset, reading.options())
    found = learn_from(declared, {"train": list(files)}, 0, None)
    report = check_channel(found.pairs["train"], found.config, "train")
    notes = [f"{note.level}: {note.text}" for note in (*found.config.notes, *found.event.notes)]
    warnings = [f"warning: {text}" for text in report.warnings()]
    return [*table_lines(found.event), *report.lines(), *notes, *warnings]


def _check_limits(files: Sequence[str], config: Config, channel: str) -> list[str]:
    from object2vec.pairs.dataset import Pairs
    from object2vec.pairs.report import check_channel

    has_negatives = config.negatives and channel == "train"
    default = 1.0 if has_negatives else None
    pairs = Pairs.read(list(files), default_label=default, name=channel)
    report = check_channel(pairs, config, channel)
    notes = [f"{note.level}: {note.text}" for note in config.notes]
    return [*notes, *report.lines(), *(f"warning: {warning}" for warning in report.warnings())]


def _find_limits(files: Sequence[str]) -> list[str]:
    """Return the facts about records, and the hyperparameters that a model for them needs."""
    from object2vec.files.sources import list_sources
    from object2vec.objects.schema import RECORDS
    from object2vec.reading.jsonl import read_columns

    facts = {column.name: column.layout.statistics() for column in RECORDS}
    for chunk in read_columns(list_sources(files), RECORDS.but(label={"need": "optional"})):
        for column in (column for column in RECORDS if column.name in chunk.columns):
            facts[column.name] += column.layout.count(chunk.columns[column.name])
    sides, label = (facts["in0"], facts["in1"]), facts["label"]
    if not sides[0].rows:
        cure = "Check that this is the right input."
        raise DataError.at(", ".join(files), "must hold at least one record", "none", cure)
    limits = [limit for side in (0, 1) for limit in _limits(side, sides[side])]
    if label.is_integral and label.low >= 0 and label.high > 1:
        limits.append(f"num_classes={label.high + 1:g}")
    return [
        f"{sides[0].rows} pairs",
        *(_side_line(side, sides[side]) for side in (0, 1)),
        _label_line(label),
        "A model for them needs at least:",
        *(f"  --set {limit}" for limit in limits),
    ]


def _limits(side: int, facts: IdStatistics) -> Iterator[str]:
    """Yield the settings that leave nothing out, as far as the table of hyperparameters goes."""
    wanted = {"max_seq_len": facts.longest, "vocab_size": facts.max_id + 1}
    for name, value in wanted.items():
        kind = HYPERPARAMETERS[f"enc{side}_{name}"].kind
        low, high = getattr(kind, "low", value), getattr(kind, "high", value)
        yield f"enc{side}_{name}={min(max(value, low), high)}"


def _side_line(side: int, facts: IdStatistics) -> str:
    line = (
        f"in{side}: {facts.tokens} tokens, {facts.shortest} to {facts.longest} in a sequence, "
        f"ids up to {facts.max_id}"
    )
    if facts.empty_rows:
        line += f", {facts.empty_rows} sequences without tokens"
    if facts.padding_tokens:
        line += f", {facts.padding_tokens} times the id 0, which stands for padding"
    return line


def _label_line(label: NumberStatistics) -> str:
    if not label.rows:
        return "label: none; such pairs can be trained on with negative_sampling_rate alone"
    kind = "whole numbers" if label.is_integral else "numbers"
    mean = label.total / label.rows
    return f"label: {kind} from {label.low:g} to {label.high:g}, mean {mean:.6g}"


def info(path: str, *, as_json: bool) -> str:
    """Return what is known of a saved model, which is loaded to see that it is whole.

    Raises
    ------
    ArtifactError
        If it is not.
    """
    from object2vec.artifact import load, open_model

    with open_model(path) as folder:
        facts = _facts(path, folder, load(folder))
    if as_json:
        return json.dumps(facts, indent=2)
    del facts["hyperparameters"]  # the essential ones stand under the encoders and the network
    lines: list[str] = []
    for title, values in facts.items():
        if values:
            lines += [title, *_tree_lines(values)]
    return "\n".join(lines)


def _facts(path: str, folder: Path, model: Artifact) -> dict[str, Any]:
    from object2vec.network.network import parameter_count

    config, tables = model.config, model.network.tables()
    return {
        "model": {
            "path": path,
            "size_bytes": sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
            "parameters": parameter_count(model.network),
            "token_parameters": sum(table.weight.numel() for table in tables),
        },
        "enc0": _encoder_facts(config, 0),
        "enc1": _encoder_facts(config, 1),
        "network": {
            "enc_dim": config.enc_dim,
            "comparator_list": ", ".join(config.comparator_list),
            "output_layer": config.output_layer,
            "output_width": model.network.objective.width,
        },
        "schema": {} if model.schema is None else _schema_facts(model.schema),
        "data": {
            channel: {name: report.get(name) for name in ("rows", "label_mean")}
            for channel, report in model.facts.data.items()
        },
        "metrics": model.facts.metrics,
        "hyperparameters": config.to_dict(),
    }


def _schema_facts(schema: ObjectSchema) -> dict[str, Any]:
    """Return the fields of both sides with the rows that they take, and the other columns."""
    facts: dict[str, Any] = {}
    for (side, each), fitted in zip(schema.declared.fields, schema.fields, strict=True):
        known = fitted.size - fitted.first_known
        shared = {"shared_rows": fitted.first_known} if fitted.first_known else {}
        facts.setdefault(f"in{side}", {})[each.specification()] = {"tokens": known, **shared}
    for role in ("label", "weight", "group", "time"):
        if column := getattr(schema.declared, role):
            facts[role] = column
    if schema.label.classes is not None:
        facts["classes"] = list(schema.label.classes)
    if schema.declared.share:
        facts["share"] = [list(columns) for columns in schema.declared.share]
    if reasons := schema.decisions.get("decisions"):
        facts["decisions"] = reasons
    return facts


def _encoder_facts(config: Config, side: int) -> dict[str, Any]:
    encoder = config.encoders[side]
    names = ("network", "layers", "vocab_size", "max_seq_len", "token_embedding_dim")
    return {name: getattr(encoder, name) for name in names}


def _tree_lines(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield a mapping, or one of mappings, a line for each of its entries."""
    for name, value in values.items():
        if isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values()):
            yield f"  {name}"
            yield from (f"  {line}" for line in _tree_lines(value))
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {_shown(each)}" for key, each in value.items())
        yield f"  {name}: {_shown(value)}"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def vocabulary(path: str, side: int, *, as_json: bool) -> None:
    """Write the rows of one side's token table to standard output, a line each.

    Raises
    ------
    ArtifactError
        If the model is not whole.
    ConfigError
        If it has no vocabulary.
    """
    from object2vec.artifact import open_model

    with open_model(path) as folder:
        rows = _entries(folder, side)
        write = _as_json if as_json else _as_text
        while lines := [write(*row) for row in itertools.islice(rows, _LINES)]:
            say("\n".join(lines))


def _entries(folder: Path, side: int) -> Iterator[tuple[Entry, str]]:
    """Yield the rows of one side's token table, each with its field if the side has several.

    Those that are no token, of which there may be many, come last.
    """
    from object2vec.artifact import load_vocabulary, read_config, read_schema
    from object2vec.fields.base import Entry

    if (schema := read_schema(folder, *read_config(folder))) is not None:
        is_one = len(schema.declared.sides[side]) == 1
        others = []
        for field, entry in schema.entries(side):
            row = entry, "" if is_one else field
            if entry.token is None:
                others.append(row)
            else:
                yield row
        yield from others
        return
    if (ids := load_vocabulary(folder, side)) is None:
        must, got = f"must have a vocabulary of in{side}", "a model of bare ids"
        cure = "Train on a table, or with a vocabulary file, for a model that knows its tokens."
        raise ConfigError.at("MODEL", must, got, cure)
    for token, number in ids.items():
        yield Entry(token, number, 0), ""


def _as_json(entry: Entry, field: str) -> str:
    row: dict[str, Any] = {"token": entry.token, "id": entry.row, "count": entry.count}
    more = {"note": entry.note, "field": field}
    return json.dumps(row | {k: v for k, v in more.items() if v}, ensure_ascii=False)


def _as_text(entry: Entry, field: str) -> str:
    token = f"<{entry.note}>" if entry.token is None else entry.token.translate(_ESCAPED)
    return "\t".join([token, str(entry.row), str(entry.count), *([field] * bool(field))])


def cache(*, clear: bool) -> str:
    """Return where parsed records are kept and how much they take, and remove them if asked."""
    from object2vec.reading.cache import cache_root, cached_folders, remove_cached

    root = cache_root()
    if root is None:
        return "Nothing is cached: this user has no home. Set OBJECT2VEC_CACHE to a folder."
    folders, size = cached_folders(root), 0
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):  # another process works here, too
            files = [file for file in (folder, *folder.rglob("*")) if file.is_file()]
            size += sum(file.stat().st_size for file in files)
        if clear:
            remove_cached(folder)
    facts = f"{root}: {len(folders)} sets of records, {size / 2**20:.1f} MiB"
    if clear and (kept := len(cached_folders(root))):
        return f"{facts}, removed but for {kept} in use"
    return f"{facts}, removed" if clear else facts
