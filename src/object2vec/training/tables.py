"""From tables to what a run trains on: the schema that is learned, the config, and the pairs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from object2vec.artifact import Artifact
from object2vec.config import Config, Note
from object2vec.config.presets import preset_of
from object2vec.errors import ConfigError, DataError
from object2vec.fields.schema import ObjectSchema
from object2vec.fields.specification import kind_text
from object2vec.fields.table_schema import Making, TableSchema
from object2vec.files.remote import PathLike
from object2vec.objects.vectors import open_vectors
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.pairs.makers import maker_of
from object2vec.reading.cached_set import Cached
from object2vec.reading.facts import Facts, counted_lengths
from object2vec.reading.learning import Learned, learn
from object2vec.reading.table_records import read_with
from object2vec.reading.tables import Table, TableOptions
from object2vec.reporting.events import FieldFacts, TableLearned
from object2vec.reporting.table import coverage_lines
from object2vec.training.decisions import Decided, decide, provisional

_OF_SINGLE_PAIRS = ("dropout", "token_dropout", "random_negative_sampling_rate")
LABEL = "label"  # the column of labels that are passed beside a table

_log = logging.getLogger("object2vec.training")


@dataclass(frozen=True)
class Declared:
    """What a user says of tables to learn from.

    Parameters
    ----------
    schema : TableSchema
        What their columns mean.
    hyperparameters : mapping of str to object
        What is set; everything else is decided by the data and a preset.
    preset : str, optional
        Name of the one to begin with; by default the one that suits the columns.
    options : TableOptions
        How the tables are read.
    split : float, default 0.0
        Share of the training table that is kept for validation.
    vectors : path or URL, optional
        Of vectors that the tokens begin with.
    """

    schema: TableSchema
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None
    options: TableOptions = field(default_factory=TableOptions)
    split: float = 0.0
    vectors: PathLike | None = None

    def provisional_config(self, start: Artifact | None) -> Config:
        """Return the config without what the data decide; raise `ConfigError` if it is wrong."""
        base = self.preset if start is None else start.config.to_dict()
        return provisional(self.hyperparameters, base)

    def shared_schema(self) -> TableSchema:
        """Return the schema, with one vocabulary for both sides where they are to share an encoder.

        Of several fields on a side the user says which belong together.
        """
        preset = preset_of(self.preset).values if self.preset else {}
        is_shared = str({**preset, **self.hyperparameters}.get("shared_encoder", False))
        (first, *more), (second, *others) = self.schema.sides
        are_single = not more and not others and first.column != second.column
        if is_shared.lower() != "true" or self.schema.share or not are_single:
            return self.schema
        return replace(self.schema, share=((first.column, second.column),))


@dataclass(frozen=True)
class FromTables:
    """What a run knows when its tables are read.

    Parameters
    ----------
    config : Config
    schema : ObjectSchema
    pairs : dict of str to Pairs
        By channel.
    facts : mapping of str to Facts
        By channel.
    event : TableLearned
    """

    config: Config
    schema: ObjectSchema
    pairs: dict[str, Pairs]
    facts: Mapping[str, Facts]
    event: TableLearned


def learn_from(
    declared: Declared, sources: Mapping[str, Any], seed: int, start: Artifact | None
) -> FromTables:
    """Read the table of each channel, and decide what the data decide.

    Parameters
    ----------
    declared : Declared
    sources : mapping of str to anything that `open_table` opens
        By channel, train first.
    seed : int
        Of the split.
    start : Artifact, optional
        The model that training goes on from.

    Raises
    ------
    ConfigError, DataError
        If options contradict each other, or tables are wrong.
    StorageError
        If the disk is full.
    """
    import pyarrow as pa

    from object2vec.reading.tables import open_table

    tables = {
        channel: _opened(open_table(source, declared.options), declared.schema)
        for channel, source in sources.items()
    }
    begun = None if start is None else start.schema
    vectors = None if declared.vectors is None else open_vectors(declared.vectors)
    words = None if vectors is None else pa.array(vectors.words(), pa.string())
    shared, split = declared.shared_schema(), declared.split
    learned = learn(tables, shared, split=split, seed=seed, start=begun, words=words)
    pairs, lengths = _pairs_and_lengths(learned, seed)
    decided = decide(
        learned.schema,
        lengths,
        len(pairs["train"]),
        declared.hyperparameters,
        declared.preset,
        None if start is None else start.config,
        has_new_label=begun is not None and begun.label.column is None,
        vectors=None if vectors is None else vectors.width,
    )
    schema = replace(learned.schema, decisions=_remembered(declared, decided, begun))
    config = Config.build(decided.hyperparameters, beyond_aws=True)
    _check_substitutes(config, pairs["train"])
    idle = _ignored_by_blocks(config, pairs["train"])
    decided = replace(decided, notes=(*decided.notes, *idle))
    return FromTables(
        config=config,
        schema=schema,
        pairs=pairs,
        facts=learned.facts,
        event=_event(declared, learned, decided, len(pairs["train"])),
    )


def _pairs_and_lengths(
    learned: Learned, seed: int
) -> tuple[dict[str, Pairs], tuple[dict[int, int], dict[int, int]]]:
    """Return the pairs of each channel, and how many objects of training have each length."""
    pairs = {n: pairs_of(learned.schema, each, n) for n, each in learned.channels.items()}
    making = learned.schema.declared.making
    if making is None:
        return pairs, learned.facts["train"].lengths
    made = made_of(pairs, making, seed)
    first, second = map(counted_lengths, made["train"].longest)
    return {**made}, (first, second)


def _check_substitutes(config: Config, pairs: Pairs) -> None:
    """Raise `ConfigError` if an encoder cannot give tokens the vectors that they stand for."""
    network = config.encoders[0].network
    if isinstance(pairs, MadePairs) and pairs.substitutes and network != "pooled_embedding":
        must = "must be pooled_embedding where a user's name stands for its history"
        raise ConfigError.at("enc0_network", must, network, "Write history(user=own) or user=none.")


def _ignored_by_blocks(config: Config, pairs: Pairs) -> Iterator[Note]:
    """Yield what is asked for and has no effect where batches are made of blocks of text."""
    if not (isinstance(pairs, MadePairs) and pairs.makes_blocks(config)):
        return
    asked = {name: getattr(config, name) for name in _OF_SINGLE_PAIRS}
    asked |= {"weight": "weight" in pairs.schema.names, LABEL: not pairs.are_positives}
    for name, is_asked in asked.items():
        if is_asked:
            text = (
                f"{name} is ignored: pairs={pairs.maker.name} has no use for it with shared "
                "negatives. Set shared_negatives=0 if it is needed."
            )
            yield Note("warning", text)


def _event(declared: Declared, learned: Learned, decided: Decided, records: int) -> TableLearned:
    """Return what is reported of the tables."""
    notes = [*(Note("warning", text) for text in learned.warnings), *decided.notes]
    if (making := learned.schema.declared.making) is not None:
        text = f"{records:,} pairs are made of the rows each epoch: --pairs {making.maker}"
        notes.append(Note("info", text))
    return TableLearned(
        fields=tuple(_fields(learned)),
        rows={name: facts.records for name, facts in learned.facts.items()},
        split=_split_text(declared) if declared.split else "",
        preset=decided.preset,
        decisions=decided.decisions,
        notes=tuple(notes),
    )


def read_pairs(source: Any, schema: ObjectSchema, options: TableOptions, name: str) -> Pairs:
    """Return the pairs of a table, read with a schema that has learned.

    What its values are to the fields of the schema is logged, as `encode` does.

    Raises
    ------
    DataError
        If the table does not fit the schema.
    """
    from object2vec.reading.tables import open_table

    cached, facts = read_with(open_table(source, options), _as_pairs(schema))
    for text in coverage_lines(facts.coverage):
        _log.info("%s", text)
    return pairs_of(schema, cached, name)


def made_pairs(
    source: Any, schema: ObjectSchema, options: TableOptions, name: str, seed: int
) -> MadePairs:
    """Return the pairs that are made of a table as those of training were, by a seed.

    Raises
    ------
    DataError
        If the table does not fit the schema, or no pair can be made of it.
    """
    from object2vec.reading.tables import open_table

    making = schema.declared.making
    assert making is not None, "our bug: pairs of rows are not made"
    cached, facts = read_with(_opened(open_table(source, options), schema.declared), schema)
    for text in coverage_lines(facts.coverage):
        _log.info("%s", text)
    return MadePairs.of(pairs_of(schema, cached, name), maker_of(making.maker), seed)


def _opened(table: Table, schema: TableSchema) -> Table:
    """Return a table, with a row for each member where a value of in0 holds several."""
    if schema.making is None or schema.making.members is None:
        return table
    from object2vec.reading.tables.members import Members

    return Members(table, schema.making.members, schema.making.separator)


def _as_pairs(schema: ObjectSchema) -> ObjectSchema:
    """Return the schema of tables each of whose rows is a pair, however those of training arose."""
    declared = schema.declared
    if declared.making is None:
        return schema
    return replace(schema, declared=replace(declared, making=None, group=None))


def made_of(rows: Mapping[str, Pairs], making: Making, seed: int) -> dict[str, MadePairs]:
    """Return the pairs that are made of the rows of each channel."""
    maker = maker_of(making.maker)
    train = MadePairs.of(rows["train"], maker, seed)
    others = {name: each for name, each in rows.items() if name != "train"}
    return {
        "train": train,
        **{n: MadePairs.of(each, maker, seed, train.collections) for n, each in others.items()},
    }


def with_labels(source: Any, y: Any, declared: Declared | None = None) -> Any:
    """Return records with the labels `y`, if there are any, in place of those that they have.

    Parameters
    ----------
    source : anything that `open_table` opens, or `Pairs.read` reads if columns mean nothing
    y : sequence of n numbers or names of classes, or None
    declared : Declared, optional
        What the columns of a table mean.
    """
    if y is None:
        return source
    if declared is None:
        pairs = Pairs.read(source, default_label=0.0)
        return Pairs.build(in0=pairs.in0, in1=pairs.in1, label=y)
    import pyarrow as pa

    from object2vec.reading.tables import open_table

    table = open_table(source, declared.options)
    columns: dict[str, list[pa.Array]] = {name: [] for name in table.names}
    for block in table.blocks():
        for name, values in block.columns.items():
            columns[name].append(values)
    joined: dict[str, Any] = {name: pa.chunked_array(parts) for name, parts in columns.items()}
    labels = pa.array(y)
    rows = len(next(iter(joined.values()), ()))
    if len(labels) != rows:
        must, cure = f"must have one label for each of the {rows} rows", "Check the labels."
        raise DataError.at("y", must, len(labels), cure)
    return pa.table({**joined, declared.schema.label or LABEL: labels})


def pairs_of(schema: ObjectSchema, cached: Cached, name: str) -> Pairs:
    """Return cached records as pairs; without a label all of them are positives."""
    return Pairs(
        cached.columns,
        name,
        cached.schema,
        cached,
        are_positives=schema.label.column is None,
        draw=schema.drawing(1),
    )


def _remembered(declared: Declared, decided: Decided, begun: ObjectSchema | None) -> dict[str, Any]:
    """Return what a model remembers of how its hyperparameters came about, as JSON values.

    One that goes on from another remembers what was set there, too.
    """
    reasons = {
        each.name: {"value": each.value, "reason": each.reason} for each in decided.decisions
    }
    given = dict(begun.decisions.get("given", {})) if begun else {}
    given |= {name: _plain(value) for name, value in declared.hyperparameters.items()}
    if declared.preset:
        given["preset"] = declared.preset
    return {"preset": decided.preset, "decisions": reasons, "given": given}


def _plain(value: Any) -> Any:
    """Return a hyperparameter as JSON can hold it."""
    if isinstance(value, str | int | float):
        return value
    return [*map(str, value)] if isinstance(value, list | tuple) else str(value)


def _fields(learned: Learned) -> Iterator[FieldFacts]:
    """Yield what was learned of each field."""
    schema = learned.schema
    declared = schema.declared
    fields = zip(declared.names, declared.fields, schema.fields, strict=True)
    for name, (side, each), fitted in fields:
        yield FieldFacts(
            side=side,
            column=each.column,
            kind="" if each.kind is None else kind_text(each.kind),
            reason=learned.guesses.get(name, ""),
            tokens=fitted.size - fitted.first_known,
            coverage={channel: facts.coverage[name] for channel, facts in learned.facts.items()},
        )


def _split_text(declared: Declared) -> str:
    schema = declared.schema
    share = f"{100 * declared.split:.3g} %"
    if schema.time:
        return f"the latest {share} by {schema.time}"
    return f"{share} of the groups of {schema.group}" if schema.group else f"{share} at random"
