"""Rows per second from a CSV of strings to numbered columns.

Two columns of names: 2 million rows, 100,000 users and 20,000 films by Zipf's law. Ours is `learn`
with an empty cache: tokens counted and numbered, ids checked and in the files of the cache at the
end, ready for epochs; a thread flushes them to the disk behind it. Beside it, readers that stop at
numbers in memory, in order of appearance: pandas' ``read_csv`` and ``factorize``, polars'
``read_csv`` and ``to_physical`` of categories, pyarrow's dictionary columns (each block with one of
its own: numbers are not comparable yet).

Two columns of texts: 100,000 rows of 20 + 20 words. Beside ours, Hugging Face's tokenizers: a
vocabulary of words trained on the texts, and their ids.

No data needed; each peer where it is installed.
"""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from benchmarks.common import save, speed_parser
from benchmarks.race import Work, race, show

NAMES, USERS, FILMS = 2_000_000, 100_000, 20_000
TEXTS, WORDS, VOCABULARY = 100_000, 20, 50_000

NAMED, WRITTEN = ("user:token", "film:token"), ("question:text", "reply:text")


def main() -> None:
    """Race the readers on both files."""
    given = speed_parser(__doc__, rounds=5).parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        cache, names, texts = (Path(folder) / name for name in ("cache", "names.csv", "texts.csv"))
        _write_names(names)
        raced = race(
            {
                "object2vec": (ours, (names, cache, NAMED)),
                "pandas": (pandas, (names,)),
                "polars": (polars, (names,)),
                "pyarrow": (arrow, (names,)),
            },
            given.rounds,
        )
        results += [{"columns": "names", "of": of, **figures} for of, figures in raced.items()]
        _write_texts(texts)
        raced = race(
            {
                "object2vec": (ours, (texts, cache, WRITTEN)),
                "tokenizers": (tokenizers, (texts,)),
            },
            given.rounds,
        )
        results += [{"columns": "texts", "of": of, **figures} for of, figures in raced.items()]
    show("rows/s", results)
    sizes = {"names": NAMES, "users": USERS, "films": FILMS, "texts": TEXTS, "words": WORDS}
    save("table_reading", {**sizes, "results": results}, given)


def _zipf(generator: np.random.Generator, count: int, shape: Any) -> np.ndarray[Any, Any]:
    """Return numbers below `count` whose frequencies fall as their ranks rise."""
    weights = 1 / np.arange(1, count + 1)
    return generator.choice(count, shape, p=weights / weights.sum())


def _write_names(path: Path) -> None:
    generator = np.random.default_rng(0)
    users, films = (_zipf(generator, count, NAMES) for count in (USERS, FILMS))
    with path.open("w", encoding="utf-8") as file:
        file.write("user,film\n")
        file.writelines(
            f"user{u:07d},film {f}\n" for u, f in zip(users.tolist(), films.tolist(), strict=True)
        )


def _write_texts(path: Path) -> None:
    generator = np.random.default_rng(0)
    words = np.array([f"word{i:x}" for i in range(VOCABULARY)])
    with path.open("w", encoding="utf-8") as file:
        file.write("question,reply\n")
        for row in words[_zipf(generator, VOCABULARY, (TEXTS, 2, WORDS))]:
            file.write(f"{' '.join(row[0])},{' '.join(row[1])}\n")


def ours(path: Path, cache: Path, sides: tuple[str, str]) -> Work:
    """Return a function that learns the columns and writes their ids to the disk."""
    from object2vec.fields.specification import parse_field
    from object2vec.fields.table_schema import TableSchema
    from object2vec.reading.learning import learn
    from object2vec.reading.tables import open_table

    first, second = (parse_field(side) for side in sides)
    schema = TableSchema(((first,), (second,)))

    rounds = count()

    def read() -> float:
        with patch.dict(os.environ, OBJECT2VEC_CACHE=str(cache / str(next(rounds)))):
            return learn({"train": open_table(path)}, schema).facts["train"].records

    return read


def pandas(path: Path) -> Work:
    """Return the same by pandas."""
    import pandas as pd

    def read() -> float:
        frame = pd.read_csv(path)
        return len([pd.factorize(frame[name]) for name in frame] and frame)

    return read


def polars(path: Path) -> Work:
    """Return the same by polars, which uses every core."""
    import polars as pl

    def read() -> float:
        frame = pl.read_csv(path)
        return frame.select(pl.all().cast(pl.Categorical).to_physical()).height

    return read


def arrow(path: Path) -> Work:
    """Return the same by pyarrow, which uses every core, up to numbers by block."""
    import pyarrow as pa
    from pyarrow import csv

    kind = pa.dictionary(pa.int32(), pa.string())
    options = csv.ConvertOptions(column_types={"user": kind, "film": kind})

    def read() -> float:
        return csv.read_csv(path, convert_options=options).num_rows

    return read


def tokenizers(path: Path) -> Work:
    """Return the words of texts by tokenizers, which uses every core."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def read() -> float:
        rows = path.read_text(encoding="utf-8").splitlines()[1:]
        texts = [text for row in rows for text in row.split(",")]
        tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        trainer = trainers.WordLevelTrainer(vocab_size=10**9, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        return len(tokenizer.encode_batch_fast(texts)) // 2

    return read


if __name__ == "__main__":
    main()
