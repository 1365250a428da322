"""What a field is, in a few characters."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from object2vec.config.kinds import Boolean, Choice, Integer
from object2vec.errors import ConfigError
from object2vec.fields.declare import Token, Tokens
from object2vec.fields.kinds import KINDS
from object2vec.fields.specification import Field, parse_field


def values(each):
    """Values that an option may have."""
    rule = each.metadata["value"]
    if isinstance(rule, Integer):
        return st.integers(rule.low, rule.high or 10**6)
    if isinstance(rule, Choice):
        return st.sampled_from(rule.values)
    if isinstance(rule, Boolean):
        return st.booleans()
    return st.text(min_size=1).filter(lambda text: _is_unicode(text))


def _is_unicode(text):
    return text.encode(errors="replace").decode() == text


@st.composite
def kinds(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    options = [each for each in fields(KINDS[kind]) if draw(st.booleans())]
    try:
        return KINDS[kind](**{each.name: draw(values(each)) for each in options})
    except ConfigError:  # options that contradict each other
        return KINDS[kind]()


@given(st.text(min_size=1).filter(_is_unicode), st.none() | kinds())
def test_a_specification_is_read_as_it_is_written(column, kind):
    field = Field(column, kind)
    assert parse_field(field.specification()) == field


@pytest.mark.parametrize(
    ("text", "column", "kind"),
    [
        ("user", "user", None),
        ("user.id", "user.id", None),
        (" first name : token ", "first name", KINDS["token"]()),
        ("'a:b':token", "a:b", KINDS["token"]()),
        ('"a\\"b"', 'a"b', None),
        ('g:tokens("|")', "g", KINDS["tokens"]("|")),
        ("g:tokens(',', min_count=2)", "g", KINDS["tokens"](",", min_count=2)),
        ("g:tokens( separator = ';' )", "g", KINDS["tokens"](";")),
        ("g:tokens()", "g", KINDS["tokens"]()),
        ("u:token(unseen=skip, max_size=10)", "u", KINDS["token"](unseen="skip", max_size=10)),
    ],
)
def test_a_field_is_read(text, column, kind):
    assert parse_field(text) == Field(column, kind)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must begin with the name of a column"),
        (":token", "must begin with the name of a column"),
        (
            "user:tokn",
            r"user: must be of a known kind; got 'tokn'\. Did you mean token\? T",
        ),
        ("user:", "user: must be of a known kind; got ''"),
        ("user:token x", "user: must be followed by a kind alone; got ':token x'"),
        ("user:token(3)", r"user:token: must name all its options; got 3\. Name them: weight, min"),
        ("g:tokens('|', 3)", "g:tokens: must name all its options but separator; got 3"),
        (
            "user:token(min_cont=3)",
            r"must have known options; got 'min_cont'\. Did you mean min",
        ),
        ("user:token(min_count=0)", r"user:token\(min_count\): must be an integer >= 1; got 0\."),
        ("user:token(min_count=x)", r"must be an integer >= 1; got 'x'"),
        ("g:tokens('')", "must be text of one character or more; got ''"),
        (
            "g:tokens(min_count=2, '|')",
            "must have each option once, and those without a name",
        ),
        ("g:tokens(min_count=2, min_count=3)", "must have each option once"),
        ("g:tokens('|', separator='|')", "must have each option once; got 'separator'"),
        ("g:tokens(, )", "must have options that are divided by commas"),
        ("g:tokens(a b)", "must have options that are divided by commas"),
        ("g:tokens(,)", "must have options that are divided by commas"),
        (r'g:tokens("\|")', "must be text as JSON writes it"),
        ("u:token(buckets=3, unseen=skip)", "must be buckets if buckets are given; got 'skip'"),
        ("u:token(unseen=error, min_count=2)", "must not be given if other tokens are an error"),
        ("u:token(unseen=error, max_size=2)", "must not be given if other tokens are an error"),
    ],
)
def test_what_is_no_field_is_rejected(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_field(text)


@pytest.mark.parametrize(
    ("kind", "option", "least", "most"),
    [
        ("number", "bins", 2, 10_000),
        ("characters", "longest", 3, 20),
        ("characters", "buckets", 1, 250_000_000),
        ("text", "ngrams", 1, 5),
        ("text", "bpe", 300, 1_000_000),
        ("text", "min_count", 1, None),
        ("token", "max_size", 0, None),
        ("token", "buckets", 1, 250_000_000),
        ("ipv4", "min_count", 1, None),
        ("token", "weight", 0.01, 100),
    ],
)
def test_options_have_limits(kind, option, least, most):
    step = 0.001 if isinstance(least, float) else 1
    for value in (least, most or 10**12):
        assert getattr(parse_field(f"x:{kind}({option}={value})").kind, option) == value
    for value in [least - step, *([most + step] if most else [])]:
        with pytest.raises(ConfigError, match=rf"{option}\): must be .*; got {value}"):
            parse_field(f"x:{kind}({option}={value})")


def test_fields_are_declared_in_python():
    assert Token("user") == parse_field("user:token")
    assert Tokens("genres", "|", min_count=2) == parse_field('genres:tokens("|", min_count=2)')
    assert str(inspect.signature(Tokens)).startswith("(column, separator: 'str' = ' ', *, weight")
    with pytest.raises(ConfigError, match="Did you mean min_count"):
        Token("user", min_cuont=2)
