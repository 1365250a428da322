"""What the data decide, so that nobody is asked for it: sizes, lengths, the objective, a preset.

What a user sets stands over everything here; each decision has its reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from object2vec.config import Config, Note
from object2vec.config.presets import Labels, Objects, Preset, preset_of, suitable_preset
from object2vec.errors import ConfigError, DataError
from object2vec.fields.label import LabelField
from object2vec.fields.schema import ObjectSchema
from object2vec.reporting.events import Decision
from object2vec.reporting.table import counted

MAX_CLASSES = 30  # integers 0 to k - 1 are classes up to here: scores and counts have more
LOST_SHARE = 0.001  # of the tokens may be beyond the length that is read
_FEW_UPDATES = 64  # in an epoch; with fewer, batches are made smaller
_SMALLEST_BATCH, _FEWEST_POSITIVES = 32, 16  # a positive needs others to borrow negatives from
_MOST_EPOCHS = 100  # of a preset that takes some number of updates: AWS's own limit
_LARGEST_DROPOUT = 0.5  # of a preset that reads some number of tokens
_LARGEST_DECAY = 0.0005  # of a preset: few rows are no reason to learn nothing
_NEGATIVES = "negative_sampling_rate"
_TIED = "tied_token_embedding_weight"
_SPARSE_ROWS = 10_000  # token tables with more are updated where a batch reads them
_OF_NUMBERS = ("mean_squared_error", "cosine")  # output layers that labels of any numbers suit
_DENSE_ROWS = 100_000  # the same where a preset wants every row to decay in each update
_MOST_CANDIDATES = 20_000
_NAMED_IN_FILES = ("vocab_file", "pretrained_embedding_file")
_COUNTED = ("vocab_size", "max_seq_len")


@dataclass(frozen=True)
class Decided:
    """Hyperparameters of a run, and how they came about.

    Parameters
    ----------
    hyperparameters : dict
    preset : str
        Name of the preset and why, in words; "" where the run goes on from a model.
    decisions : tuple of Decision
    notes : tuple of Note
        What is set and may not be meant.
    """

    hyperparameters: dict[str, Any]
    preset: str
    decisions: tuple[Decision, ...]
    notes: tuple[Note, ...]


def provisional(given: Mapping[str, Any], base: Mapping[str, Any] | str | None) -> Config:
    """Return the config of a run whose data are still to be read, to find mistakes in what is set.

    Parameters
    ----------
    given : mapping
        What the user sets.
    base : mapping or str, optional
        What it begins with: the hyperparameters of a model, or the name of a preset.

    Raises
    ------
    ConfigError
        If something is wrong.
    """
    begun = preset_of(base).values if isinstance(base, str) else base or {}
    for name in given:
        if name[5:] in _NAMED_IN_FILES and given[name]:
            cure = "Leave it away: the vocabulary is learned from the table."
            raise ConfigError.at(name, "must not be set where columns are named", given[name], cure)
    counts = {"enc0_max_seq_len": 1, "enc0_vocab_size": 2, "enc1_max_seq_len": 1}
    values = counts | {"enc1_vocab_size": 2} | dict(begun) | _both_encoders(given)
    return Config.build(values, beyond_aws=True)


def decide(
    schema: ObjectSchema,
    lengths: Sequence[Mapping[int, int]],
    records: int,
    given: Mapping[str, Any],
    preset: str | None = None,
    start: Config | None = None,
    *,
    has_new_label: bool = False,
    vectors: int | None = None,
) -> Decided:
    """Return the hyperparameters for what was learned of a table.

    Parameters
    ----------
    schema : ObjectSchema
    lengths : pair of mappings of int to int
        Training objects of each length, by side.
    records : int
        Of an epoch, without negatives.
    given : mapping
        What the user sets.
    preset : str, optional
        Name of the one to begin with; by default the one that suits.
    start : Config, optional
        Of the model that training goes on from: then that is what it begins with.
    has_new_label : bool, default False
        Whether that model was trained without one.
    vectors : int, optional
        Numbers of the vectors that tokens begin with.

    Raises
    ------
    ConfigError
        If what is set contradicts the data.
    DataError
        If all labels are the same.
    """
    named = preset_of(preset).values if preset else {}
    objective = _objective(schema.label, given.get("output_layer", named.get("output_layer")))
    chosen: Preset | None = None
    if start is None:
        chosen, why = _chosen(schema, objective.labels, preset)
        begun, said = dict(chosen.values), f"{chosen.name} ({why})"
    else:
        begun, said = start.to_dict() | dict(named), ""
    set_by_user = _both_encoders(given)
    found = [*_sizes(schema, start, begun)]
    if chosen is not None:
        found += _candidates(schema, begun | set_by_user)
        begun |= {each.name: each.value for each in found}
        found += [*objective.decisions(begun | set_by_user), *_lengths(lengths)]
        found += [*_tables(schema, begun), *_partners(schema, begun)]
        found += [*_widths(begun | set_by_user, vectors), *_prior(records, chosen.prior_rows)]
        found += _dropout(lengths[0], chosen.tokens_read)
    elif has_new_label:
        found += objective.decisions(begun | set_by_user)
    if start is None or preset:
        found += [*_batches(records, begun, _negatives(schema, _all(begun, found, set_by_user)))]
    if chosen and chosen.updates:
        size = int(_all(begun, found, set_by_user)["mini_batch_size"])
        found += [*_epochs(records, size, chosen.updates)]
    _check_sizes(schema, set_by_user)
    values = _with_pooled_widths(_all(begun, found, set_by_user))
    decisions = tuple(each for each in found if each.name not in set_by_user)
    return Decided(values, said, decisions, tuple(_taken_over(schema, begun, given)))


def _all(
    begun: Mapping[str, Any], found: Sequence[Decision], set_by_user: Mapping[str, Any]
) -> dict[str, Any]:
    """Return hyperparameters: what is set stands over what is decided."""
    return {**begun, **{each.name: each.value for each in found}, **set_by_user}


def _with_pooled_widths(values: dict[str, Any]) -> dict[str, Any]:
    """Return hyperparameters that say of themselves how wide the tables of pooled encoders are."""
    pooled = [side for side in (0, 1) if values.get(f"enc{side}_network") == "pooled_embedding"]
    widths = {f"enc{side}_token_embedding_dim": values.get("enc_dim") for side in pooled}
    return {name: width for name, width in widths.items() if width} | values


def _both_encoders(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is set, of encoder 0 also for encoder 1, which inherits all but counts."""
    values = {name: value for name, value in given.items() if given[name] != "enc0"}
    for name, value in given.items():
        side, _, field = name.partition("_")
        if side == "enc0" and field not in _COUNTED:
            values.setdefault(f"enc1_{field}", value)
    return values


