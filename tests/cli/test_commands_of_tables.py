"""The commands that issue 11 promises, as they are written there, on small tables of our own."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

TRAIN = {
    "ratings": r"""
object2vec train --train ratings.csv --in0 user --in1 film --label rating --out model
""",
    "faq": r"""
object2vec train --train faq.parquet --in0 question:text --in1 answer:text --out model
""",
    "films": r"""
object2vec train --train films.csv --in0 overview:text --in1 'genres:tokens("|")' --out model
""",
    "logins": r"""
object2vec train --train logins.csv --columns account,address --in0 account --in1 address:ipv4 \
    --out model
""",
    "plays": r"""
object2vec train --train plays.tsv --in0 user --in0 'history:tokens(" ")' --in0 age --in1 film \
    --in1 'genres:tokens("|")' --out model
""",
}
CHECK = "object2vec check ratings.csv --in0 user --in1 film --label rating"
ENCODE = "object2vec encode model --side in1 films.csv --out films.npy"
LINES = r"printf 'a large animal with a trunk\n' | object2vec encode model --side in1 --lines"
PREDICT = "object2vec predict model new.csv > scores.jsonl"
EVALUATE = "object2vec evaluate model test.csv"
VOCABULARY = "object2vec vocabulary model --side in0 | head"

PLOTS = {
    "drama": "a family keeps an old secret in a small town",
    "comedy": "a clown and a bank clerk swap their jobs for a joke",
    "space": "a crew repairs a broken star ship near the moon",
}


def write_csv(name, header, rows, separator=","):
    with Path(name).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        writer.writerows([*([header.split(",")] if header else []), *rows])


def make_tables():
    draw = random.Random(0)
    users, genres = [f"user{n}" for n in range(12)], sorted(PLOTS)
    films = [
        (f"Film {n}", PLOTS[genres[n % 3]], "|".join({genres[n % 3], genres[n % 2]}))
        for n in range(9)
    ]
    ratings = [(u, f, 1 + (int(u[4:]) + i) % 5) for u in users for i, (f, _, _) in enumerate(films)]
    write_csv("ratings.csv", "user,film,rating", ratings)
    write_csv("test.csv", "user,film,rating", ratings[::5])
    write_csv("new.csv", "film,user", [(f, u) for u, f, _ in ratings[:4]])
    write_csv("films.csv", "film,overview,genres", films * 4)
    asked = [f"how is the {word} of a {word}" for word in "trunk animal river letter".split()]
    faq = {"question": asked * 20, "answer": [f"the {text[11:]} is large" for text in asked] * 20}
    pq.write_table(pa.table(faq), "faq.parquet")
    logins = [
        (draw.choice(users), f"10.{draw.randrange(4)}.7.{draw.randrange(256)}") for _ in range(200)
    ]
    write_csv("logins.csv", "", logins)
    seen = [" ".join(draw.sample([f"film{n}" for n in range(9)], 3)) for _ in users]
    plays = [
        (user, history, 18 + 3 * number, film, marks)
        for number, (user, history) in enumerate(zip(users, seen, strict=True))
        for film, _, marks in films
    ]
    write_csv("plays.tsv", "user,history,age,film,genres", plays, "\t")


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A function that runs a command line in a folder with the tables, by bash."""
    folder = tmp_path_factory.mktemp("tables")
    here = Path.cwd()
    os.chdir(folder)
    try:
        make_tables()
    finally:
        os.chdir(here)
    names = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OBJECT2VEC_CACHE": str(folder / "cache"),
        "OMP_NUM_THREADS": "1",
    }

    def run(command, model=None):
        if model is not None:
            command = command.replace(" model", f" {model}")
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=folder,
            env={**os.environ, **names},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, 141), done.stderr
        return done

    run.folder = folder
    for name, command in TRAIN.items():
        done = run(command, f"{name}-model")
        (folder / f"{name}.log").write_text(done.stderr)
    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAIN)
def test_a_table_is_learned_as_it_is(name, shell):
    log = (shell.folder / f"{name}.log").read_text()
    assert "columns\n  in0  " in log
    assert "done: " in log
    assert (shell.folder / f"{name}-model/schema.json").exists()


@pytest.mark.slow
def test_check_says_what_is_in_a_table(shell):
    said = shell(CHECK).stdout
    assert "user" in said
    assert "108" in said


@pytest.mark.slow
def test_encode_finds_the_columns_by_their_names(shell):
    shell(ENCODE, "ratings-model")
    vectors = np.load(shell.folder / "films.npy")
    assert len(vectors) == 36
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors, axis=0)) == 9


@pytest.mark.slow
def test_encode_takes_lines_of_text(shell):
    (line,) = shell(LINES, "faq-model").stdout.splitlines()
    vector = json.loads(line)["embeddings"]
    assert np.any(vector)


@pytest.mark.slow
def test_predict_and_evaluate_read_tables(shell):
    shell(PREDICT, "ratings-model")
    lines = (shell.folder / "scores.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert all(len(json.loads(line)["scores"]) == 1 for line in lines)
    assert "mean_squared_error" in json.loads(shell(EVALUATE, "ratings-model").stdout)


@pytest.mark.slow
def test_vocabulary_lists_tokens(shell):
    said = shell(VOCABULARY, "ratings-model").stdout
    assert 2 < len(said.splitlines()) <= 10
    assert "user1" in said
    objects = [
        json.loads(x)
        for x in shell(VOCABULARY.replace("| head", "--json"), "ratings-model").stdout.splitlines()
    ]
    assert objects
