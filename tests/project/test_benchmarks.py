"""The benchmarks in quick mode, on small data of the same form as the real ones."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import zstandard

ROOT = Path(__file__).parents[2]
MOVIES, USERS, RATINGS = 200, 8, 30


@pytest.fixture(autouse=True)
def _import_from_root(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def run(tmp_path):
    def run(module, data, *words):
        arguments = ["--quick", "--data", str(data), "--results", str(tmp_path), "--seeds", "2"]
        module.main([*arguments, *words])
        return {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}

    return run


@pytest.fixture
def movielens_data(tmp_path):
    """Ratings that a user and a movie decide together, in the files of MovieLens 100K."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "movielens"
    folder.mkdir()
    rows = [
        (user, movie, 1 + (user + movie) % 5, 0)
        for user in range(1, USERS + 1)
        for movie in generator.permutation(np.arange(1, MOVIES + 1))[:RATINGS]
    ]
    rows += [(1, 195, 3, 0)]
    for name, part in (("ua.base", rows[:-40] + rows[-1:]), ("ua.test", rows[-40:-1])):
        text = "".join("\t".join(map(str, row)) + "\n" for row in part)
        (folder / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    lines = [
        f"{movie}|Movié {movie} (1990)|01-Jan-1990||url|"
        + "|".join("1" if (movie - genre) % 5 == 0 else "0" for genre in range(19))
        for movie in range(1, MOVIES + 1)
    ]
    (folder / "u.item").write_text("\n".join([*lines, ""]), encoding="latin-1")
    return folder


@pytest.fixture
def _in_process(monkeypatch, capsys):
    """Run the command line without starting a process for each command."""
    from benchmarks import movielens

    from object2vec.cli import main

    def run(*words):
        capsys.readouterr()
        assert main(words) == 0
        return capsys.readouterr().out

    monkeypatch.setattr(movielens, "_object2vec", run)


@pytest.mark.usefixtures("_in_process")
def test_movielens(run, movielens_data):
    from benchmarks import movielens

    found = run(movielens, movielens_data)
    assert found.keys() == {f"movielens_{n}" for n in ("rating", "like", "choose", "ours")}
    rating = found["movielens_rating"]
    assert [run["seed"] for run in rating["runs"]] == [0, 1]
    best = [min(e["validation"]["mean_squared_error"] for e in r["curve"]) for r in rating["runs"]]
    assert rating["best_validation_mse"]["values"] == best
    assert rating["best_validation_mse"]["mean"] == pytest.approx(np.mean(best))
    assert {"command", "date", "commit", "machine", "versions", "threads"} <= rating.keys()
    trials = found["movielens_choose"]["trials"]
    assert {trial["name"] for trial in trials} == movielens.TRIALS.keys()
    assert [t["best_mse"] for t in trials] == sorted(t["best_mse"] for t in trials)
    nearest = found["movielens_like"]["nearest"]
    assert nearest["of"] == "Movié 195 (1990)"
    distances = [movie["distance"] for movie in nearest["movies"]]
    assert distances == sorted(distances)
    assert 195 not in [movie["id"] for movie in nearest["movies"]]
    ours = [run["test"]["mean_squared_error"] for run in found["movielens_ours"]["runs"]]
    assert found["movielens_ours"]["test_mse"]["values"] == ours


def test_movielens_runs_the_installed_command_line():
    from benchmarks import movielens

    assert "Usage: object2vec train" in movielens._object2vec("train", "--help")
    with pytest.raises(SystemExit, match=r"(?s)object2vec nonsense failed:.*No such command"):
        movielens._object2vec("nonsense")


def test_movielens_holds_out_ten_ratings_of_each_user_and_half_at_most():
    from benchmarks import movielens

    ratings = np.array([(u, m, 3) for u, n in ((1, 50), (2, 8)) for m in range(n)])
    fit, held_out = movielens._held_out(ratings)
    assert np.bincount(held_out[:, 0]).tolist() == [0, 10, 4]
    assert sorted(map(tuple, [*fit, *held_out])) == list(map(tuple, ratings))


def test_cold_start(run, movielens_data):
    from benchmarks import cold_start

    found = run(cold_start, movielens_data)["cold_start"]
    assert found["results"].keys() == cold_start.PARTS.keys()
    for part in found["results"].values():
        assert {"chance", "popularity", "mean vector", *cold_start.IDS} <= part.keys()
        for measured in part.values():
            assert [len(measured[name]["values"]) for name in cold_start.MEASURES] == [2] * 4
            assert all(0 <= measured[name]["mean"] <= 1 for name in cold_start.MEASURES[:3])
    assert [(r["part"], r["seed"]) for r in found["runs"]] == [
        (part, seed) for part in cold_start.PARTS for seed in range(2) for _ in cold_start.IDS
    ]


def test_cold_start_compares_settings_on_their_own_users_and_films(run, movielens_data):
    from benchmarks import cold_start

    trials = run(cold_start, movielens_data, "--choose")["cold_start_choose"]["trials"]
    assert [(trial["part"], trial["name"]) for trial in trials] == [
        (part, name) for part in cold_start.PARTS for name in cold_start.TRIALS
    ]


@pytest.fixture
def likes(movielens_data):
    from benchmarks import cold_start

    return cold_start.read(movielens_data)


def test_cold_start_reads_what_is_said_of_films(likes):
    film = int(likes.films[0])
    assert likes.facts["title"][film] == f"Movié {film}"
    assert likes.facts["year"][film] == "1990"
    assert len(likes.facts["genres"][film].split("|")) in (3, 4)


def test_cold_start_trains_on_no_film_that_is_in_its_own_history(likes):
    from benchmarks import cold_start

    rows = cold_start.rows_of(likes)
    history = cold_start.histories(likes)
    for user, others, film in zip(rows["user"], rows["history"], rows["film"], strict=True):
        assert sorted([*others, str(film)]) == sorted(history[user])


@pytest.mark.parametrize("part", ["users", "films"])
@pytest.mark.parametrize("seed", [0, 1])
def test_cold_start_leaves_objects_out_as_a_whole(likes, part, seed):
    from benchmarks import cold_start

    left = cold_start.left_out(likes, part, seed)
    test = cold_start.PARTS[part](likes, left, seed)
    assert not {*left} & {*cold_start.left_out(likes, part, None)}
    texts = {str(each) for each in left}
    if part == "users":
        assert not texts & {*map(str, test.rows["user"])}
        counted = np.bincount(likes.users)[likes.users[np.isin(likes.users, left)]]
        assert test.found.sum() + test.history.sum() <= len(counted)
        difference = test.found.sum(axis=1) - test.history.sum(axis=1)
        assert {*difference.tolist()} <= {0, 1}
        assert not (test.found & test.history).any()
        films = np.array(test.candidates["film"])
        for own, marked in zip(test.objects["history"], test.history, strict=True):
            assert sorted(map(int, own)) == films[marked].tolist()
    else:
        assert not texts & {*map(str, test.rows["film"])}
        seen = (film for column in ("history",) for each in test.rows[column] for film in each)
        assert not texts & {*seen}
        assert test.found.sum() == np.isin(likes.films, left).sum()
    counts = np.unique(likes.films if part == "users" else likes.users, return_counts=True)
    assert test.popularity.sum() == len(test.rows["film"]) < counts[1].sum()


def test_cold_start_measures_what_stands_first():
    from benchmarks import cold_start

    found, history = np.zeros((2, 30), bool), np.zeros((2, 30), bool)
    found[0, [1, 3]] = found[1, 25] = history[0, 0] = True
    test = cold_start.Test({}, 0, {}, {}, np.ones(30), found, history)
    measured = cold_start.measures(-np.tile(np.arange(30.0), (2, 1)), test, 0)
    gains = 1 / np.log2([2, 4]), 1 / np.log2([2, 3])
    assert measured == pytest.approx(
        {
            "NDCG@10": gains[0].sum() / gains[1].sum() / 2,
            "recall@20": 0.5,
            "MRR": (1 + 1 / 26) / 2,
            "mean rank": (2 + 26) / 2,
        }
    )


def test_cold_start_ranks_equal_candidates_by_chance():
    from benchmarks import cold_start

    found = np.zeros((1, 1000), bool)
    found[0, 0] = True
    test = cold_start.Test({}, 0, {}, {}, np.ones(1000), found, ~found & False)
    ranks = [cold_start.measures(np.zeros((1, 1000)), test, s)["mean rank"] for s in range(40)]
    assert 350 < np.mean(ranks) < 650


def test_cold_start_leaves_ids_out_of_a_share_of_the_rows():
    from benchmarks import cold_start

    rows = {"user": [*range(1000)], "film": [*range(1000)]}
    found = cold_start.without_ids(rows, "user", 0.5, 0)
    assert found["film"] == rows["film"]
    assert all(user in (None, i) for i, user in enumerate(found["user"]))
    assert 400 < found["user"].count(None) < 600
    assert found == cold_start.without_ids(rows, "user", 0.5, 0)
    assert cold_start.without_ids(rows, "user", 0.0, 0) == rows


@pytest.fixture
def documents_data(tmp_path):
    """Articles that each keep to a few words of their own."""
    generator = np.random.default_rng(0)
    articles = [
        "\t".join(
            " ".join(f"w{topic % 30}x{word}" for word in generator.integers(0, 6, 9))
            for _ in range(4)
        )
        for topic in range(300)
    ]
    path = tmp_path / "articles.txt.zst"
    path.write_bytes(zstandard.compress("\n".join(articles).encode()))
    return path


def test_documents(run, documents_data):
    from benchmarks import documents

    found = run(documents, documents_data)
    assert found.keys() == {"documents_one", "documents_eight"}
    assert [run["pairs"] for run in found["documents_one"]["runs"]] == [180, 180]
    assert [run["pairs"] for run in found["documents_eight"]["runs"]] == [720, 720]  # 4 sentences
    for result in found.values():
        retrieval = result["runs"][0]["retrieval"]
        assert 1 <= retrieval["mean_rank"] <= 100
        assert result["runs"][0]["retrieval_whole"] == retrieval  # no article has 50 tokens
        assert result["tf_idf"]["retrieval_whole"] == result["tf_idf"]["retrieval"]


def test_retrieval(run, documents_data):
    from benchmarks import retrieval

    found = run(retrieval, documents_data, "--run", "short", "--set", "epochs=3")["retrieval"]
    assert found["rows"].keys() == {"BM25", "object2vec, short", "BM25 + object2vec, short"}
    for row in found["rows"].values():
        assert 1 <= row["mean_rank"]["mean"] <= 6  # of 60; two articles share their words
        assert row["hits@10"]["min"] > 0.8
    assert found["rows"]["object2vec, short"]["seconds"]["mean"] > 0


def test_a_results_file_of_retrieval_keeps_what_was_not_measured_again(tmp_path):
    from benchmarks.retrieval import _beside_earlier

    first = {"command": "one", "date": "2026-01-01", "commit": "a"}
    rows = {"BM25": 1, "object2vec, long": 2, "object2vec, short": 3, "object2vec, gone": 4}
    path = tmp_path / "retrieval.json"
    assert _beside_earlier(rows, path) == {"rows": rows, "earlier": {}}
    path.write_text(json.dumps(first | _beside_earlier(rows, path)))
    second = _beside_earlier({"BM25": 5, "object2vec, short": 6}, path)
    assert second == {
        "rows": {"object2vec, long": 2, "BM25": 5, "object2vec, short": 6},
        "earlier": {"object2vec, long": first},
    }
    path.write_text(json.dumps({"command": "two", "date": "x", "commit": "b"} | second))
    third = _beside_earlier({"BM25": 7}, path)
    assert third["earlier"]["object2vec, long"] == first  # not the file that kept it
    assert third["earlier"]["object2vec, short"]["command"] == "two"


def test_settings_of_retrieval_are_chosen_by_articles_that_nothing_learns_from(documents_data):
    from benchmarks.splits import retrieval

    given = retrieval(documents_data, dev=20, test=60)
    chosen = given.to_choose_by()
    assert len(chosen.dev.rests) == len(chosen.dev.sentences) == len(chosen.test.rests) == 60
    assert chosen.dev.rests[:20] == given.dev.rests
    assert chosen.train == given.train[40:]
    assert chosen.test is given.test
    for article, sentence, rest in zip(
        given.train, chosen.dev.sentences[20:], chosen.dev.rests[20:], strict=False
    ):
        words = sorted(word for each in article for word in each)
        assert sorted([*sentence, *rest]) == words
        assert sentence in article


@pytest.mark.parametrize(
    ("quirk", "sentence", "rest"),
    [
        (False, 0, [3, 4, 5, 6]),
        (True, 0, [3, 4, 5, 6]),
        (False, 2, [1, 2, 3, 4]),
        (True, 2, [1, 2, 3, 4, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_documents_leave_the_sentence_out_unless_the_notebooks_leak_is_wanted(
    quirk, sentence, rest
):
    from benchmarks import documents

    article = documents.Article(np.arange(1, 7, dtype=np.int32), np.array([0, 2, 4, 6]))
    in0, in1 = article.split(sentence, quirk=quirk)
    assert in0.tolist() == [2 * sentence + 1, 2 * sentence + 2]
    assert in1.tolist() == rest


@pytest.mark.parametrize(
    ("token", "normal"),
    [
        ("Word", "word"),
        ("1905", "0000"),
        ("1,905.5", "0,000.0"),
        ("b2b", "b2b"),
        ("é1", "é1"),
        ("_7", "_0"),
        (".", "."),
    ],
)
def test_documents_write_0_for_digits_of_tokens_without_letters(token, normal):
    from benchmarks import documents

    assert documents._normal(token) == normal


@pytest.fixture
def nli_data(tmp_path):
    """Small sets whose label is a word of the second sentence."""
    generator = np.random.default_rng(0)
    sides = {"entailment": "yes", "neutral": "perhaps", "contradiction": "no"}

    def rows(name, count):
        for index in range(count):
            label = list(sides)[generator.integers(3)]
            yield {
                "sentence1": f"{name} scene {index}",
                "gold_label": label,
                "sentence2": f"{sides[label]} it is {name} {index}",
            }

    def write(path, columns, records):
        lines = [columns, *([record[column] for column in columns] for record in records)]
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress("".join("\t".join(x) + "\n" for x in lines).encode()))

    folder = tmp_path / "nli"
    folder.mkdir()
    order = ["sentence1", "sentence2", "gold_label"]
    for name, count in (("train", 90), ("dev", 20), ("test", 20)):
        path = folder / f"snli_counterfactual/all_combined_{name}.tsv.gz"
        write(path, order, rows(name, count))
    write(folder / "snli_devtest/esnli_tok_dev.tsv.gz", order[::-1], rows("snli", 60))
    vectors = "".join(f"{w} " + " ".join(["0.5"] * 50) + "\n" for w in ("yes", "no", "elsewhere"))
    (folder / "glove_6b_50d").mkdir()
    path = folder / "glove_6b_50d/glove.6B.50d.top50k.txt.gz"
    path.write_bytes(gzip.compress(vectors.encode()))
    return folder


def test_nli(run, nli_data):
    from benchmarks import nli

    found = run(nli, nli_data)["nli"]
    assert found["pairs"] == {"train": 90, "dev": 20, "test": 20}
    names = ["object2vec hcnn", "object2vec bilstm", "bilstm-max, PyTorch"]
    assert [r["of"] for r in found["results"]] == names
    for result in found["results"]:
        assert result["test"]["values"] == [run["test"] for run in result["runs"]]
        assert 0 < result["dev"]["mean"] <= 1


def test_nli_vectors(run, nli_data):
    from benchmarks import nli_vectors as nli

    found = run(nli, nli_data)["nli_vectors"]
    assert found["pairs"] == {"train": 144, "dev": 20, "counterfactual": 20, "snli": 6}
    assert [r["of"] for r in found["results"]] == [
        [e, v] for e in nli.ENCODERS for v in nli.VECTORS
    ]
    first = [run["snli"] for run in found["runs"][:2]]
    assert found["results"][0]["snli"]["values"] == first
    assert 1 / 3 <= found["majority_baseline"]["snli"] < 1


def test_precision(run, movielens_data, nli_data, tmp_path):
    from benchmarks import precision

    data = tmp_path / "data"
    data.mkdir()
    (data / "movielens_100k").symlink_to(movielens_data)
    for folder in nli_data.iterdir():
        (data / folder.name).symlink_to(folder)
    found = run(precision, data)
    assert found.keys() == {f"precision_{task}" for task in precision.SEEDS}
    results = [
        result for task in precision.SEEDS for result in found[f"precision_{task}"]["results"]
    ]
    assert [(r["task"], r["precision"], len(r["runs"])) for r in results] == [
        (task, name, 2) for task in precision.SEEDS for name in precision.PRECISIONS
    ]
    for result in results:
        values = [run["accuracy"] for run in result["runs"]]
        assert result["accuracy"]["values"] == values
        assert {run["precision"] for run in result["runs"]} == {result["precision"]}
        assert [run["seed"] for run in result["runs"]] == [0, 1]


def test_nli_drops_pairs_of_training_that_share_a_sentence_with_a_reported_set(nli_data):
    from benchmarks import nli_vectors as nli

    path = nli_data / "snli_counterfactual/all_combined_train.tsv.gz"
    leak = "test scene 3\tsomething new\tneutral\nsomething new\tNO  it is dev 4\tneutral\n"
    text = gzip.decompress(path.read_bytes()).decode()
    before, _ = nli.read_sets(nli_data)
    second = gzip.decompress((path.parent / "all_combined_dev.tsv.gz").read_bytes()).decode()
    leak = leak.replace("NO  it is dev 4", second.splitlines()[1].split("\t")[1].upper())
    path.write_bytes(gzip.compress((text + leak).encode()))
    after, dropped = nli.read_sets(nli_data)
    assert dropped == 2
    assert after["train"] == before["train"]


@pytest.mark.parametrize(
    ("sentence", "tokens"),
    [
        ("A man isn't asleep.", "a man is n't asleep ."),
        ("The dog's bowl , here", "the dog 's bowl , here"),
    ],
)
def test_nli_cuts_words_as_glove_does(sentence, tokens):
    from benchmarks import nli_vectors as nli

    assert nli._tokens(sentence) == tuple(tokens.split())


def _counting(units):
    return lambda: units


def _broken():
    raise RuntimeError("no work today")


def test_a_race_measures_every_rival_and_ends_when_one_cannot_begin(capfd):
    from benchmarks.race import race

    figures = race({"ours": (_counting, (3.0,)), "theirs": (_counting, (1.0,))}, 2)
    assert [len(rival["rounds"]) for rival in figures.values()] == [2, 2]
    assert figures["ours"]["ours_is_times"] == 1.0
    assert all(rival["peak_memory_mib"] > 1 for rival in figures.values())
    with pytest.raises(SystemExit, match="theirs could not begin"):
        race({"ours": (_counting, (3.0,)), "theirs": (_broken, ())}, 1)
    assert "no work today" in capfd.readouterr().err


def test_ipinsights(run, tmp_path):
    from benchmarks import ipinsights

    results = run(ipinsights, "unused")["ipinsights"]
    assert [run["seed"] for run in results["runs"]] == [0, 1]
    figures = results["results"]
    assert list(figures) == ["object2vec", "address seen before", "/24 seen before"]
    assert figures["object2vec"]["auc"]["mean"] > figures["/24 seen before"]["auc"]["mean"]
    for of in figures.values():
        alarms = [of[f"false_alarms_at_{recall}"]["mean"] for recall in ("1", "0.99", "0.95")]
        assert alarms == sorted(alarms, reverse=True)


def test_ipinsights_reads_a_log_of_ones_own(tmp_path):
    from benchmarks import ipinsights

    lines = [f"ann,10.0.0.{day},2026-01-{day:02}" for day in range(10, 0, -1)]
    (tmp_path / "dates.csv").write_text("\n".join(lines) + "\n")
    logins, first = ipinsights.read(tmp_path / "dates.csv")
    assert logins.days.tolist() == [*range(10)]
    assert logins.dotted() == [f"10.0.0.{day}" for day in range(1, 11)]
    assert 6 <= first <= 7
    (tmp_path / "numbers.csv").write_text("bob,1.2.3.4,5\nann, 5.6.7.8,3\n")
    logins, _ = ipinsights.read(tmp_path / "numbers.csv")
    assert logins.dotted() == ["5.6.7.8", "1.2.3.4"]


@pytest.fixture
def sts_data(tmp_path):
    """Two years of pairs: as they were in 2012, and in 2016 with origins and unrated pairs."""
    folder = tmp_path / "sts"
    files = {
        "STS12-en-test/STS.input.MSRvid.txt": "a cat\ta cat\na dog\ta cat\na cat sits\ta dog\n",
        "STS12-en-test/STS.gs.MSRvid.txt": "5.000\n2.0\n1\n",
        "STS12-en-test/STS.input.OnWN.txt": "a cat\ta cat\na dog\tthe sea\n" * 2,
        "STS12-en-test/STS.gs.OnWN.txt": "5\n0\n4\n1\n",
        "STS12-en-test/STS.gs.ALL.txt": "5\n",
        "sts2016-english-with-gs-v1.0/STS2016.input.headlines.txt": (
            "a dog sits\ta dog\tsource 1\tsource 2\nnot rated\ta cat\t\t\nthe sea\ta cat\t\t\n"
        ),
        "sts2016-english-with-gs-v1.0/STS2016.gs.headlines.txt": "4\n\n0.5\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    words = "a cat dog sits the sea".split()
    vectors = np.random.default_rng(0).normal(size=(len(words), 4)).round(3)
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, vectors, strict=True)]
    (folder / "glove.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_sts(sts_data, tmp_path, capsys):
    from benchmarks import sts
    from scipy.stats import pearsonr

    options = ["--data", str(sts_data), "--results", str(tmp_path)]
    sts.main([*options, "--vectors", str(sts_data / "glove.txt")])
    found = json.loads((tmp_path / "sts.json").read_text())
    assert [(d["name"], d["pairs"]) for d in found["datasets"]] == [
        ("MSRvid", 3),
        ("OnWN", 4),
        ("headlines", 2),
    ]
    assert [year["pairs"] for year in found["years"]] == [7, 2]
    first, second = (dataset["pearson"] for dataset in found["datasets"][:2])
    year = found["years"][0]
    assert year["pearson"] == pytest.approx((first + second) / 2)
    assert year["pearson_weighted"] == pytest.approx((3 * first + 4 * second) / 7)
    encode = sts._mean_of_words(sts_data / "glove.txt")
    texts = ["a cat", "a dog", "a cat sits"], ["a cat", "a cat", "a dog"]
    a, b = (encode(each) for each in texts)
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert first == pytest.approx(pearsonr(cosine, [5, 2, 1]).statistic)
    assert "0.604" in capsys.readouterr().out, "AWS's own figure stands beside"


def test_sts_of_a_model(sts_data, tmp_path):
    from benchmarks import sts

    from object2vec import Object2Vec

    table = {"a": ["a cat sits", "the sea", "a dog"], "b": ["a cat", "the sea", "a dog sits"]}
    model = Object2Vec(in0="a:text", in1="b:text", share=["a", "b"], epochs=1).fit(table)
    model.save(tmp_path / "model")
    options = ["--data", str(sts_data), "--results", str(tmp_path)]
    sts.main([*options, "--model", str(tmp_path / "model")])
    found = json.loads((tmp_path / "sts.json").read_text())
    (dataset, *_) = sts.datasets(sts_data)
    vectors = model.encode(in0=dataset.first), model.encode(in0=dataset.second)
    expected = sts.correlation_measure(sts.cosines(*vectors), dataset.score).values()
    assert found["datasets"][0]["pearson"] == expected["pearson"]


def a_figure(*values):
    return {
        "mean": sum(values) / len(values),
        "min": min(values),
        "max": max(values),
        "values": list(values),
    }


def a_result(**more):
    machine = {"cpu": "a CPU", "cores": 2}
    return {
        "command": "python -m benchmarks.x",
        "date": "2026-11-26T00:00:00",
        "threads": 1,
        "machine": machine,
        "protocol": "as said",
        **more,
    }


def a_peer(name, **figures):
    figures = {figure: a_figure(value) for figure, value in figures.items()}
    return {
        "of": name,
        "figures": figures,
        "seeds": 1,
        "seconds": a_figure(3.0),
        "peak_memory_mib": 200.0,
    }


@pytest.fixture
def results(tmp_path, monkeypatch):
    from benchmarks import results_page

    monkeypatch.setattr(results_page, "RESULTS", tmp_path)
    return lambda name, **more: (tmp_path / f"{name}.json").write_text(json.dumps(a_result(**more)))


def test_the_results_page_has_the_best_above_whoever_it_is(results):
    from benchmarks.results_page import task_table

    rows = {"user and film": {"mean_squared_error": a_figure(0.85, 0.87), "seconds": a_figure(60)}}
    results("ratings", rows=rows)
    peers = [a_peer("SVD", mean_squared_error=0.9), a_peer("MF", mean_squared_error=0.84)]
    results("peers_ratings", peers=peers)
    lines = task_table("ratings").splitlines()
    assert lines[0] == "Protocol: as said."
    assert [line.split(" | ")[:3] for line in lines[4:7]] == [
        ["| MF", "**0.8400**", ""],
        ["| object2vec, user and film", "0.8600 ± 0.0100", ""],
        ["| SVD", "0.9000", ""],
    ]
    assert lines[5].endswith(" | 2 | 60 |  |")
    assert "`benchmarks/results/peers_ratings.json`, by `python -m benchmarks.x`" in lines[-3]
    assert lines[-1].startswith("Still to be measured: myFM, ")


def test_the_gist_sets_the_best_row_beside_the_best_peer(results):
    from benchmarks.results_page import gist

    rows = {
        "long": {"hits@1": a_figure(0.43)},
        "with BM25": {"hits@1": a_figure(0.5)},
        "BM25": {"hits@1": a_figure(0.9)},
    }
    results("retrieval", rows=rows)
    peers = [a_peer("BM25", **{"hits@1": 0.47}), a_peer("TF-IDF", **{"hits@1": 0.4})]
    results("peers_retrieval", peers=peers)
    assert gist() == "", "a peer that matters is missing"
    results("peers_retrieval", peers=[*peers, a_peer("StaticEmbedding", **{"hits@1": 0.41})])
    line = gist().splitlines()[5]
    assert line == "| find the article of a sentence, hits@1 | 50.0% | 47.0%, BM25 |"


def test_a_task_without_results_is_said_to_be_so(results):
    from benchmarks.results_page import task_table

    assert task_table("topn") == "Not measured yet.\n"


@pytest.mark.parametrize("task", ["retrieval", "ratings", "topn", "similarity", "multilabel"])
def test_peers_have_settings_that_they_take(task):
    """What is compared is what the function takes, as far as its signature says so."""
    import importlib
    import inspect

    module = importlib.import_module(f"benchmarks.peers.{task}")
    peers = module.PEERS if task != "multilabel" else module.peers("tmdb5000")
    for peer in peers.values():
        takes = inspect.signature(peer.run).parameters
        if not any(each.kind == each.VAR_KEYWORD for each in takes.values()):
            assert {*peer.settings, *peer.grid} <= takes.keys()
            assert peer.settings.keys() >= peer.grid.keys()


def test_peers_keep_what_was_measured_before(tmp_path, monkeypatch):
    from benchmarks.peers import running

    monkeypatch.setattr(running, "_alone", lambda run, *given: running._timed(run, *given))
    asked = []

    def run(data, seed, is_dev, *, rate):
        asked.append((seed, is_dev, rate))
        return {"error": rate + seed, "seconds": 2.0}

    peers = {
        "a": running.Peer(run, {"rate": 1}, {"rate": (1, 2)}),
        "b": running.Peer(run, {"rate": 5}, seeds=1),
    }
    options = ["--results", str(tmp_path), "--data", str(tmp_path)]
    running.main("ratings", peers, "", options)
    running.main("ratings", peers, "", [*options, "--only", "b", "--set", "rate=7"])
    found = json.loads((tmp_path / "peers_ratings.json").read_text())
    assert [(row["of"], row["figures"]["error"]["values"]) for row in found["peers"]] == [
        ("a", [1, 2, 3]),
        ("b", [7]),
    ]
    assert found["peers"][0]["seconds"]["mean"] == 2.0
    assert all(not is_dev for _, is_dev, _ in asked)
    running.main("ratings", peers, "", [*options, "--only", "a", "--choose"])
    chosen = json.loads((tmp_path / "peers_ratings_choose.json").read_text())
    assert [each["settings"] for each in chosen["trials"]] == [{"rate": 1}, {"rate": 2}]
    assert asked[-2:] == [(0, True, 1), (0, True, 2)]


def test_ease_is_the_inverse_of_all_items(tmp_path, monkeypatch):
    """By way of the users' matrix it is what the items' one gives (Steck 2019)."""
    from benchmarks.peers import topn

    x = (np.random.default_rng(0).random((6, 9)) < 0.5).astype(float)
    known = np.argwhere(x)
    monkeypatch.setattr(topn, "parts", lambda data, is_dev: (known, known[:2], x.shape))
    monkeypatch.setattr(topn, "figures_of", lambda scores, known, test: scores)
    found = topn.ease(tmp_path, 0, False, regularization=3.0)
    inverse = np.linalg.inv(x.T @ x + 3 * np.eye(9))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    assert found == pytest.approx(x @ weights)


def test_gibbs_finds_what_two_factors_have_made(tmp_path, monkeypatch):
    from benchmarks.peers import ratings

    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(40, 2)), generator.normal(size=(30, 2))
    rows = np.array([(u, i) for u in range(40) for i in range(30)])
    generator.shuffle(rows)
    score = 3 + 0.7 * (a[rows[:, 0]] * b[rows[:, 1]]).sum(axis=1)
    table = np.column_stack([rows, np.clip(score, 1, 5)])
    monkeypatch.setattr(ratings, "_parts", lambda data, is_dev: (table[:900], table[900:]))
    found = ratings.gibbs(tmp_path, 0, True, factors=2, sweeps=30, burn_in=10)
    assert found["mean_squared_error"] < 0.1 < table[900:, 2].var()


@pytest.mark.parametrize("words", [[], ["--dev"]], ids=["test", "dev"])
def test_ratings(run, movielens_data, words):
    from benchmarks import ratings

    (found,) = run(ratings, movielens_data, *words, "--set", "enc_dim=4").values()
    figures = found["rows"]["user and film"]
    values = [each["mean_squared_error"] for each in found["runs"]]
    assert figures["mean_squared_error"]["values"] == values
    assert len(values) == 2
    assert all(value > 0 for value in values)


def test_mechanisms(tmp_path, monkeypatch):
    from benchmarks import mechanisms

    monkeypatch.setattr(mechanisms, "OPTIMIZERS", ("adam",))
    monkeypatch.setattr(mechanisms, "STEPS", 1)
    sizes = {"mini_batch_size": 16, "enc_dim": 8, "enc0_token_embedding_dim": 8}
    monkeypatch.setattr(mechanisms, "RECORDS", 16)
    monkeypatch.setattr(mechanisms, "SETTINGS", mechanisms.SETTINGS | sizes)
    mechanisms.main(["--rounds", "1", "--threads", "1", "--results", str(tmp_path)])
    found = json.loads((tmp_path / "mechanisms.json").read_text())["results"]
    assert [each["of"] for each in found] == list(mechanisms.MECHANISMS)
    assert all(each["ratio"] > 0 for each in found)


def test_labels_have_settings_that_were_compared():
    from benchmarks import multilabel

    for corpus in multilabel.GOALS:
        settings, grid = multilabel.CHOSEN[corpus], multilabel._GRID[corpus]
        assert settings.keys() == grid.keys()
        assert all(value in grid[name] for name, value in settings.items())