def _taken_over(
    schema: ObjectSchema, begun: Mapping[str, Any], given: Mapping[str, Any]
) -> Iterator[Note]:
    """Yield that encoder 1 has the network that is set for encoder 0, where in1 is no text."""
    network, usual = given.get("enc0_network"), begun.get("enc1_network")
    is_meant = "enc1_network" in given or network in (None, usual) or schema.declared.holds_text(1)
    if usual is not None and not is_meant:
        text = (
            f"enc1_network is {network}, as enc0_network is, although in1 holds no text. Set "
            f"enc1_network={usual} if that is not meant."
        )
        yield Note("warning", text)


def _chosen(schema: ObjectSchema, labels: Labels, name: str | None) -> tuple[Preset, str]:
    """Return the preset and why it is this one."""
    if name is not None:
        return preset_of(name), "named"
    texts = [schema.declared.holds_text(side) for side in (0, 1)]
    objects: Objects = "texts" if all(texts) else "both" if any(texts) else "tokens"
    if schema.drawing(1) is not None:
        objects = "addresses"
    making = schema.declared.making
    maker = None if making is None else making.maker.partition("(")[0]
    if maker and (made := suitable_preset(objects, labels, maker)).pairs:
        return made, f"for pairs made by {maker}"
    what = _OBJECTS[objects]
    of = {"none": "without a label", "numbers": "with numbers", "classes": "with classes"}[labels]
    return suitable_preset(objects, labels), f"for pairs of {what} {of}"


_OBJECTS: dict[Objects, str] = {
    "texts": "texts",
    "tokens": "tokens",
    "both": "a text and tokens",
    "addresses": "an object and an address",
}


@dataclass(frozen=True)
class _Objective:
    """What labels are learned as, and what follows from it."""

    labels: Labels
    decisions: Callable[[Mapping[str, Any]], Iterator[Decision]]


