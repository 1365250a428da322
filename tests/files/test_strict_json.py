"""JSON that says one thing only: no name twice, every number finite, every mistake a ValueError."""

import pytest

from object2vec.files.json import strict_json


@pytest.mark.parametrize("text", ['{"a": [1, 2.5, null, true, "x"], "b": {"a": {}}}', "7", b"[]"])
def test_what_is_strict_is_read_as_json(text):
    import json

    assert strict_json(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "b": 2, "a": 1}', "a name that stands twice: 'a'"),
        ('[{"x": {"b": 1, "b": 2}}]', "a name that stands twice: 'b'"),
        ("[NaN]", "the number NaN"),
        ("[-Infinity]", "the number -Infinity"),
        ("1e999", "the number 1e999"),
        ("[" * 100_000, "the nesting too deep"),
        ("1" * 5000, "a number is too long"),
        ("{", "Expecting property name"),
        (b"\xff", "no utf-8 text at byte 0"),
    ],
)
def test_what_is_not_says_why(text, message):
    with pytest.raises(ValueError, match=message):
        strict_json(text)
