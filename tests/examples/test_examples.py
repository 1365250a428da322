"""The four tutorials in their quick mode: they run, they learn, and both ways to measure differ."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from object2vec.cli import main as command_line
from object2vec.devices import set_threads
from object2vec.model import Object2Vec

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Find the scripts, and compute on one thread."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr("object2vec.devices.set_threads", lambda count: set_threads(1))


def run(name, tmp_path, *arguments):
    module = __import__(name)
    return module, module.main(["--quick", "--work", str(tmp_path / "work"), *arguments])


def test_movies_are_rated_recommended_and_compared(tmp_path, capsys):
    module, figures = run("movie_recommendation", tmp_path)
    error = figures["regression"]["mean squared error"]
    assert error < 0.5 * figures["baselines"]["mean of the user"]
    recommendation = figures["classification"]
    assert recommendation["accuracy"] > recommendation["of always saying the same"] + 0.2
    alike = [int(name.split()[1]) % 2 for name in figures["neighbours"].values()]
    assert alike == [module.TERMINATOR % 2] * 5
    assert "Nearest to Movie 195\n  1: Movie" in capsys.readouterr().out


def test_sentences_are_compared_and_the_notebooks_accuracy_is_larger(tmp_path):
    _, figures = run("sentence_similarity", tmp_path)
    for each in figures.values():
        assert each["accuracy"] > 0.6
        assert each["the notebook's accuracy"] == pytest.approx(each["accuracy"] * 1.0133, abs=0.01)
        assert each["the notebook's accuracy"] > each["accuracy"]
        assert {"Pearson", "Spearman"} <= each.keys()
    assert figures.keys() == {"without", "with vectors"}


def test_films_get_their_genres(tmp_path):
    _, figures = run("movie_genres", tmp_path)
    assert figures["notebook"]["F1"] > figures["everything"]["F1"] + 0.2
    assert figures["chosen"]["F1"] > figures["everything"]["F1"] + 0.2
    assert figures["genres"].keys() == {"Comedy", "Crime", "Romance", "Western"}


def test_sentences_find_their_articles(tmp_path):
    _, figures = run("document_embedding", tmp_path)
    found = figures["as in the notebook"]
    assert found["test:accuracy"] > 0.88
    for queries in ("notebook's queries", "queries without leaks"):
        assert found[queries]["mean_rank"] < 8  # 26 by chance


def test_the_notebooks_counts_and_leaks(monkeypatch):
    movies, documents = __import__("movie_recommendation"), __import__("document_embedding")
    counts = movies.explore([(123, 1, 5.0), (7, 1, 4.0), (12, 2, 3.0)])
    assert counts["median users of a movie"] == 1.5
    assert counts["median users of a movie, the notebook's count"] == 3
    article, words = ["a", "b", "c"], {"a": 1, "b": 2, "c": 3}

    class Last:
        def randrange(self, count):
            return count - 1

    for leaks, context in ((True, [1, 2, 1, 2, 3]), (False, [1, 2])):
        assert list(documents.make_pairs([article], words, Last(), leaks=leaks)) == [([3], context)]
    assert list(documents.tokens("In 1984, A4 --")) == ["in", "0000,", "a4", "--"]


def test_real_files_are_read(tmp_path):
    """Each form of data that a tutorial says it reads, in a few lines of its own."""
    movies, sentences = __import__("movie_recommendation"), __import__("sentence_similarity")
    genres, documents = __import__("movie_genres"), __import__("document_embedding")
    for name in ("ua.base", "ua.test"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(b"1\t2\t4\t0\n"))
    (tmp_path / "u.item").write_bytes("2|Été|||\n".encode("latin-1"))
    ratings = [(1, 2, 4.0)]
    assert movies.load(tmp_path, tmp_path, quick=False) == (ratings, ratings, {2: "Été"})

    (tmp_path / "snli_1.0_dev.jsonl").write_text(
        '{"gold_label": "neutral", "sentence1": "A b.", "sentence2": "C?", "pairID": "1"}\n'
        '{"gold_label": "-", "sentence1": "A b.", "sentence2": "C?"}\n'
    )
    (tmp_path / "all_train.tsv").write_text("sentence1\tsentence2\tgold_label\na\tb\tentailment\n")
    assert list(sentences.read_pairs(tmp_path, "dev")) == [("A b.", "C?", 1)]
    assert list(sentences.read_pairs(tmp_path, "train")) == [("a", "b", 0)]
    assert sentences.split("It's a dog!") == ["It's", "a", "dog", "!"]
    assert sentences.to_ranks(np.array([3.0, 1.0, 3.0])).tolist() == [2.5, 1, 2.5]

    (tmp_path / "tmdb_5000_movies.csv").write_text(
        'title,overview,genres\nHeat,"A duel, in LA","[{""id"": 1, ""name"": ""Crime""}]"\nX,,[]\n'
    )
    assert list(genres.read(tmp_path)) == [("Heat", "A duel, in LA", frozenset({"Crime"}))]

    (tmp_path / "articles.txt").write_text("one\ttwo\nalone\nthree\t\tfour\n")
    found = list(documents.read_articles(tmp_path / "articles.txt"))
    assert found == [["one", "two"], ["three", "four"]]


def test_an_archive_is_checked_and_cannot_write_elsewhere(tmp_path):
    tutorials = __import__("tutorials")
    archive = tmp_path / "data.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("a/../../evil.txt", "x")
        packed.writestr("folder/good.txt", "y")
    url = "https://example.org/data.zip"
    tutorials.fetch(url, tmp_path, tutorials.digest(archive))
    assert {path.name for path in tmp_path.iterdir()} == {"data.zip", "evil.txt", "good.txt"}
    with pytest.raises(SystemExit, match=r"data\.zip: must have the SHA-256 00; got"):
        tutorials.fetch(url, tmp_path, "00")


DOCS = EXAMPLES.parent / "docs"


def python_blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def test_the_pages_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    records = "".join(f'{{"in0": [{i}], "in1": [{i}], "label": {i % 2}}}\n' for i in (1, 2, 3, 4))
    Path("train.jsonl").write_text(records)
    names = {}
    Object2Vec(
        enc0_network="pooled_embedding", enc0_max_seq_len=1, enc0_vocab_size=5, enc_dim=4, epochs=1
    ).fit("train.jsonl", save_to="model")
    Path("test.jsonl").write_text(records)
    exec(compile(python_blocks("batch.md")[0], "docs/batch.md", "exec"), names)
    assert (names["report"].done, names["report"].failed) == ({"test.jsonl": 4}, {})
    own_image = [block for block in python_blocks("sagemaker.md") if "METRIC_DEFINITIONS" in block]
    assert len(own_image) == 1
    compile(own_image[0], "docs/sagemaker.md", "exec")


def test_the_pages_name_options_that_exist(capsys):
    assert command_line(["transform", "--help"]) == 0
    usage = capsys.readouterr().out
    options = [
        line.split("`")[1]
        for line in (DOCS / "batch.md").read_text().splitlines()
        if line.startswith("| `--")
    ]
    assert len(options) == 7
    assert all(option in usage for option in options)
