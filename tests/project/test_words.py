"""The code and the pages keep to the glossary of CONTRIBUTING.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
CODE = sorted((ROOT / "src").rglob("*.py"))
FILES = [
    *CODE,
    *sorted((ROOT / "examples").glob("*.py")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
]


def without():
    """The words that the glossary does without."""
    table = CONTRIBUTING.read_text(encoding="utf-8").partition("| not | but |")[2]
    return [
        word for row in re.findall(r"^\| ([a-z, ]+) \|", table, re.M) for word in row.split(", ")
    ]


def found(text):
    """Lines of a text with one of these words, part of a name or not, as `line: word`."""
    pattern = re.compile(rf"(?<![a-z])(?<!in )({'|'.join(without())})(?![a-z])", re.IGNORECASE)
    lines = enumerate(text.split("\n"), 1)
    return [f"{number}: {word}" for number, line in lines for word in pattern.findall(line)]


def answers(text):
    """Lines of code in which something that is no text of a pair is called an answer."""
    pattern = r"(?<![a-z])(?<!questions and )(?<!always the same )answer(s|ed|ing)?(?![a-z])"
    return [line for line in text.split("\n") if re.search(pattern, line, re.IGNORECASE)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_words_with_several_meanings_are_not_used(path):
    assert found(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_answers_are_data_alone(path):
    assert answers(path.read_text(encoding="utf-8")) == []


def test_such_words_would_be_seen():
    assert len(without()) > 8
    assert found("a\nfirst_place = 1  # where it is told\nin place\nplaceholder, replace") == [
        "2: place",
        "2: told",
    ]
    assert found("Refused, TURNED") == ["1: Refused", "1: TURNED"]
    assert answers("x\n_answered = 1\nquestions and answers\nIt answers.") == [
        "_answered = 1",
        "It answers.",
    ]
