"""The few types that columns come in, whatever wrote them.

Arrow has several types for a text, and several for a list. Who reads a block sees one of each:
``string``, ``dictionary<int32, string>`` and ``list``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from object2vec.errors import DataError
from object2vec.reading.tables.base import TableBlock

TEXT_DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def plain_type(found: pa.DataType) -> pa.DataType:
    """Return the type in which values of another one come."""
    if isinstance(found, pa.BaseExtensionType):
        return plain_type(found.storage_type)
    if pa.types.is_dictionary(found):
        values = plain_type(found.value_type)
        return TEXT_DICTIONARY if pa.types.is_string(values) else values
    if is_text(found) or is_bytes(found):
        return pa.string()
    if is_list(found):
        return pa.list_(plain_type(found.value_type))
    return found


def first_rows(
    blocks: Iterable[TableBlock], rows: int, schema: pa.Schema, columns: Sequence[str]
) -> pa.RecordBatch:
    """Return the first rows of some columns as one batch; `schema` has their types if known."""
    taken: list[pa.Table] = []
    for block in blocks:
        taken.append(pa.table(block.columns).slice(0, rows))
        rows -= len(taken[-1])
        if rows <= 0:
            break
    return as_batch(taken, schema, columns)


def as_batch(
    tables: Sequence[pa.Table], schema: pa.Schema, columns: Sequence[str]
) -> pa.RecordBatch:
    """Return some columns of some tables as one batch; `schema` has their types if known."""
    known = [name for name in columns if name in schema.names]
    empty = schema.empty_table().select(known)
    whole = pa.concat_tables([*tables, empty], promote_options="permissive").select(columns)
    return whole.combine_chunks().to_batches()[0] if len(whole) else _empty(whole.schema)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array([], each) for each in schema.types], schema)


def check_names(table: str, names: Sequence[str]) -> None:
    """Raise `DataError` if two columns have the same name."""
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise DataError.at(table, "must name every column once", ", ".join(twice), "Rename one.")


def merged_type(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    """Return a type for values of both plain types; None if they have nothing in common."""
    if first == second or pa.types.is_null(second):
        return first
    if pa.types.is_null(first):
        return second
    if {first, second} == {pa.string(), TEXT_DICTIONARY}:
        return pa.string()
    if pa.types.is_list(first) and pa.types.is_list(second):
        values = merged_type(first.value_type, second.value_type)
        return None if values is None else pa.list_(values)
    if all(pa.types.is_integer(each) for each in (first, second)):
        return pa.int64()
    if all(pa.types.is_integer(each) or pa.types.is_floating(each) for each in (first, second)):
        return pa.float64()
    same = (pa.types.is_timestamp, pa.types.is_date, pa.types.is_decimal)
    return first if any(test(first) and test(second) for test in same) else None


def has_null(found: pa.DataType) -> bool:
    """Say whether nothing is known of the values of a type, or of those in its lists."""
    return pa.types.is_null(found) or (is_list(found) and has_null(found.value_type))


def is_text(found: pa.DataType) -> bool:
    """Say whether a type is one of text."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(found) for test in tests)


def is_bytes(found: pa.DataType) -> bool:
    """Say whether a type is one of bytes, as old writers of Parquet store text."""
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(found) for test in tests)


def is_list(found: pa.DataType) -> bool:
    """Say whether a type is one of lists."""
    tests = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(test(found) for test in tests)


def plain(column: pa.Array | pa.ChunkedArray, *, dictionary: bool = False) -> pa.Array:
    """Return a column in its plain type.

    Raises
    ------
    pyarrow.ArrowInvalid
        If bytes are no UTF-8.
    """
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # of no chunk, or too large for one
            column = pa.concat_arrays(column.chunks)
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_dictionary(column.type) and not is_text(column.type.value_type):
        column = column.dictionary_decode()
    if column.type != (wanted := plain_type(column.type)):
        column = pc.cast(column, wanted)
    if dictionary and pa.types.is_string(column.type):
        return column.dictionary_encode()
    return column


def plain_schema(schema: Any) -> pa.Schema:
    """Return the columns of a schema, or of a type of structs, in their plain types."""
    return pa.schema([(path, plain_type(found)) for path, found in _leaves(schema, "")])


def _leaves(fields: Any, prefix: str) -> Iterator[tuple[str, pa.DataType]]:
    """Yield the columns of a schema, those inside structs by their paths."""
    for each in fields:
        if pa.types.is_struct(each.type):
            yield from _leaves(each.type, f"{prefix}{each.name}.")
        else:
            yield prefix + each.name, each.type


def take_path(batch: pa.RecordBatch, path: str) -> pa.Array:
    """Return the column at a path of keys; null where something on the way is."""
    first, *rest = keys_of(batch.schema, path)
    column = batch.column(first)
    for key in rest:
        column = pc.struct_field(column, [key])
    return column


def keys_of(fields: Any, path: str) -> tuple[str, ...]:
    """Return the names of the fields that lead to a path, which may hold dots themselves."""
    for each in fields:
        if each.name == path and not pa.types.is_struct(each.type):
            return (path,)
        if pa.types.is_struct(each.type) and path.startswith(f"{each.name}."):
            if rest := keys_of(each.type, path[len(each.name) + 1 :]):
                return (each.name, *rest)
    return ()


def take(
    batch: pa.RecordBatch, columns: Collection[str], dictionary: Collection[str], where: str
) -> dict[str, pa.Array]:
    """Return the columns at some paths in their plain types.

    Raises
    ------
    DataError
        If a column is damaged, or has bytes that are no text.
    """
    taken = {}
    for column in columns:
        try:
            found = take_path(batch, column)
            found.validate(full=True)  # a file may say anything; Arrow's functions trust it
            taken[column] = plain(found, dictionary=column in dictionary)
        except pa.ArrowInvalid as err:
            must = f'must have whole values and text in UTF-8 in column "{column}" from here on'
            raise DataError.at(where, must, str(err), "Convert the column to text.") from err
    return taken
