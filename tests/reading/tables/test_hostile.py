"""Files nobody would write on purpose: an error or the right rows, and nothing else."""

import csv
import io
import tempfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from object2vec.errors import DataError
from object2vec.fields.spans import TextSpans
from object2vec.reading.tables import Forms, TableOptions, lines, open_table
from object2vec.reading.tables.formats import csv as csv_format

FEW, MANY = 60, 2000

# What parsers stumble over is frequent here.
PIECES = [",", ";", "\t", "|", '"', '""', "\n", "\r\n", "\r", " ", "a", "b", "7", "007", "1,5"]
PIECES += ["\0", "é", "日本", "\u2028", "\ufeff", "NULL", "nan", "N/A", "\\", "'", "#", "=", "\x1f"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
FIELDS = TEXTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
CLEAN = FIELDS.map(lambda text: text.replace("\0", ""))


FORMS = st.sampled_from(["strings", "dictionary", "spans"])  # that columns of text come in


def blocks_of(table, names, form):
    """Blocks of a table as arrays, whose texts came in some form."""

    def arrays(columns):
        return {n: c.array() if isinstance(c, TextSpans) else c for n, c in columns.items()}

    forms = Forms(**({} if form == "strings" else {form: set(table.names)}))
    return [made for _, made in table.map_blocks(arrays, names, forms)]


def read(path, options=None, form="strings"):
    """The content of a file, or None where it is rejected."""
    try:
        blocks = blocks_of(open_table(path, options), None, form)
        return pa.concat_tables([pa.table(columns) for columns in blocks])
    except DataError:
        return None


def nulls_for_empty(names, rows):
    """Rows as a table of them has them."""
    return [{n: f or None for n, f in zip(names, row, strict=True) if n} for row in rows]


@st.composite
def written(draw):
    """Rows of text and how Python's csv module writes them."""
    width = draw(st.integers(1, 4))
    name = CLEAN.filter(lambda text: text.strip("\ufeff"))
    name = name.map(lambda text: text.lstrip("\ufeff"))  # a byte order mark
    names = draw(
        st.lists(name, min_size=width, max_size=width, unique=True).filter(
            lambda names: any(map(str.strip, names))  # a header without any text is rejected
        )
    )
    rows = draw(st.lists(st.lists(CLEAN, min_size=width, max_size=width), min_size=1, max_size=12))
    text = io.StringIO(newline="")
    separator = draw(st.sampled_from(",;\t|"))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    # Older Pythons leave a carriage return without quotes.
    is_bare = draw(st.booleans()) and not any(
        "\r" in text for row in [names, *rows] for text in row
    )
    quoting = csv.QUOTE_MINIMAL if is_bare else csv.QUOTE_ALL
    csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting).writerows(
        [names, *rows]
    )
    return names, rows, separator, text.getvalue()


def check_written(case, size, form):
    names, rows, separator, text = case
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(text.encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lines, "PARSED_BYTES", size)
            found = read(path, TableOptions(separator=separator), form)
    assert found is not None
    assert found.to_pylist() == nulls_for_empty(names, rows)


@st.composite
def hostile(draw):
    """Bytes that look like a CSV from afar."""
    data = "".join(draw(st.lists(st.sampled_from(PIECES), max_size=40))).encode()
    if draw(st.booleans()):
        _, _, _, text = draw(written())
        data = bytearray(text.encode())
        for _ in range(draw(st.integers(0, 3))):
            at = draw(st.integers(0, len(data)))
            data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


def check_hostile(data, size, form):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(data)
        options = TableOptions(format="csv", separator=",")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lines, "PARSED_BYTES", size)
            found = read(path, options, form)
    if found is None:
        return
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    names, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert found.to_pylist() == nulls_for_empty(names, rows)
    try:
        frame = pd.read_csv(
            io.StringIO(text), dtype=str, keep_default_na=False, header=None, index_col=False
        )
    except pd.errors.ParserError:
        return
    if text.startswith("\ufeff"):  # a second mark, which pandas drops as well
        return
    if not any(line.isspace() for line in text.splitlines()):  # which pandas takes for empty
        assert frame.to_numpy().tolist() == [names, *rows]


