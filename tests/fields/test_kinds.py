"""Kinds of field that are no plain vocabulary, and what all kinds keep to."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
from collections import Counter
from dataclasses import astuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from object2vec.errors import ArtifactError, ConfigError, MissingExtraError
from object2vec.fields.base import Coverage, ValueMistakes
from object2vec.fields.kinds import KINDS
from object2vec.fields.numbers import Quantiles
from object2vec.fields.specification import parse_field
from object2vec.fields.times import seconds_of

both_ways = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def kind_of(text):
    return parse_field(f"x:{text}").kind


def learned(text, *blocks, start=None, subset=None):
    learner = kind_of(text).learner(start)
    kept = [learner.observe(pa.array(block)) for block in blocks]
    return learner.finish(None if subset is None else [kept[i] for i in subset]), kept


def rows(field, values):
    column, _ = field.rows(pa.array(values))
    return [column.row(i).tolist() for i in range(len(column))]


def row_of(field):
    return {each.token: each.row for each in field.entries() if each.token is not None}


def names_of(field, values):
    """What stands for each value, as the listing of the field has it."""
    names = {each.row: each.token or each.note for each in field.entries()}
    return [[names[row] for row in found] for found in rows(field, values)]


VALUES = {
    "token": ["a", None, "b", "a"],
    "tokens": ["a b", None, "b", "a c"],
    "text": ["A ship, a sea", None, "the sea", "ship"],
    "characters": ["anna", None, "anne", "Bo"],
    "ipv4": ["10.0.0.1", None, "10.0.0.2", "192.0.2.1"],
    "ipv6": ["2001:db8::1", None, "2001:db8::2", "10.0.0.1"],
    "number": [1.5, None, 2.0, 7.0],
    "date": ["2024-05-31", None, "2023-01-01 10:00", "2024-05-30"],
    "ids": [[1, 2], None, [7], [0, 3]],
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_keeps_its_promises(each_way, name):
    values = pa.array(VALUES[name])
    field, (kept, *_) = learned(name, values)
    column, coverage = field.rows(values)
    for found in (
        field.rows_of_kept(kept),
        field.rows(pa.concat_arrays([values, values]).slice(4)),
    ):
        assert found[0].values.tolist() == column.values.tolist()
        assert found[0].offsets.tolist() == column.offsets.tolist()
        assert found[1] == coverage
    assert len(kept) == len(values)
    assert (coverage.values, coverage.missing) == (4, 1)
    assert coverage.tokens == sum(
        (coverage.known, coverage.hashed, coverage.unknown, coverage.skipped)
    )
    entries = list(field.entries())
    assert [each.row for each in entries] == list(range(field.size))
    read = np.bincount(column.values, minlength=field.size)
    assert [each.count for each in entries] == read.tolist()
    assert field.untrained_rows().tolist() == np.flatnonzero(read == 0).tolist()
    kind = KINDS[name]()
    state, arrays = field.state()
    saved = kind.fitted.from_state(kind, json.loads(json.dumps(state)), arrays)
    assert saved.rows(values)[0].values.tolist() == column.values.tolist()
    assert list(saved.entries()) == entries
    assert saved.of(kind).rows(values)[0].values.tolist() == column.values.tolist()
    grown, _ = learned(name, values, start=saved)
    assert grown.rows(values)[0].values.tolist() == column.values.tolist()
    assert [each.count for each in grown.entries()] == (2 * read).tolist()
    if pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        assert field.rows(encoded)[0].values.tolist() == column.values.tolist()
    part, _ = learned(name, values, values.slice(2), subset=[1])
    alone, _ = learned(name, values.slice(2))
    assert rows(part, values.slice(2)) == rows(alone, values.slice(2))
    with pytest.raises(ArtifactError):
        kind.fitted.from_state(kind, {"years": "x", "policy": 1}, {})


@pytest.mark.parametrize("name", [n for n in KINDS if isinstance(VALUES[n][0], str)])
@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.binary_view()]
)
def test_text_of_any_type_is_text(name, kind):
    values = pa.array(VALUES[name], pa.string())
    field, _ = learned(name, values)
    expected = rows(field, values)
    assert rows(field, values.cast(kind)) == expected
    if kind != pa.binary_view():
        assert rows(field, values.cast(kind).dictionary_encode()) == expected


@pytest.mark.parametrize("name", KINDS)
def test_no_values_are_learned(name):
    for values in (pa.array([], pa.string()), pa.array([None, None])):
        field, (kept,) = learned(name, values)
        column, coverage = field.rows_of_kept(kept)
        assert len(column) == len(values) == coverage.missing
        assert (column.values < max(field.size, 1)).all()


@pytest.mark.parametrize("most", [1, 2])
def test_a_full_vocabulary_learns_no_token_more(most):
    field, _ = learned("token(max_size=2)", ["a", "b"])
    grown, _ = learned(f"token(max_size={most})", ["c", "c", "a"], start=field)
    assert row_of(grown) == row_of(field)
    more, _ = learned("token(max_size=3)", ["c", "c", "a"], start=field)
    assert row_of(more).keys() == {"a", "b", "c"}


# Addresses


@both_ways
@given(numbers=st.lists(st.integers(0, 2**32 - 1) | st.integers(10 << 24, (10 << 24) + 9)))
def test_prefixes_of_ipv4_are_tokens(each_way, numbers):
    values = [str(ipaddress.IPv4Address(number)) for number in numbers]
    field, (kept,) = learned("ipv4", pa.array(values, pa.string()))

    def networks(value):
        address = ipaddress.ip_interface(value)
        return [str(address.network.supernet(new_prefix=k)) for k in range(1, 33)]

    counts = Counter(network for value in values for network in networks(value))
    expected = [[n for n in networks(value) if counts[n] >= 2] for value in values]
    assert names_of(field, pa.array(values, pa.string())) == expected
    assert field.rows(pa.array(numbers, pa.uint32()))[0].values.tolist() == (
        field.rows_of_kept(kept)[0].values.tolist()
    )


def test_an_unseen_address_shares_what_its_networks_know():
    field, _ = learned("ipv4", ["10.1.2.3", "10.1.2.4", "10.9.9.9"])
    names = names_of(field, ["10.1.2.77", "11.0.0.0", "200.0.0.1", None])
    assert names[0][-1] == "10.1.2.0/25"
    assert names[1][-1] == "10.0.0.0/7"
    assert names[2:] == [[], ["missing"]]
    assert field.rows(pa.array(["200.0.0.1"]))[1] == Coverage(1, 0, 32, 0, skipped=32)


def test_ipv6_goes_by_four_bits_and_takes_ipv4():
    field, _ = learned("ipv6", ["2001:db8::1", "2001:DB8:0:0::2", "10.0.0.1", "::ffff:10.0.0.1"])
    names = names_of(field, ["2001:db8::1", "10.0.0.1"])
    assert (names[0][0], names[0][-1]) == ("2000::/4", "2001:db8::/124")
    assert names[1][-1] == "::ffff:a00:1/128"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("ipv4", v) for v in ("10.0.0", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "a", "1.2.3.4/8")],
        *[
            ("ipv4", v)
            for v in ("1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4 5", "1.2.3.+4", "1.2.3.1000")
        ],
        *[("ipv6", v) for v in ("::g", "1::2::3", "fe80::1%eth0", "10.0.0", "::1/128", "12345::")],
    ],
)
def test_what_is_no_address_is_rejected_with_its_row(each_way, name, value):
    learner = kind_of(name).learner()
    unused = pa.array([value, "10.0.0.1"]).dictionary_encode().slice(1)
    assert len(learner.observe(unused)) == 1
    with pytest.raises(ValueMistakes) as caught:
        learner.observe(pa.array(["10.0.0.1", None, value, value]))
    assert [(each.row, each.got) for each in caught.value.mistakes] == [(2, value), (3, value)]
    assert f"must be an IP{name[2:]} address such as" in caught.value.mistakes[0].must


def test_numbers_beyond_32_bits_are_no_address():
    with pytest.raises(ValueMistakes):
        kind_of("ipv4").learner().observe(pa.array([2**32]))


# Names


def grams(name, least, most):
    framed = f"<{name}>"
    return [framed[i : i + n] for n in range(least, most + 1) for i in range(len(framed) - n + 1)]


@both_ways
@given(
    names=st.lists(st.text(st.sampled_from("aBÉ漢 👍"), max_size=5), min_size=1, max_size=5),
    least=st.integers(1, 4),
    more=st.integers(0, 3),
)
def test_a_name_is_its_runs_of_characters_and_itself(each_way, names, least, more):
    most = least + more
    field, _ = learned(f"characters({least}, {most}, min_count=2, buckets=50)", names)
    counts = Counter(name.strip().lower() for name in names)
    known = row_of(field)
    assert known.keys() == {name for name in counts if name and counts[name] >= 2}
    for name, found in zip(names, rows(field, names), strict=True):
        text = name.strip().lower()
        own = [known[text]] if text in known else []
        runs = grams(text, least, most) if text else []
        expected = own + [1 + bucket(run, 50) for run in runs]
        assert found == (expected if text else [0])


def bucket(text, count):
    from object2vec.fields.strings import hash_strings

    data = np.frombuffer(text.encode(), np.uint8)
    return int(hash_strings(data, np.array([0]), np.array([len(data)]))[0] % np.uint64(count))


def test_a_misspelt_name_shares_most_of_its_runs():
    field, _ = learned("characters", ["elephant", "giraffe"])
    right, wrong = rows(field, ["elephant", "elefant"])
    assert len(set(right) & set(wrong)) >= 5
    coverage = field.rows(pa.array(["Elephant", "elefant"]))[1]
    assert (coverage.known, coverage.by_parts, coverage.hashed, coverage.tokens) == (1, 1, 0, 2)
    with pytest.raises(ConfigError, match=r"characters\(longest\): must be at least shortest, 5"):
        kind_of("characters(5, 3)")


def test_coverage_of_parts_adds_up_number_by_number():
    assert astuple(Coverage()) == (0,) * 8
    total = Coverage(*range(1, 9)) + Coverage(*range(10, 90, 10))
    assert astuple(total) == (11, 22, 33, 44, 55, 66, 77, 88)


# Numbers


def test_bins_hold_about_as_many_numbers_each():
    numbers = np.random.default_rng(0).exponential(size=4000)
    field, _ = learned("number(8)", numbers[:1000], numbers[1000:])
    counts = np.array([each.count for each in field.entries()][1:])
    assert len(counts) == 8
    assert (np.abs(counts - 500) <= 1).all()
    assert (np.diff([rows(field, [x])[0][0] for x in sorted(numbers[:50])]) >= 0).all()
    assert rows(field, [-1.0, 1e9, None, float("nan")]) == [[1], [8], [0], [0]]


def test_a_number_of_few_values_has_a_bin_for_each():
    field, _ = learned("number", [3, 1, 3, 3, 2])
    assert names_of(field, [1, 2, 3]) == [["below 2"], ["from 2 below 3"], ["from 3"]]
    field, _ = learned("number(2)", [5, 5, 5, 1, 2])
    assert names_of(field, [1, 2, 5]) == [["below 5"], ["below 5"], ["from 5"]]
    field, _ = learned("number(2)", [1, 1, 1, 1, 2, 3])
    assert field.size == 2  # most numbers are the least one: there is nothing to part


def test_whole_numbers_of_any_size_are_numbers():
    field, _ = learned("number(2)", pa.array([2**53 + 1, -(2**53) - 1]))
    assert names_of(field, [2**53 + 1, 0]) == [["from 9.0072e+15"], ["below 9.0072e+15"]]


def test_numbers_are_read_from_text_and_other_types():
    field, _ = learned("number(3)", [1, 2, 3])
    for values in (["1", " 2.0 ", "+3e0", ""], [True, 2, 3, None]):
        values = [float(v) for v in values[:3]] + [None] if values[0] is True else values
        assert rows(field, values) == [[1], [2], [3], [0]]
    assert rows(field, pa.array(["3", None, "3"]).dictionary_encode()) == [[3], [0], [3]]
    assert rows(field, pa.array([1, 3], pa.decimal128(5, 2))) == [[1], [3]]
    assert rows(field, ["NaN", "nan ", "3"]) == [[0], [0], [3]]
    assert rows(field, [True, False, None]) == [[1], [1], [0]]
    assert rows(field, [None, None]) == [[0], [0]]


def test_a_listing_says_where_bins_begin_and_end():
    field, _ = learned("number(3)", [1, 2.25, 3])
    assert [(each.token, each.row) for each in field.entries()][1:] == [
        ("below 2.25", 1),
        ("from 2.25 below 3", 2),
        ("from 3", 3),
    ]
    assert field.untrained_rows().tolist() == [0]
    field, _ = learned("number", [5, 5, None])
    assert [(each.token, each.count) for each in field.entries()] == [(None, 1), ("any number", 2)]
    assert field.first_known == 1


def test_bins_stay_what_they_are_while_numbers_are_counted_on():
    field, (first, _) = learned("number(3)", [1, 2, 3, None], [9, 9], subset=[0])
    assert field.edges.tolist() == [2, 3]
    assert field.counts.tolist() == [1, 1, 1, 1]
    column, coverage = field.rows_of_kept(first)
    assert column.values.tolist() == [1, 2, 3, 0]
    assert coverage == Coverage(4, 1, 3, 3)
    grown, _ = learned("number(3)", [0, 2.5, 7, 8, None], start=field)
    assert grown.edges.tolist() == [2, 3]
    assert grown.counts.tolist() == [2, 2, 2, 3]


@pytest.mark.parametrize(
    ("values", "row", "cure"),
    [
        (["1", "2,5"], 1, "Write a point instead of the decimal comma"),
        (["1.234,5"], 0, "Write a point instead of the decimal comma"),
        (["", "x"], 1, "read the column as a token"),
        (["1", "1_000"], 1, "read the column as a token"),
        (["1", "1e999"], 1, "leave it empty"),
        ([1.0, float("inf")], 1, "leave it empty"),
        ([None, [1]], 1, "Name another kind"),
        ([dt.date(2024, 1, 1)], 0, "Name another kind"),
    ],
)
def test_what_is_no_number_is_rejected_with_its_row(values, row, cure):
    with pytest.raises(ValueMistakes) as caught:
        kind_of("number").learner().observe(pa.array(values))
    assert [each.row for each in caught.value.mistakes] == [row]
    assert cure in caught.value.mistakes[0].cure


@pytest.mark.parametrize("sizes", [[10], [3, 7], [9, 1], [1] * 10, [4, 4, 4, 4]])
def test_numbers_are_kept_as_they_are_up_to_a_limit(sizes, monkeypatch):
    monkeypatch.setattr("object2vec.fields.numbers._MOST_VALUES", 10)
    numbers = [float(n % 10) for n in range(sum(sizes))]
    quantiles, first = Quantiles(), 0
    for size in sizes:
        quantiles.add(pa.array([*numbers[first : first + size], None]))
        first += size
    values, counts = quantiles.values()
    assert values.tolist() == [float(n) for n in range(10)]
    assert counts.tolist() == [numbers.count(n) for n in values.tolist()]
    assert quantiles.missing == len(sizes)
    quantiles.add(pa.array([9.5]))
    values, counts = quantiles.values()
    assert values.tolist() == [0, 2, 4, 6, 8, 9.5]  # two and two are one now
    assert counts.sum() == len(numbers) + 1
    assert counts[-1] == 1


def test_quantiles_of_very_many_numbers_are_nearly_exact(monkeypatch):
    monkeypatch.setattr("object2vec.fields.numbers._MOST_VALUES", 1000)
    numbers = np.random.default_rng(0).normal(size=20_000)
    quantiles = Quantiles()
    for block in np.split(numbers, 20):
        quantiles.add(pa.array(block))
    values, counts = quantiles.values()
    assert len(values) <= 1000
    assert counts.sum() == len(numbers)
    shares = [(numbers < edge).mean() for edge in quantiles.edges(4)]
    assert np.abs(np.array(shares) - [0.25, 0.5, 0.75]).max() < 0.01


# Dates


@given(
    times=st.lists(
        st.none() | st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)), max_size=5
    ),
    form=st.sampled_from(["typed", "text", "zone"]),
)
def test_the_parts_of_dates_are_tokens(times, form):
    values = pa.array(times, pa.timestamp("us"))
    if form == "text":
        values = pa.array([None if t is None else t.isoformat() for t in times], pa.string())
    if form == "zone":
        values = pa.array([None if t is None else f"{t.isoformat()}+05:30" for t in times])
    field, _ = learned('date("year,month,weekday,day,hour")', values)
    expected = [
        ["missing"]
        if t is None
        else [
            f"year {t.year}",
            f"month {t.month}",
            f"weekday {t.isoweekday()}",
            f"day {t.day}",
            f"hour {t.hour}",
        ]
        for t in times
    ]
    assert names_of(field, values) == expected


def test_a_part_of_a_date_has_a_row_for_each_of_its_numbers():
    field, _ = learned("date", ["2024-05-31 10:00", "2022-05-31", None])
    assert [each.token for each in field.entries()] == [
        None,
        *(f"month {number}" for number in range(1, 13)),
        *(f"weekday {number}" for number in range(1, 8)),
        *(f"day {number}" for number in range(1, 32)),
        *(f"hour {number}" for number in range(24)),
        *("year 2022", "year 2024"),
    ]
    assert field.size == 1 + 12 + 7 + 31 + 24 + 2


def test_hours_are_tokens_only_where_there_are_any():
    assert learned("date", ["2024-05-31", None])[0].parts == ("year", "month", "weekday", "day")
    assert learned("date", ["2024-05-31 00:01"])[0].parts[-1] == "hour"
    assert learned("date(month)", ["2024-05-31 00:01"])[0].parts == ("month",)
    with pytest.raises(ConfigError, match="must name some of year, month, weekday, day, hour"):
        kind_of("date(minute)")


@pytest.mark.parametrize(
    "values",
    [
        ["2024-05-31", "2024-05-31T00:00Z", "2024-05-31 00:00:00.5 +0200", "20240531"],
        [dt.date(2024, 5, 31)],
        [dt.datetime(2024, 5, 31, tzinfo=dt.timezone.utc)],
        [20240531, 1717113600, 1717113600_000, 1717113600_000_000, 1717113600_000_000_000],
        ["1717113600", "1717113600000"],
        [1717113600.5, 1717113600.0],
    ],
)
def test_dates_are_read_however_they_are_written(values):
    field, _ = learned('date("year,month,day")', ["2024-05-31"])
    assert names_of(field, values) == [["year 2024", "month 5", "day 31"]] * len(values)


def test_an_unseen_year_is_read_as_the_nearest_one_and_grows_behind():
    field, _ = learned("date(year)", ["2020-01-01", "2010-01-01"])
    assert names_of(field, ["2031-01-01", "2014-01-01", "1900-01-01"]) == [
        ["year 2020"],
        ["year 2010"],
        ["year 2010"],
    ]
    coverage = field.rows(pa.array(["2031-01-01", "2010-01-01", None]))[1]
    assert coverage == Coverage(3, 1, 2, 1, unknown=1)
    assert names_of(field, ["2015-12-31", "2016-01-01"]) == [["year 2010"], ["year 2020"]]
    grown, _ = learned("date(year)", ["2015-01-01", "2020-01-01"], start=field)
    assert row_of(grown) == {"year 2010": 1, "year 2020": 2, "year 2015": 3}
    assert [each.count for each in grown.entries()] == [0, 1, 2, 1]


def test_parts_of_dates_are_read_in_the_order_they_are_named_in():
    field, _ = learned('date("hour,year,month")', ["2024-05-31 23:59", None])
    assert names_of(field, ["2024-01-01", None]) == [
        ["hour 0", "year 2024", "month 1"],
        ["missing"],
    ]
    assert [each.token for each in field.entries()][-1] == "year 2024"
    assert kind_of('date(" year , month ")').parts == "year,month"


def test_only_dates_to_learn_from_have_years_and_counts():
    values = ["2024-05-31", "2024-01-01", None], ["1999-12-31 10:00", "2024-02-01"], [None]
    field, kept = learned("date", *values, subset=[0, 2])
    assert (field.parts, field.years) == (("year", "month", "weekday", "day"), (2024,))
    counts = {each.token: each.count for each in field.entries() if each.count}
    assert counts == {
        None: 2,
        "month 1": 1,
        "month 5": 1,
        "weekday 1": 1,
        "weekday 5": 1,
        "day 1": 1,
        "day 31": 1,
        "year 2024": 2,
    }
    assert field.rows_of_kept(kept[1])[1] == Coverage(2, 0, 8, 7, unknown=1)
    grown, _ = learned("date", ["2024-01-01", "1999-01-02", "1998-01-02"], start=field)
    assert grown.years == (2024, 1998, 1999)
    assert row_of(grown).items() >= row_of(field).items()
    assert {each.token: each.count for each in grown.entries()}["year 2024"] == 3
    assert learned("date(year)", [None])[0].years == (1970,)  # which nobody reads


@pytest.mark.parametrize(
    "value",
    [
        "31.05.2024",
        "2024-13-01",
        "2023-02-29",
        "2024-05-31 25:00",
        "May",
        "2024",
        "1,5",
        "0000-01-01",
        "10000-01-01",
        "2024-5-31",
        "2024-05-31 24:00",
        "1234567",
        True,
        [1],
        "+9999999999999999999",
        -62135596801,
        "12345678901234567890",
    ],
)
def test_what_is_no_date_is_rejected_with_its_row(value):
    values = pa.array([*(["2024-05-31", None] if isinstance(value, str) else [None] * 2), value])
    with pytest.raises(ValueMistakes) as caught:
        kind_of("date").learner().observe(values)
    assert [(each.row, each.got) for each in caught.value.mistakes] == [(2, value)]


@pytest.mark.parametrize(
    ("number", "date"),
    [
        (19000101, "1900-01-01"),
        (22000100, "1970-09-12"),  # no day: seconds
        (22000101, "1970-09-12"),  # from the year 2200 on they are seconds
        (21991231, "2199-12-31"),
        (20230229, "1970-08-23"),
        (-20240531, "1969-05-11"),
        (10**11 - 1, "5138-11-16"),
        (10**11, "1973-03-03"),
        (10**14 - 1, "5138-11-16"),
        (10**14, "1973-03-03"),
        (10**17 - 1, "5138-11-16"),
        (10**17, "1973-03-03"),
        (-1, "1969-12-31"),
        (-(10**11) - 1, "1966-10-31"),
        (0, "1970-01-01"),
        (253402300799, "1978-01-11"),
    ],
)
def test_a_number_is_a_day_or_a_time_by_its_size(number, date):
    found = seconds_of(pa.array([number, None]))
    days = np.datetime64(0, "s") + found.to_numpy(zero_copy_only=False)[:1].astype("m8[s]")
    assert (str(days[0])[:10], found[1].as_py()) == (date, None)


def test_what_is_written_without_a_date_is_missing():
    values = pa.array([None, "", "  ", "2024-05-31"]), pa.array([float("nan"), None, float("inf")])
    assert seconds_of(values[0]).null_count == 3
    assert seconds_of(values[1]).null_count == 3
    assert seconds_of(pa.nulls(2)).null_count == 2


@pytest.mark.parametrize(
    "values",
    [
        pa.array([None, 2**64 - 1], pa.uint64()),
        pa.array([5, 2**63], pa.uint64()),
        pa.array([None, 1e30]),
        pa.array([5.0, -1e30]),
    ],
)
def test_numbers_beyond_all_times_are_rejected(values):
    with pytest.raises(ValueMistakes) as caught:
        seconds_of(values)
    assert [(each.row, each.got) for each in caught.value.mistakes] == [(1, values[1].as_py())]
    assert seconds_of(pa.array([2**62], pa.uint64())).to_pylist() == [2**62 // 10**9]


def test_times_are_of_the_years_1_to_9999():
    first, last = -62135596800, 253402300799
    known = pa.array([first, None, last], pa.timestamp("s"))
    assert seconds_of(known).to_pylist() == [first, None, last]
    assert seconds_of(pa.array(["0001-01-01", "9999-12-31 23:59:59"])).to_pylist() == [first, last]
    for unknown in (first - 1, last + 1):
        with pytest.raises(ValueMistakes) as caught:
            seconds_of(pa.array([0, unknown], pa.timestamp("s")))
        (mistake,) = caught.value.mistakes
        assert (mistake.row, mistake.got) == (
            1,
            "0000-12-31 23:59:59" if unknown < first else "10000-01-01 00:00:00",
        )


def test_a_time_in_text_may_be_a_number_with_a_sign():
    assert seconds_of(pa.array(["-1234567890", "+1234567890"])).to_pylist() == [
        -1234567890,
        1234567890,
    ]


# Ids


def test_ids_are_rows_as_they_are_but_for_padding():
    field, _ = learned("ids", [[3, 1, 0], [], None])
    assert field.size == 3
    assert rows(field, [[1, 0, 3], [2]]) == [[0, 2], [1]]
    assert rows(field, ["1 3", None, " 2 "]) == [[0, 2], [], [1]]
    assert rows(field, [2, None]) == [[1], []]
    assert rows(field, pa.array(["1 3", None, "2", "1 3"]).dictionary_encode()) == [
        *([0, 2], [], [1], [0, 2])
    ]
    assert field.rows(pa.array(["0 1", None]).dictionary_encode())[1] == Coverage(2, 1, 1, 1)
    assert field.untrained_rows().tolist() == [1]
    with pytest.raises(ValueMistakes) as caught:
        field.rows(pa.array([[1], [2, 4]]))
    assert caught.value.mistakes[0][:3] == (
        1,
        "must be an id from 0 to 3, the largest one of training",
        4,
    )
    grown, _ = learned("ids", [[5]], start=field)
    assert grown.counts.tolist() == [1, 1, 0, 1, 0, 1]
    grown, _ = learned("ids", [[1]], start=field)
    assert grown.counts.tolist() == [1, 2, 0, 1]


def test_ids_that_are_not_to_learn_from_have_rows_that_none_has_read():
    field, kept = learned("ids", [[1, 2, 2], None], [[5, 0], []], subset=[0])
    assert field.counts.tolist() == [0, 1, 2, 0, 0, 0]
    assert field.untrained_rows().tolist() == [2, 3, 4]
    column, coverage = field.rows_of_kept(kept[1])
    assert (column.values.tolist(), column.lengths.tolist()) == ([4], [1, 0])
    assert coverage == Coverage(2, 0, 1, 1)
    assert field.rows_of_kept(kept[0])[1] == Coverage(2, 1, 3, 3)


@pytest.mark.parametrize(
    "values",
    [
        *([[1], [2, None]], [[1], [-1]], ["1", "a"], [[1.0], [1.5]], [[1], [2**31]], ["1", "1.5"]),
        *([None, True], [[], [False]], [None, dt.date(2024, 5, 31)], ["1", "x"]),
    ],
)
def test_what_is_no_id_is_rejected_with_its_row(values):
    array = pa.array(values)
    for each in (array, array.dictionary_encode() if isinstance(values[1], str) else array):
        with pytest.raises(ValueMistakes) as caught:
            kind_of("ids").learner().observe(each)
        assert [mistake.row for mistake in caught.value.mistakes] == [1]


# Pieces of words

TEXTS = ["the lower and the lowest of the low", "the newest, widest wide new thing", None, ""] * 3


def test_pieces_are_learned_with_the_vocabulary():
    pytest.importorskip("tokenizers")
    field, (kept,) = learned("text(bpe=300)", TEXTS)
    again, _ = learned("text(bpe=300)", TEXTS)
    assert again.state()[0] == field.state()[0]
    values = ["Lowest thing", "the unknown ж", None, "", "!"]
    column, coverage = field.rows(pa.array(values))
    one, two = (field.rows(pa.array([f"low{more}"]))[1].unknown for more in ("ж", "жж"))
    assert two == one + 1 > 0  # each letter that no piece has
    assert (coverage.missing, coverage.unknown > 0, coverage.skipped) == (2, True, 0)
    names = names_of(field, values)
    assert "".join(names[0]) == "\u2581lowest\u2581thing"
    assert names[2:] == [[], [], []]
    assert (
        field.rows_of_kept(kept)[0].values.tolist()
        == field.rows(pa.array(TEXTS))[0].values.tolist()
    )
    kind = kind_of("text(bpe=300)")
    saved = kind.fitted.from_state(kind, json.loads(json.dumps(field.state()[0])), field.state()[1])
    for same in (saved, saved.of(kind)):
        assert same.rows(pa.array(values))[0].values.tolist() == column.values.tolist()
    assert field.known_rows(pa.array(["The", "the thing", "ж", None])).tolist() == [
        *(row_of(field)["\u2581the"], -1, -1, -1)
    ]
    grown, _ = learned("text(bpe=300)", ["thing thing zzz"], start=saved)
    assert row_of(grown).items() >= row_of(field).items()


def test_unseen_pieces_are_what_the_text_says():
    pytest.importorskip("tokenizers")
    unknown, skipped, hashed = (
        learned(f"text(bpe=300{more})", TEXTS)[0].rows(pa.array(["lowж"]))[1]
        for more in ("", ", unseen=skip", ", buckets=8")
    )
    assert (unknown.unknown, unknown.skipped, unknown.hashed) == (1, 0, 0)
    assert (skipped.unknown, skipped.skipped, skipped.hashed) == (0, 1, 0)
    assert (hashed.unknown, hashed.skipped, hashed.hashed) == (0, 0, 1)


def test_pieces_of_a_given_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    field, _ = learned("text(bpe=300)", TEXTS)
    path = tmp_path / "tokenizer.json"
    path.write_text(field.state()[0]["tokenizer"])
    specification = f'text(tokenizer="{path}", min_count=1)'
    given_field, _ = learned(specification, ["low \u2581lowest", None, "new"])
    assert names_of(given_field, ["\u2581lowest new"])[0][0] == "\u2581lowest"
    path.unlink()
    kind = parse_field(f"x:{specification}").kind
    saved = kind.fitted.from_state(kind, *given_field.state())
    assert rows(saved, ["low new"]) == rows(given_field, ["low new"])
    assert not kind.shares_with(KINDS["text"]())
    for missing in (tmp_path / "none.json", tmp_path):
        with pytest.raises(ConfigError, match=r"text\(tokenizer\): must be the tokenizer.json"):
            kind_of(f'text(tokenizer="{missing}")').learner()
    path.write_text("{}")
    with pytest.raises(ConfigError, match="must be what tokenizers writes"):
        kind_of(specification).learner()


def test_a_given_tokenizer_gives_the_pieces_of_all_of_a_text_and_no_others(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[UNK]": 0, "[CLS]": 1, "[PAD]": 2, "cat": 3, "dog": 4}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 1)]
    )
    tokenizer.enable_truncation(2)
    tokenizer.enable_padding(pad_id=2, pad_token="[PAD]", length=5)
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str())
    field, _ = learned(f'text(tokenizer="{path}", min_count=1)', ["cat dog dog", "dog", "fox"])
    assert names_of(field, ["dog", "cat dog dog cat", "fox"]) == [
        *(["dog"], ["cat", "dog", "dog", "cat"], ["[UNK]"])
    ]


@pytest.mark.parametrize(
    "options",
    [
        *("bpe=300, ngrams=2", "bpe=300, ngrams=2, shortest=2", "tokenizer=x, bpe=300"),
        "tokenizer=x, lower=false",
    ],
)
def test_options_of_text_that_contradict_each_other_are_rejected(options):
    with pytest.raises(ConfigError, match="must not be given with"):
        kind_of(f"text({options})")


def test_runs_of_words_are_as_long_as_the_shortest_one_at_least():
    with pytest.raises(ConfigError, match=r"text\(ngrams\): must be at least shortest, 3; got 2"):
        kind_of("text(ngrams=2, shortest=3)")


def test_pieces_need_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'object2vec\[text\]'"):
        kind_of("text(bpe=300)").learner()
