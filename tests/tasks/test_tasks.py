"""Each task beside what scikit-learn and scipy make of the same vectors and predictions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.metrics.pairwise import cosine_similarity

from object2vec import ConfigError, DataError, Object2Vec
from object2vec.cli import main
from object2vec.tasks import TASKS, Evaluation, TaskSource

USERS, FILMS = 12, 9
GENRES = ("crime", "drama", "love", "war")


@pytest.fixture(scope="module")
def rows():
    """Ratings: of each user five films, from 1 to 5."""
    generator = np.random.default_rng(1)
    pairs = [(u, f) for u in range(USERS) for f in generator.permutation(FILMS)[:5]]
    return {
        "user": [f"u{user}" for user, _ in pairs],
        "film": [f"f{film}" for _, film in pairs],
        "rating": [float(1 + (user + film) % 5) for user, film in pairs],
        "mood": ["good" if (user + film) % 2 else "bad" for user, film in pairs],
    }


def trained(rows, label=None, **settings):
    settings = {"epochs": 2, "enc_dim": 8, "mlp_layers": 0} | settings
    return Object2Vec(in0="user", in1="film", label=label, **settings).fit(rows)


@pytest.fixture(scope="module")
def rating(rows):
    return trained(rows, "rating")


@pytest.fixture(scope="module")
def mood(rows):
    return trained(rows, "mood")


@pytest.fixture(scope="module")
def meeting(rows):
    return trained(rows, output_layer="dot_product", comparator_list="hadamard")


def vectors(model, rows):
    """The vectors of different users and films, and which each row has."""
    users, asks = np.unique(rows["user"], return_inverse=True)
    films, right = np.unique(rows["film"], return_inverse=True)
    return model.encode(in0=list(users)), model.encode(in1=list(films)), asks, right


def part(rows, chosen):
    return {name: [column[i] for i in chosen] for name, column in rows.items()}


DOCUMENTS = [[f"a{n % 7} b{n % 5}", f"c{n % 3} d{n % 11}"] for n in range(40)] + [["a1 b1"]]


@pytest.fixture(scope="module")
def rest():
    """Learned from sentences, each with the rest of its document."""
    model = Object2Vec(pairs="sentence_rest", in0="sentence:text", epochs=2, enc_dim=8)
    return model.fit({"sentences": DOCUMENTS})


def made_by_hand(first):
    """Both columns of documents of two sentences, of which `first` says which one asks."""
    pairs = [(d[i], d[1 - i]) for d, i in zip(DOCUMENTS, first, strict=False)]
    return {"sentence": [a for a, _ in pairs], "text": [b for _, b in pairs]}


@pytest.mark.parametrize("task", ["retrieval", "ranking"])
def test_of_documents_a_pair_each_is_made_as_in_training(rest, task):
    source = {"sentences": DOCUMENTS}
    records = TaskSource(rest.config, rest.schema, source, seed=4).records()
    assert len(records) == 40  # one sentence by itself makes no pair
    asks, swapped = (
        TaskSource(rest.config, rest.schema, made_by_hand([i] * 40)).records() for i in (0, 1)
    )
    first = records.in0.hashes() != asks.in0.hashes()
    np.testing.assert_array_equal(
        records.in0.hashes(), np.where(first, swapped.in0.hashes(), asks.in0.hashes())
    )
    assert 0 < sum(first) < 40
    found = rest.evaluate(source, task=task, seed=4)
    by_hand = rest.evaluate(made_by_hand(first.astype(int)), task=task, seed=4)
    assert found == by_hand
    protocol = {**found.protocol}
    assert protocol.pop("pairs") == "made by sentence_rest, one of each line or group, seed 4"
    assert protocol == by_hand.protocol
    assert rest.evaluate(source, task=task, seed=4) == found != rest.evaluate(source, task=task)


def test_pairs_are_made_for_the_file_alone(rest, tmp_path, capsys):
    text = "".join("\t".join(document) + "\n" for document in DOCUMENTS)
    (tmp_path / "documents.txt").write_text(text)
    rest.save(tmp_path / "model")
    command = ["evaluate", str(tmp_path / "model"), str(tmp_path / "documents.txt")]
    assert main([*command, "--task", "retrieval", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["mean_rank"] >= 1
    assert main([*command, "--known", command[-1]]) == 2
    assert "must have every column that is named; got 'sentence'" in capsys.readouterr().err
    assert main([*command, "--task", "similarity"]) == 2
    assert "must name the column of labels" in capsys.readouterr().err
    (tmp_path / "documents.txt").write_text("one sentence\n" * 3)
    assert main([*command, "--task", "retrieval"]) == 2
    assert "can make pairs of" in capsys.readouterr().err


def test_ranking_is_that_of_scikit_learn(mood, rows):
    found = mood.evaluate(rows, task="ranking", at=(1, 3), relevant=0, label="rating")
    a, b, asks, right = vectors(mood, rows)
    truth = np.zeros((len(a), len(b)), int)
    truth[asks, right] = 1
    scores = cosine_similarity(a.astype(float), b.astype(float))
    assert found["ndcg@3"] == pytest.approx(metrics.ndcg_score(truth, scores, k=3))
    precision = [metrics.average_precision_score(*each) for each in zip(truth, scores, strict=True)]
    assert found["mean_average_precision"] == pytest.approx(np.mean(precision))
    hits = truth[np.arange(len(a))[:, None], np.argsort(-scores, axis=1)[:, :3]]
    assert found["recall@3"] == pytest.approx(np.mean(hits.sum(axis=1) / truth.sum(axis=1)))
    assert isinstance(found, Evaluation)
    expected = {"queries_with_right_candidates": USERS, "right_candidates": 60, "candidates": FILMS}
    assert found.protocol.items() >= expected.items()
    assert found.protocol["ranked_by"] == "cosine"


def test_retrieval_leaves_out_what_is_right_too(mood, rows):
    found = mood.evaluate(rows, task="retrieval", label="rating", ties="pessimistic")
    a, b, asks, right = vectors(mood, rows)
    scores = cosine_similarity(a.astype(float), b.astype(float))
    expected = []
    for user, film in zip(asks, right, strict=True):
        wrong = np.setdiff1d(np.arange(FILMS), right[asks == user])
        expected.append(1 + np.count_nonzero(scores[user, wrong] >= scores[user, film]))
    assert found["mean_rank"] == np.mean(expected)
    assert found["hits@1"] == np.mean(np.array(expected) == 1)
    assert found.protocol["queries"] == len(expected)
    assert not any(name.startswith("recall@") for name in found)


def test_known_pairs_are_no_candidates(mood, rows):
    test = part(rows, range(0, 60, 5))  # one film of each user
    others = part(rows, [i for i in range(60) if i % 5])
    found = mood.evaluate(test, task="ranking", known=others, label="rating")
    assert found.protocol["candidates"] == FILMS
    assert found.protocol["known_pairs_left_out"] == 48
    a, b, asks, right = vectors(mood, rows)
    scores = cosine_similarity(a.astype(float), b.astype(float))
    expected = []
    for row in range(0, 60, 5):
        others = np.delete(right[asks == asks[row]], 0)
        ahead = np.setdiff1d(np.arange(FILMS), [*others, right[row]])
        score = scores[asks[row], right[row]]
        expected.append(1 + np.count_nonzero(scores[asks[row], ahead] > score))
    assert found["mean_rank"] == np.mean(expected)
    films = [f"f{film}" for film in range(FILMS)]
    everything = mood.evaluate(test, task="ranking", candidates=films, label="rating")
    assert everything.protocol["candidates"] == FILMS
    assert everything["mean_rank"] > found["mean_rank"]


def test_candidates_of_a_file_take_those_of_known_pairs_away(mood, rows):
    test, others = part(rows, range(0, 60, 5)), part(rows, range(60))
    few = sorted(set(test["film"]))
    options = {"candidates": few[:2], "known": others, "label": "rating"}
    found = mood.evaluate(test, task="ranking", **options)
    assert found.protocol["candidates"] == len(few)


def test_a_score_ranks_where_it_is_asked_to(rating, rows):
    found = rating.evaluate(rows, task="ranking", by="score", relevant=4)
    _, _, asks, right = vectors(rating, rows)
    users, films = np.unique(rows["user"]), np.unique(rows["film"])
    pairs = rating.predict(in0=list(np.repeat(users, FILMS)), in1=list(films) * USERS)
    truth = np.zeros((USERS, FILMS), int)
    truth[asks, right] = np.array(rows["rating"]) >= 4
    is_asked = truth.any(axis=1)
    scores = pairs[:, 0].reshape(USERS, FILMS)[is_asked]
    expected = metrics.ndcg_score(truth[is_asked], scores, k=5)
    assert found["ndcg@5"] == pytest.approx(expected, abs=1e-6)
    assert found.protocol["relevant"] == 4


def test_a_dot_product_ranks_where_it_is_what_was_learned(meeting, rows):
    found = meeting.evaluate(rows, task="ranking")
    assert found.protocol["ranked_by"] == "dot"
    a, b, asks, right = vectors(meeting, rows)
    truth = np.zeros((USERS, FILMS), int)
    truth[asks, right] = 1
    assert found["ndcg@5"] == pytest.approx(metrics.ndcg_score(truth, a @ b.T, k=5), abs=1e-6)


def test_similarity_is_that_of_scipy(meeting, rows):
    found = meeting.evaluate(rows, task="similarity", label="rating")
    a, b = meeting.encode(in0=rows["user"]), meeting.encode(in1=rows["film"])
    scores = [cosine_similarity([x], [y])[0, 0] for x, y in zip(a, b, strict=True)]
    assert found["pearson"] == pytest.approx(stats.pearsonr(scores, rows["rating"]).statistic)
    assert found["spearman"] == pytest.approx(stats.spearmanr(scores, rows["rating"]).statistic)
    figure = found.figures["pearson"]
    assert figure.low < figure.value < figure.high


def test_classification_and_regression_are_those_of_predict(mood, rating, rows):
    found = mood.evaluate(rows, task="classification")
    said = mood.predict(rows).argmax(axis=1)
    label = [mood.classes.index(name) for name in rows["mood"]]
    assert found["accuracy"] == metrics.accuracy_score(label, said)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(label, said, average="macro"))
    assert found.protocol["classes"] == "bad, good"
    found = rating.evaluate(rows, task="regression", clip=(2, 4))
    predicted = np.clip(rating.predict(rows)[:, 0], 2, 4)
    expected = metrics.mean_absolute_error(rows["rating"], predicted)
    assert found["mean_absolute_error"] == pytest.approx(expected, rel=1e-6)
    assert found.protocol["predictions_clipped_to"] == "2 to 4"


def test_one_score_needs_a_threshold(meeting, rows):
    good = {**rows, "liked": [float(rating > 3) for rating in rows["rating"]]}
    found = meeting.evaluate(good, task="classification", label="liked")
    scores = meeting.predict(good)[:, 0]
    assert found.protocol["threshold"] == 0
    assert found["accuracy"] == np.mean((scores >= 0) == np.array(good["liked"], bool))
    chosen = meeting.evaluate(good, task="classification", label="liked", validation=good)
    best = max(metrics.f1_score(good["liked"], scores >= t) for t in scores)
    assert chosen["f1"] == best > found["f1"]


@pytest.fixture(scope="module")
def tagged():
    generator = np.random.default_rng(2)
    sets = [generator.permutation(GENRES)[: 1 + i % 3].tolist() for i in range(60)]
    return {
        "text": [" ".join(["a", *each]) for each in sets],
        "genres": ["|".join(s) for s in sets],
    }


@pytest.fixture(scope="module")
def tagging(tagged):
    model = Object2Vec(
        in0="text:text",
        in1='genres:tokens("|")',
        output_layer="dot_product",
        comparator_list="hadamard",
        candidates="batch",
        enc_dim=8,
        epochs=3,
    )
    return model.fit(tagged)


def test_labels_are_measured_as_by_scikit_learn(tagging, tagged):
    found = tagging.evaluate(tagged, task="multilabel", validation=tagged)
    names = [entry.token for _, entry in tagging.schema.entries(1) if entry.token]
    truth = np.array([[name in each.split("|") for name in names] for each in tagged["genres"]])
    scores = tagging.encode(in0=tagged["text"]) @ tagging.encode(in1=names).T
    said = scores >= found.protocol["threshold"]
    best = max(metrics.f1_score(truth, scores >= t, average="micro") for t in np.unique(scores))
    assert found["micro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="micro"))
    assert found["micro_f1"] == pytest.approx(best)
    assert found["macro_f1_per_label"] >= found["macro_f1"]
    assert found.protocol["labels"] == len(GENRES)


def test_odds_of_all_labels_are_those_of_predict(tagged):
    model = Object2Vec(
        in0="text:text",
        in1='genres:tokens("|")',
        output_layer="dot_product",
        candidates="all",
        enc_dim=8,
        epochs=3,
    ).fit(tagged)
    found = model.evaluate(tagged, task="multilabel")
    names = [entry.token for _, entry in model.schema.entries(1) if entry.token]
    pairs = model.predict(in0=np.repeat(tagged["text"], len(names)).tolist(), in1=names * 60)
    said = pairs.reshape(60, -1) >= 0
    truth = np.array([[name in each.split("|") for name in names] for each in tagged["genres"]])
    assert found["micro_f1"] == pytest.approx(metrics.f1_score(truth, said, average="micro"))
    assert found.protocol["threshold"] == 0
    assert "right_labels_that_training_did_not_know" not in found.protocol
    assert found["micro_f1"] == pytest.approx(model.evaluate(tagged)["micro_f1"])
    ranked = model.evaluate(
        {"text": ["a war"], "genres": ["war"]}, task="retrieval", candidates=names
    )
    assert ranked.protocol["ranked_by"] == "score"


def test_labels_that_nobody_knew_are_named(tagging, tagged):
    more = {"text": ["a war"], "genres": ["war|space"]}
    protocol = tagging.evaluate(more, task="multilabel").protocol
    assert protocol["right_labels_that_training_did_not_know"] == "1, not counted"


def test_models_of_ids_are_measured_too(tmp_path):
    records = [{"in0": [1 + i % 6], "in1": [1 + i % 5, 2], "label": i % 2} for i in range(30)]
    model = Object2Vec(
        enc0_max_seq_len=2,
        enc0_vocab_size=9,
        enc1_network="enc0",
        enc_dim=4,
        mlp_layers=0,
        epochs=1,
    ).fit(records)
    found = model.evaluate(records, task="classification")
    assert found["accuracy"] == model.evaluate(records)["accuracy"]
    right = [{"in0": r["in0"], "in1": r["in1"]} for r in records if r["label"]]
    with_labels = model.evaluate(records, task="retrieval")
    assert model.evaluate(right, task="retrieval") == with_labels
    with pytest.raises(ConfigError, match=r"label: must be left out: this model was trained on"):
        model.evaluate(records, task="classification", label="other")
    path = tmp_path / "in1.jsonl"
    path.write_text('{"in1": [7]}\n{"in1": [8, 2]}\n')
    more = model.evaluate(right, task="retrieval", candidates=path)
    assert more.protocol["candidates"] == with_labels.protocol["candidates"] + 2
    assert model.evaluate(right, task="retrieval", candidates=[[7], [8, 2]]) == more


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"task": "rating"}, ConfigError, r"task: must be a task; got 'rating'\. Did you mean"),
        ({"task": "regression"}, ConfigError, r"task regression: must give one number for a pair"),
        (
            {"task": "similarity", "by": "dot"},
            ConfigError,
            r"by: must be cosine or score; got 'dot'",
        ),
        ({"task": "similarity", "label": "user"}, DataError, r"must have a finite number as label"),
        ({"task": "similarity", "label": "nothing"}, DataError, r"every column that is named"),
        (
            {"task": "retrieval", "clip": (1, 5)},
            ConfigError,
            r"clip: must be left out; got \(1, 5\)",
        ),
        ({"task": "ranking", "relevant": 9, "label": "rating"}, DataError, r"label is 9 or more"),
        (
            {"task": "ranking", "k": 9},
            ConfigError,
            r"evaluate: must be asked what it knows; got 'k'",
        ),
        ({"task": "classification", "validation": {}}, ConfigError, r"needs no threshold"),
        *(
            ({"task": "ranking", "at": at}, ConfigError, r"^at: must be whole numbers above 0; got")
            for at in ((0,), (1, -1), (1.5,), 5, ("5",), "5")
        ),
        *(
            ({"task": "regression", "clip": clip}, ConfigError, r"^clip: must be two finite")
            for clip in ((5, 1), (2, 2), (float("nan"), 5), (1, float("inf")), 5, (1, 2, 3), "15")
        ),
        *(
            ({"task": "ranking", name: value}, ConfigError, rf"^{name}: must be a whole number, 0")
            for name in ("seed", "resamples")
            for value in (-1, 1.5, "3", None)
        ),
        *(
            ({"task": "ranking", "relevant": value}, ConfigError, r"^relevant: must be a number")
            for value in ("4", float("nan"))
        ),
        ({"task": ["ranking"]}, ConfigError, r"task: must be a task; got \['ranking'\]"),
    ],
)
def test_what_cannot_be_measured_is_rejected(mood, rows, asked, error, message):
    with pytest.raises(error, match=message):
        mood.evaluate(rows, **asked)


def test_numbers_of_numpy_are_numbers(mood, rows):
    asked = {"task": "ranking", "label": "rating"}
    given = {"at": np.array([1, 3]), "seed": np.int64(2), "resamples": 0, "relevant": np.float32(3)}
    plain = {"at": (1, 3), "seed": 2, "resamples": 0, "relevant": 3}
    assert mood.evaluate(rows, **asked, **given) == mood.evaluate(rows, **asked, **plain)


def test_a_task_that_needs_labels_says_so(meeting, rows):
    with pytest.raises(ConfigError, match=r"label: must name the column of labels .* similarity"):
        meeting.evaluate(rows, task="similarity")


@pytest.fixture
def saved(mood, rows, tmp_path):
    mood.save(tmp_path / "model")
    names = list(rows)
    lines = [",".join(map(str, row)) for row in zip(*rows.values(), strict=True)]
    (tmp_path / "test.csv").write_text("\n".join([",".join(names), *lines, ""]))
    return [str(tmp_path / "model"), str(tmp_path / "test.csv")]


def test_the_command_says_what_python_does(mood, rows, saved, capsys):
    asked = ["--task", "retrieval", "--label", "rating", "--at", "1,3", "--seed", "3", "--json"]
    assert main(["evaluate", *saved, *asked]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = mood.evaluate(rows, task="retrieval", label="rating", at=(1, 3), seed=3)
    assert found == json.loads(json.dumps(expected.to_dict()))
    assert found["intervals"]["hits@1"][0] <= found["metrics"]["hits@1"]


def test_the_command_prints_protocol_and_figures(saved, capsys):
    assert main(["evaluate", *saved, "--task", "ranking", "--known", saved[1]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "task: ranking"
    assert "candidates from: in1 of the file and of the known pairs" in lines
    assert "ties: mean rank" in lines
    assert any(line.startswith("  ndcg@10") and " to " in line for line in lines)


def test_without_a_task_the_metrics_of_training_are_printed_as_before(mood, rows, saved, capsys):
    assert main(["evaluate", *saved]) == 0
    assert json.loads(capsys.readouterr().out) == mood.evaluate(rows)


def test_what_learned_to_rank_is_measured_by_retrieval(rows, tmp_path, capsys):
    model = trained(rows, output_layer="ranking", comparator_list="hadamard")
    model.save(tmp_path / "model")
    (tmp_path / "test.csv").write_text("user,film\nu1,f2\nu2,f2\n")
    command = ["evaluate", str(tmp_path / "model"), str(tmp_path / "test.csv")]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("task: retrieval\nqueries: 2\n")
    assert main([*command, "--known", command[-1], "--candidates", command[-1]]) == 0
    assert capsys.readouterr().out.startswith("task: ranking\n")


def test_a_seed_without_anything_to_draw_is_rejected(rest, saved, tmp_path, capsys):
    asked = ["--task", "retrieval", "--resamples", "0", "--seed", "3", "--json"]
    assert main(["evaluate", *saved, *asked, "--label", "rating"]) == 2
    said = capsys.readouterr().err
    assert "--seed: must be left out with --resamples 0, which draws nothing; got 3." in said
    rest.save(tmp_path / "rest")  # which draws a pair of each document
    (tmp_path / "documents.txt").write_text("".join("\t".join(d) + "\n" for d in DOCUMENTS))
    command = ["evaluate", str(tmp_path / "rest"), str(tmp_path / "documents.txt"), *asked]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["intervals"] == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "ranking", "--at", "5,1"], "--at: must be ascending numbers with , between"),
        (
            ["--task", "regression", "--clip", "5"],
            "--clip: must be ascending numbers with : between",
        ),
        (["--task", "ranking", "--compat-metrics"], "--compat-metrics: must be left out"),
        (["--at", "3", "--compat-metrics"], "compat_metrics: must be left out where a task is"),
        (["--task", "multilabel", "--label", "rating"], "label: must be left out; got 'rating'"),
    ],
)
def test_options_that_mean_nothing_are_rejected(saved, words, message, capsys):
    assert main(["evaluate", *saved, *words]) == 2
    assert message in capsys.readouterr().err


def test_relevant_pairs_are_those_of_labels(meeting, rows):
    alone = {name: rows[name] for name in ("user", "film")}
    with pytest.raises(ConfigError, match=r"relevant: must have labels to go by; got 'none'"):
        meeting.evaluate(alone, task="ranking", relevant=4)
    assert meeting.evaluate(rows, task="ranking", label="rating", relevant=4)


def test_every_task_is_one_of_the_command():
    assert [*TASKS] == [
        "retrieval",
        "ranking",
        "similarity",
        "classification",
        "regression",
        "multilabel",
    ]