def _objective(label: LabelField, named: Any) -> _Objective:
    """Return what the labels of training are, for an output layer that is named, or any.

    Raises
    ------
    DataError
        If all are the same.
    """
    if label.column is None:
        return _Objective("none", _of_positives)
    names, numbers = label.classes, label.distinct
    if len(names if names is not None else numbers) < 2:
        must, cure = "must have two different values", "Leave the label away to learn from pairs."
        got = (names if names is not None else numbers)[0]
        raise DataError.at(f"label {label.column}", must, got, cure)
    count = len(numbers) if names is None else len(names)
    is_counted = numbers == tuple(range(count)) and count <= MAX_CLASSES
    if names is None and (named in _OF_NUMBERS or not is_counted):
        return _Objective("numbers", lambda begun: _of_numbers(label, begun))
    why = f"{label.column} has {count} names of classes"
    if names is None:
        why = f"{label.column} holds exactly the integers 0 to {count - 1}"

    def of_classes(begun: Mapping[str, Any]) -> Iterator[Decision]:
        yield Decision("output_layer", "softmax", why)
        yield Decision("num_classes", count, why)
        yield Decision("negative_sampling_rate", 0, "the label says what is wrong")

    return _Objective("classes", of_classes)


def _of_positives(begun: Mapping[str, Any]) -> Iterator[Decision]:
    if "output_layer" not in begun:
        yield Decision("output_layer", "softmax", "no label: pairs are set against drawn ones")
        yield Decision("num_classes", 2, "a pair is a positive or a negative")
    is_graded = begun.get("output_layer") == "cosine"
    if is_graded:
        yield Decision("output_layer", "ranking", "no label: pairs are set against one another")
    ranks = is_graded or begun.get("output_layer") == "ranking"
    has_others = ranks or begun.get("candidates") == "all"
    if not has_others and not begun.get("negative_sampling_rate"):
        yield Decision("negative_sampling_rate", 4, "no label: negatives are drawn")


def _of_numbers(label: LabelField, begun: Mapping[str, Any]) -> Iterator[Decision]:
    why = f"{label.column} holds numbers from {label.low:g} to {label.high:g}"
    if begun.get("output_layer") not in _OF_NUMBERS:
        yield Decision("output_layer", "mean_squared_error", why)
    yield Decision("negative_sampling_rate", 0, "the label says what a pair is worth")


def _sizes(
    schema: ObjectSchema, start: Config | None, begun: Mapping[str, Any]
) -> Iterator[Decision]:
    for side in (0, 1):
        size = max(schema.table_size(side), 0 if start is None else start.encoders[side].vocab_size)
        parts = [part.fitted for part in schema.vocabularies(side)]
        tokens = sum(each.size - each.first_known for each in parts)
        of = "both sides" if schema.is_tied else f"in{side}"
        why = f"{counted(tokens, 'token')} of {of}, {counted(size - tokens, 'row')} for all else"
        yield Decision(f"enc{side}_vocab_size", size, why)
    if schema.is_tied and begun.get(_TIED, True):
        shared = ", ".join(map("+".join, schema.declared.share))
        yield Decision(_TIED, True, f"{shared} have one vocabulary")
    elif begun.get("shared_encoder"):
        why = "the columns have vocabularies of their own; --share gives them one"
        yield Decision("shared_encoder", False, why)


