"""Small examples on made-up tables print what they promise."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def printed(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "least"),
    [("customers_from_transactions", 90), ("products_from_titles", 90), ("football_players", 85)],
)
def test_neighbours_are_of_the_same_sort(name, least, capsys):
    (share,) = re.findall(r": (\d+)%", printed(name, capsys))
    assert int(share) >= least


def test_sentences_find_others_of_their_topic(capsys):
    lines = printed("sentences_from_neighbours", capsys).splitlines()
    topics = ("rain|wind|cloud|storm|sun|snow", "flour|butter|oven|salt|sugar|dough")
    for line, words in zip(lines, topics, strict=False):
        assert re.search(words, line.partition("->")[2]), line


def test_the_tables_of_the_page_are_always_the_same(tmp_path):
    main = runpy.run_path(str(EXAMPLES / "make_tables.py"))["main"]
    (tmp_path / "again").mkdir()
    main(tmp_path)
    main(tmp_path / "again")
    for path in tmp_path.glob("*.csv"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
        assert len(path.read_text().splitlines()) > 40
