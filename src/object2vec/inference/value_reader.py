"""Bodies of requests whose objects are values of a table's columns, for a model with a schema.

JSON and JSON Lines have the shape that AWS's requests have. Where a list of ids would stand, there
is the value of the side's one field, or an object of fields. ``text/csv`` has a record a line: the
columns of in0 and then those of in1, or any with a first line that names them. The list
``features``, which the other algorithms of AWS read, is such a record, too
(https://docs.aws.amazon.com/sagemaker/latest/dg/cdf-inference.html).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress, pairwise
from operator import not_
from typing import TYPE_CHECKING, Any

import msgspec

from object2vec.config import Config
from object2vec.errors import DataError, RequestError, suggestion
from object2vec.fields.values import text_of
from object2vec.files.json import JsonObject, load_json
from object2vec.files.sources import Source
from object2vec.inference.forms import WRITTEN, Form
from object2vec.inference.inputs import UNREMARKABLE
from object2vec.inference.instances import (
    BODY_RULE,
    INSTANCE_CURE,
    Group,
    Request,
    by_kind,
    check_once,
    malformed,
    texts_of,
)
from object2vec.inference.payload import CSV, JSON
from object2vec.inference.values import Namer, Taken, headed, in_file, sides_of, value_intakes
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import SIDES

if TYPE_CHECKING:
    import pyarrow as pa

    from object2vec.fields.schema import ObjectSchema
    from object2vec.reading.tables import TableBlock

Limits = Sequence[int | None]

_FEATURES = ("features", "data")
_INSTANCE_RULE = 'must be an object with "in0", "in1" or both'
_decode = msgspec.json.Decoder().decode


def _in_request(numbers: Sequence[int], side: int) -> Namer:
    """Return what names the objects of instances with these numbers: ``instances[3].in1``."""
    return lambda row: f"instances[{numbers[row]}].{SIDES[side]}"


class ValueReader:
    """Reads bodies for a model with a schema, see `object2vec.inference.instances.Reader`.

    Parameters
    ----------
    config : Config
    schema : ObjectSchema
    """

    readable = (*WRITTEN, CSV)
    quick_bytes = 1 << 16  # a few milliseconds

    def __init__(self, config: Config, schema: ObjectSchema) -> None:
        self._intakes = value_intakes(schema, config)

    def warm_up(self) -> None:
        """Read an instance without values, so that the first request waits for nothing."""
        nothing: dict[str, dict[str, Any]] = {side: {} for side in SIDES}
        self.read(msgspec.json.encode(nothing), Form(JSON, JSON))

    def read(self, body: bytes, form: Form) -> Request | None:
        """Return the instances of a body; None for an empty one."""
        if not body or body.isspace():
            return None
        if form.reads == CSV:
            return self._read_csv(body, form)
        limits = form.max_seq_lens or (None, None)
        given = _instances(body, is_json=form.reads == JSON)
        instances = [self._with_sides(number, each) for number, each in enumerate(given)]
        kinds = [(SIDES[0] in each) + 2 * (SIDES[1] in each) for each in instances]

        def group(kind: int, chosen: Sequence[bool] | None) -> Request:
            numbers = [i for i in range(len(kinds)) if chosen is None or chosen[i]]
            return self._group(instances, numbers, kind, limits)

        return by_kind(kinds, _INSTANCE_RULE, group)

    def _with_sides(self, number: int, instance: dict[str, Any]) -> dict[str, Any]:
        """Return an instance by its sides, also if it has the list ``features`` of all columns."""
        if not any(key in instance for key in _FEATURES):
            return instance
        columns = [(SIDES[i.side], name) for i in self._intakes for name in i.columns]
        values: Any = instance.get("data", instance)
        for key in ("features", "values"):
            values = values.get(key) if isinstance(values, dict) else values
        if not isinstance(values, list) or len(values) != len(columns) or len(instance) > 1:
            names = ", ".join(name for _, name in columns)
            must, cure = f'must have a list of {names} as "features"', INSTANCE_CURE
            raise RequestError.at(f"instances[{number}]", must, instance, cure)
        sides: dict[str, dict[str, Any]] = {}
        for (side, name), value in zip(columns, values, strict=True):
            sides.setdefault(side, {})[name] = value
        return dict(sides)

    def _group(
        self,
        instances: Sequence[Mapping[str, Any]],
        numbers: Sequence[int],
        kind: int,
        limits: Limits,
    ) -> Request:
        """Return the instances with these numbers, which have the sides of `kind`."""
        taken: dict[int, Taken] = {}
        for side, (name, intake) in enumerate(zip(SIDES, self._intakes, strict=True)):
            if kind & 1 << side:
                where = _in_request(numbers, side)
                values = [instances[number][name] for number in numbers]
                columns = _columns(values, intake.columns, where)
                with _rejecting():
                    taken[side] = intake.accept(columns, where, limits[side])
        return as_request(taken)

    def read_file(self, source: Source, form: Form, max_rows: int) -> Iterator[tuple[str, Request]]:
        """Yield a CSV as requests of at most `max_rows` instances, each with where it begins.

        Raises
        ------
        DataError
            If a record is wrong.
        """
        for block, taken in self._csv_blocks(source, form, in_file):
            for start in range(0, len(block), max_rows):
                pieces = {s: each.slice(start, start + max_rows) for s, each in taken.items()}
                yield block.where(start), as_request(pieces)

    def _read_csv(self, body: bytes, form: Form) -> Request:
        """Return the records of a CSV, all of one kind."""
        source = Source("body", lambda: contextlib.nullcontext(io.BytesIO(body)))

        def in_request(block: TableBlock, side: int) -> Namer:
            return _in_request(range(block.first_row, block.first_row + len(block)), side)

        with _rejecting():
            parts = [taken for _, taken in self._csv_blocks(source, form, in_request)]
        return as_request({s: Taken.joined([part[s] for part in parts]) for s in parts[0]})

    def _csv_blocks(
        self, source: Source, form: Form, namer: Callable[[TableBlock, int], Namer]
    ) -> Iterator[tuple[TableBlock, dict[int, Taken]]]:
        """Yield the blocks of a CSV, each with the objects of the sides that it has."""
        table = headed(source, self._intakes, form.header)
        intakes, columns = sides_of(table, self._intakes)
        limits = form.max_seq_lens or (None, None)
        for block in table.blocks(columns):
            yield (
                block,
                {
                    each.side: each.accept(
                        block.columns, namer(block, each.side), limits[each.side]
                    )
                    for each in intakes
                },
            )


@contextlib.contextmanager
def _rejecting() -> Iterator[None]:
    """Reject a request for what is wrong with its values."""
    try:
        yield
    except DataError as err:
        raise RequestError(str(err)) from None


def as_request(taken: Mapping[int, Taken]) -> Request:
    """Return objects, of both sides or of one, as a request of one group.

    An instance is marked ``"unknown": ["in1"]`` if it has an object without a token that training
    knew.
    """
    rows = {side: _lists(each.sequences) for side, each in taken.items()}
    remarks: list[dict[str, Any]] | None = None
    if not all(each.is_known.all() for each in taken.values()):
        named = [SIDES[side] for side in taken]
        known = zip(*(each.is_known.tolist() for each in taken.values()), strict=True)
        unknown = [[*compress(named, map(not_, each))] for each in known]
        remarks = [{"unknown": names} if names else {} for names in unknown]
    first, second = (taken[s].account if s in taken else UNREMARKABLE for s in (0, 1))
    return Request([Group(rows.get(0), rows.get(1), remarks)], None, (first, second))


def _lists(sequences: Ragged) -> list[list[int]]:
    values = sequences.values.tolist()
    return [values[start:stop] for start, stop in pairwise(sequences.offsets.tolist())]


def _instances(body: bytes, *, is_json: bool) -> list[dict[str, Any]]:
    """Return the instances of a JSON body, or of one whose lines are JSON."""
    texts = texts_of(body, is_json=is_json)
    documents = [_parsed(t, "body" if is_json else f"instances[{i}]") for i, t in enumerate(texts)]
    instances = _listed(documents[0]) if is_json else documents
    for index, instance in enumerate(instances):
        if not isinstance(instance, dict):
            where = f"instances[{index}]"
            raise RequestError.at(where, _INSTANCE_RULE, instance, INSTANCE_CURE)
    if body.count(b'":') != _keys(documents):  # or else each key was read, and none twice
        for index, text in enumerate(texts):
            whole = "instances" if isinstance(documents[0], list) else "body"
            _check_once(whole if is_json else f"instances[{index}]", load_json(text))
    return instances


def _parsed(text: bytes, where: str) -> Any:
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        raise malformed(where, err) from None


def _listed(document: Any) -> list[Any]:
    """Return the instances of a JSON body."""
    if isinstance(document, dict):
        has_sides = any(key in document for key in (*SIDES, *_FEATURES))
        if "instances" not in document and has_sides:
            return [document]
        if has_sides:
            raise RequestError.at("body", BODY_RULE, "instances and objects", INSTANCE_CURE)
        document = document.get("instances")
    if not isinstance(document, list):
        raise RequestError.at("body", BODY_RULE, document, INSTANCE_CURE)
    return document


def _keys(value: Any) -> int:
    """Return how many keys the objects in a JSON value have."""
    if isinstance(value, dict):
        return len(value) + sum(_keys(v) for v in value.values() if isinstance(v, (dict, list)))
    return sum(_keys(v) for v in value if isinstance(v, (dict, list)))


def _check_once(where: str, value: Any) -> None:
    """Reject a key given twice, however deep."""
    if isinstance(value, JsonObject):
        for name, each in value:
            check_once(where, value, [name])
            _check_once(name if where == "body" else f"{where}.{name}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            _check_once(f"{where}[{index}]", each)


def _columns(values: Sequence[Any], columns: Sequence[str], where: Namer) -> dict[str, pa.Array]:
    """Return the values of each field of some objects."""
    if len(columns) == 1 and not any(isinstance(value, dict) for value in values):
        return {columns[0]: _array(values, where, columns[0])}
    known = {name for column in columns for name in (column, column.partition(".")[0])}
    for row, value in enumerate(values):
        if not isinstance(value, dict):
            must = f"must be an object with {', '.join(columns)}"
            cure = f'Write {{"{columns[0]}": ...}}; what is not known may be left away.'
            raise RequestError.at(where(row), must, value, cure)
        for name in value:
            if name not in known:
                cure = f"{suggestion(name, columns)}Fields: {', '.join(columns)}."
                raise RequestError.at(where(row), "must have fields of training", name, cure)
    return {
        column: _array([_value(value, column) for value in values], where, column)
        for column in columns
    }


def _value(found: Mapping[str, Any], column: str) -> Any:
    """Return a field of an object, also one that lies deeper; None if it is not there."""
    if column in found or "." not in column:
        return found.get(column)
    first, _, rest = column.partition(".")
    inner = found.get(first)
    return _value(inner, rest) if isinstance(inner, dict) else None


def _array(values: Sequence[Any], where: Namer, column: str) -> pa.Array:
    """Return values as an Arrow array."""
    import pyarrow as pa

    try:
        array = pa.array(values)
        if pa.types.is_null(array.type):
            return pa.nulls(len(values), pa.string())
        if not pa.types.is_struct(array.type):
            return array
        must = "must be a text, a number or a list of them"
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        must = "must be of one type with the other instances"
    kinds = {type(value) for value in values if value is not None}
    if len(kinds) > 1 and kinds <= {str, int, float, bool}:
        # As columns of a table hold them: 7 is the token "7".
        written = [v if v is None or isinstance(v, str) else text_of(v) for v in values]
        return pa.array(written, pa.string())
    first = next(type(value) for value in values if value is not None)
    odd = (i for i, value in enumerate(values) if value is not None and type(value) is not first)
    row = next(odd, 0)
    cure = "Write each value as training had it."
    raise RequestError.at(where(row), f'"{column}" {must}', values[row], cure)