def _check_sizes(schema: ObjectSchema, given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if what is set leaves tokens without a row, or mixes those of sides."""
    for side in (0, 1):
        name, needed = f"enc{side}_vocab_size", schema.table_size(side)
        if name in given and int(given[name]) < needed:
            cure = "Leave it away, or set max_size or min_count of a field."
            raise ConfigError.at(name, f"must be at least {needed}", given[name], cure)
    for name in (_TIED, "shared_encoder"):
        if str(given.get(name, False)).lower() == "true" and not schema.is_tied:
            cure = "Share the columns that have one vocabulary (share=, --share)."
            raise ConfigError.at(name, "must be false where no column is shared", True, cure)


def _lengths(lengths: Sequence[Mapping[int, int]]) -> Iterator[Decision]:
    for side, counts in enumerate(lengths):
        limit, lost = sufficient_length(counts)
        why = f"the longest object of in{side} has {counted(limit, 'token')}"
        if lost:
            total, longest = sum(length * rows for length, rows in counts.items()), max(counts)
            why = f"leaves out {lost:,} of {total:,} tokens, of objects of up to {longest:,}"
        yield Decision(f"enc{side}_max_seq_len", limit, why)


def sufficient_length(counts: Mapping[int, int]) -> tuple[int, int]:
    """Return the least number of tokens to read that loses at most a thousandth of all.

    Parameters
    ----------
    counts : mapping of int to int
        Objects of each length.

    Returns
    -------
    tuple of int
        The number, at least 1, and how many tokens it loses.

    Examples
    --------
    >>> sufficient_length({2: 999, 5: 1})
    (4, 1)
    """
    most_lost = LOST_SHARE * sum(length * rows for length, rows in counts.items())
    descending = sorted(counts, reverse=True)
    longer = lost = 0  # objects longer than what is read, and their tokens behind that
    for length, shorter in zip(descending, [*descending, 0][1:], strict=True):
        longer += counts[length]
        if lost + longer * (length - shorter) > most_lost:
            fewer = int((most_lost - lost) // longer)  # tokens less than this length
            return max(1, length - fewer), lost + longer * min(fewer, length - 1)
        lost += longer * (length - shorter)
    return 1, 0


def _widths(values: Mapping[str, Any], vectors: int | None) -> Iterator[Decision]:
    """Yield tables as wide as the vectors that their tokens begin with, if they are narrower."""
    if vectors is None:
        return
    for side in (0, 1):
        name = f"enc{side}_token_embedding_dim"
        if values.get(f"enc{side}_network") == "pooled_embedding":
            name = "enc_dim"
        if int(values.get(name, 0)) < vectors:
            yield Decision(name, vectors, f"the vectors have {vectors} numbers")
        if (freeze := f"enc{side}_freeze_pretrained_embedding") not in values:
            yield Decision(freeze, False, "vectors are where training begins")


def _batches(rows: int, begun: Mapping[str, Any], negatives: int) -> Iterator[Decision]:
    """Yield a smaller batch than that of a preset, where an epoch would have few updates."""
    usual = begun.get("mini_batch_size", 0)
    records = rows * (1 + negatives)
    fitting = 1 << max(0, (records // _FEW_UPDATES).bit_length() - 1)
    size = max(fitting, _SMALLEST_BATCH, _FEWEST_POSITIVES * (1 + negatives))
    if size < usual:
        why = f"so that an epoch of {counted(rows, 'row')} has enough updates"
        yield Decision("mini_batch_size", size, why)


def _negatives(schema: ObjectSchema, values: Mapping[str, Any]) -> int:
    """Return how many negatives each row is set against."""
    if values.get("candidates") == "all":
        return schema.table_size(1) - 1
    return int(values.get(_NEGATIVES, 0))


def _dropout(counts: Mapping[int, int], tokens: int | None) -> Iterator[Decision]:
    """Yield the token_dropout of a preset that reads so many tokens of an in0 of usual length."""
    if tokens is not None:
        usual = sum(n * rows for n, rows in counts.items()) / max(1, sum(counts.values()))
        share = round(min(max(0.0, 1 - tokens / max(usual, 1)), _LARGEST_DROPOUT), 2)
        yield Decision(
            "token_dropout", share, f"an object of in0 has {usual:.3g} tokens, on average"
        )


def _epochs(rows: int, batch: int, updates: int) -> Iterator[Decision]:
    """Yield the epochs of a preset that takes so many updates, at the least."""
    epochs = min(math.ceil(updates / math.ceil(rows / batch)), _MOST_EPOCHS)
    yield Decision("epochs", epochs, f"{updates} updates or more, {batch} rows each")


def _prior(rows: int, prior: float | None) -> Iterator[Decision]:
    """Yield the weight decay of a preset whose vectors have a prior."""
    if prior is not None:
        decay = float(f"{min(prior / rows, _LARGEST_DECAY):.2g}")
        yield Decision("weight_decay", decay, f"a vector's prior weighs as {prior:g} of the rows")


def _candidates(schema: ObjectSchema, begun: Mapping[str, Any]) -> Iterator[Decision]:
    """Yield that each record is set against its batch alone, where all would be too many."""
    if begun.get("candidates") == "all" and (count := schema.table_size(1)) > _MOST_CANDIDATES:
        why = f"in1 has {counted(count, 'token')}, too many to set each record against"
        yield Decision("candidates", "batch", why)


def _partners(schema: ObjectSchema, begun: Mapping[str, Any]) -> Iterator[Decision]:
    """Yield that tokens go without the partners of a preset, where they can have none."""
    why = "the columns have one table" if schema.is_tied else ""
    why = why or ("pairs are made of the rows" if schema.declared.making else "")
    for name in ("enc0_partners", "enc1_partners") if why else ():
        if begun.get(name):
            yield Decision(name, False, why)


def _tables(schema: ObjectSchema, begun: Mapping[str, Any]) -> Iterator[Decision]:
    rows = sum(schema.table_size(side) for side in ((0,) if schema.is_tied else (0, 1)))
    is_meant = begun.get("token_embedding_storage_type") == "dense"
    if rows > (_DENSE_ROWS if is_meant else _SPARSE_ROWS):
        why = f"of {rows:,} rows an update touches those of its batch"
        yield Decision("token_embedding_storage_type", "row_sparse", why)