def parsed(data, options, form):
    """The columns of a file in this order, and its problems."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_bytes(data)
        try:
            table = open_table(path, options)
            blocks = blocks_of(table, table.names[::-1], form)
            return [{n: (c.type, c.to_pylist()) for n, c in b.items()} for b in blocks]
        except DataError as err:
            return str(err).replace(folder, "")


def check_compiled(data, separator, form, size):
    """What compiled code finds is what Arrow parses, mistakes included."""
    options = TableOptions(format="csv", separator=separator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PARSED_BYTES", size)
        found = parsed(data, options, form)
        patch.setattr(csv_format, "compiled_programs", lambda: None)
        assert found == parsed(data, options, form)


def plain_rows(widths):
    """Bytes of lines without quotes, mostly of as many fields."""
    pieces = [b"", b"a", b"12345678", b"long value of bytes", "日本".encode(), b"\r", b"\xff", b" "]
    field = st.lists(st.sampled_from(pieces[:5] * 8 + pieces), max_size=3).map(b"".join)
    return widths.flatmap(
        lambda width: st.lists(
            st.lists(field, min_size=width, max_size=width).map(b",".join)
            | st.sampled_from([b"", b"", b"a,b"]),
            max_size=8,
        )
    )


@settings(max_examples=FEW, deadline=None)
@given(
    plain_rows(st.integers(1, 3)),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
    FORMS,
    st.integers(1, 40),
)
def test_compiled_code_finds_what_arrow_parses(rows, end, has_last, form, size):
    width = max((row.count(b",") for row in rows), default=0) + 1
    header = b",".join(b"name%d" % number for number in range(width))
    data = end.join([header, *rows]) + end * has_last
    check_compiled(data, ",", form, size)


VALUES = {
    pa.string(): FIELDS,
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.int8(): st.integers(-128, 127),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.date32(): st.dates(date(1, 1, 1)),
    pa.timestamp("us"): st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),
    pa.decimal128(9, 2): st.decimals(-999, 999, places=2).map(Decimal),
    pa.list_(pa.string()): st.lists(FIELDS | st.none(), max_size=3),
    pa.struct([("x", pa.string()), ("y", pa.list_(pa.int32()))]): st.fixed_dictionaries(
        {"x": FIELDS | st.none(), "y": st.lists(st.integers(0, 9), max_size=2)}
    ),
}


@st.composite
def parquet(draw):
    """A table and a Parquet file of it."""
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    rows = draw(st.integers(0, 8))
    columns = {}
    for number, each in enumerate(types):
        values = st.lists(VALUES[each] | st.none(), min_size=rows, max_size=rows)
        columns[f"c{number}{draw(st.sampled_from(['', '.', ' é', '.x']))}"] = pa.array(
            draw(values), each
        )
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    options = {
        "compression": draw(st.sampled_from(["none", "snappy", "zstd"])),
        "use_dictionary": draw(st.booleans()),
        "data_page_version": draw(st.sampled_from(["1.0", "2.0"])),
        "row_group_size": draw(st.integers(1, 5)),
        "write_page_checksum": draw(st.booleans()),
        "store_schema": draw(st.booleans()),
    }
    pq.write_table(table, sink, **options)
    return table, sink.getvalue().to_pybytes()


def flattened(table):
    """A table with the fields of its structs as columns, and theirs."""
    rows = table.to_pylist()
    fields = list(table.schema)
    while structs := [field for field in fields if pa.types.is_struct(field.type)]:
        for field in structs:
            fields.remove(field)
            inner = list(field.type)
            fields += [pa.field(f"{field.name}.{each.name}", each.type) for each in inner]
            for row in rows:
                value = row.pop(field.name)
                row.update({f"{field.name}.{n.name}": value and value[n.name] for n in inner})
    return rows


def rows_of_frame(series):
    """The values of a series, None where it has none."""
    return pa.array(series).to_pylist()


def check_parquet(case, damage):
    table, data = case
    damaged = bytearray(data)
    for at, value in damage:
        damaged[at % len(data)] ^= value
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        path.write_bytes(damaged)
        found = read(path, TableOptions(format="parquet"))
        try:
            expected = pq.read_table(path, page_checksum_verification=True)
            expected.validate(full=True)
        except (pa.ArrowException, OSError, ValueError):
            expected = None
    try:
        rows = found and found.to_pylist()
        wanted = expected and flattened(expected)
    except OverflowError:  # a damaged time that Python cannot hold
        return
    if not damage:
        assert expected is not None
        assert (found is None) == (not table.num_rows)
        frame = pd.read_parquet(io.BytesIO(data), dtype_backend="pyarrow")
        for name in () if found is None else set(found.column_names) & set(frame.columns):
            assert rows_of_frame(frame[name]) == [row[name] for row in rows]
    if found is not None and expected is not None:
        assert rows == [{name: row[name] for name in found.column_names} for row in wanted]


SIZES = st.sampled_from([1, 7, 1 << 20])
DAMAGE = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(1, 255)), max_size=3)
RELAXED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


def few_and_many(check, **strategies):
    """Two tests of one property: a quick one, and a thorough one in the slow suite."""

    def test(**case):
        check(**case)

    quick = settings(max_examples=FEW, **RELAXED)(given(**strategies)(test))
    slow = settings(max_examples=MANY, **RELAXED)(given(**strategies)(test))
    return quick, pytest.mark.slow(slow)


test_csv_as_written, test_csv_as_written_often = few_and_many(
    check_written, case=written(), size=SIZES, form=FORMS
)
test_hostile_csv, test_hostile_csv_often = few_and_many(
    check_hostile, data=hostile(), size=SIZES, form=FORMS
)
test_hostile_parquet, test_hostile_parquet_often = few_and_many(
    check_parquet, case=parquet(), damage=DAMAGE
)
