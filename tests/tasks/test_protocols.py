"""What a task says of how it measured, what it leaves out, and what it rejects."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from object2vec import ConfigError, DataError, Object2Vec
from object2vec.cli import main
from object2vec.evaluation import Figure
from object2vec.tasks import Evaluation

IDS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 9,
    "enc1_network": "enc0",
    "enc_dim": 4,
    "mlp_layers": 0,
    "epochs": 1,
    "threads": 1,
}
RECORDS = [{"in0": [1 + i % 6], "in1": [1 + i % 5, 2], "label": i % 2} for i in range(30)]
ROWS = {
    "user": [f"u{n % 6}" for n in range(48)],
    "film": [f"f{(n * 5 + n // 6) % 8}" for n in range(48)],
    "rating": [float(1 + n % 5) for n in range(48)],
}


@pytest.fixture(scope="module")
def rating():
    model = Object2Vec(in0="user", in1="film", label="rating", epochs=1, enc_dim=4, threads=1)
    return model.fit(ROWS)


@pytest.fixture(scope="module")
def classes():
    """A model of ids with three classes."""
    records = [{**record, "label": i % 3} for i, record in enumerate(RECORDS)]
    return Object2Vec(**IDS, num_classes=3).fit(records)


@pytest.fixture(scope="module")
def ids():
    """A model of ids with one score, whose in1 are sets of labels."""
    settings = IDS | {"output_layer": "dot_product"}
    del settings["mlp_layers"]
    return Object2Vec(**settings, negative_sampling_rate=1).fit(
        [{"in0": record["in0"], "in1": record["in1"]} for record in RECORDS]
    )


@pytest.fixture(scope="module")
def groups():
    """Learned from pairs of films that one user has seen."""
    model = Object2Vec(pairs="group", in0="film", group="user", epochs=1, enc_dim=4, threads=1)
    return model.fit(ROWS)


# ----------------------------------------------------------------------------- what is said


def test_an_evaluation_is_json_without_what_json_lacks():
    figures = {
        "auc": Figure(float("nan")),
        "f1": Figure(0.25, 0.125, 0.5),
        "loss": Figure(float("inf")),
    }
    found = Evaluation("some task", figures, {"rows": 3})
    assert found.to_dict() == {
        "task": "some task",
        "protocol": {"rows": 3},
        "metrics": {"auc": None, "f1": 0.25, "loss": None},
        "intervals": {"f1": [0.125, 0.5]},
    }
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert found["f1"] == 0.25


def test_an_evaluation_is_lines_for_people():
    figures = {"f1": Figure(0.25, 0.125, 0.5), "accuracy": Figure(1 / 3)}
    protocol = {"pairs": 12_345, "chosen_from": "a file", "threshold": 1 / 3, "relevant": 4.0}
    assert Evaluation("some task", figures, protocol).lines() == [
        "task: some task",
        "pairs: 12,345",
        "chosen from: a file",
        "threshold: 0.333333",
        "relevant: 4",
        "  f1        0.2500  (0.1250 to 0.5000)",
        "  accuracy  0.3333",
    ]
    assert Evaluation("some task", {}, {}).lines() == ["task: some task"]


def test_similarity_says_what_was_compared(rating):
    found = rating.evaluate(ROWS, task="similarity", by="score")
    scores = rating.predict(ROWS)[:, 0]
    assert found["pearson"] == pytest.approx(stats.pearsonr(scores, ROWS["rating"]).statistic)
    assert found.protocol == {"pairs": 48, "compared_by": "score"}
    assert rating.evaluate(ROWS, task="similarity").protocol["compared_by"] == "cosine"


def test_of_two_classes_the_label_is_one(classes):
    model = Object2Vec(**IDS).fit(RECORDS)
    found = model.evaluate(RECORDS, task="classification")
    assert found.protocol == {
        "pairs": 30,
        "classes": "0, 1",
        "decided_by": "the likeliest class",
    }
    records = [{**record, "label": i % 3} for i, record in enumerate(RECORDS)]
    assert classes.evaluate(records, task="classification").protocol["classes"] == "0, 1, 2"


def test_a_threshold_is_that_of_training_or_of_other_rows(ids):
    good = [{**record, "label": float(i % 2)} for i, record in enumerate(RECORDS)]
    plain = ids.evaluate(good, task="classification")
    assert plain.protocol == {"pairs": 30, "threshold": 0.0, "threshold_from": "as in training"}
    others = good[:20]
    chosen = ids.evaluate(good, task="classification", validation=others)
    scores = ids.predict(others)[:, 0]
    truth = [record["label"] > 0 for record in others]
    best = max(metrics.f1_score(truth, scores >= t) for t in scores)
    threshold = chosen.protocol["threshold"]
    assert metrics.f1_score(truth, scores >= threshold) == best
    assert chosen.protocol["threshold_from"] == "best F1 of 20 pairs"


def test_regression_clips_only_where_it_is_asked_to(rating):
    found = rating.evaluate(ROWS, task="regression")
    assert found.protocol == {"pairs": 48}
    clipped = rating.evaluate(ROWS, task="regression", clip=(2.5, 3.5))
    assert clipped.protocol["predictions_clipped_to"] == "2.5 to 3.5"
    expected = np.abs(np.clip(rating.predict(ROWS)[:, 0], 2.5, 3.5) - ROWS["rating"]).mean()
    assert clipped["mean_absolute_error"] == pytest.approx(expected, rel=1e-5)


def test_ranking_says_all_of_its_protocol(rating):
    asked = {"relevant": 4, "ties": "pessimistic", "by": "euclidean", "resamples": 0}
    found = rating.evaluate(ROWS, task="ranking", **asked)
    right = {(u, f) for u, f, r in zip(*ROWS.values(), strict=True) if r >= 4}
    assert found.protocol == {
        "queries_with_right_candidates": len({user for user, _ in right}),
        "right_candidates": len(right),
        "candidates": len({film for _, film in right}),
        "candidates_from": "in1 of the file",
        "known_pairs_left_out": 0,
        "ranked_by": "euclidean",
        "ties": "pessimistic rank",
        "relevant": 4,
    }
    assert not any(figure.low for figure in found.figures.values())
    few = rating.evaluate(ROWS, task="ranking", candidates=["f1", "new"], label="rating")
    assert few.protocol["candidates_from"] == "the file of candidates, and in1 of the file"
    assert few.protocol["candidates"] == 9  # what is new is one more


@pytest.mark.parametrize(("ties", "rank"), [("mean", 2), ("pessimistic", 3)])
def test_scores_that_are_equal_count_as_asked(ties, rank, ids, tmp_path):
    ids.save(tmp_path / "model")
    model = Object2Vec.load(tmp_path / "model")
    weight = model.artifact.network.table(1).weight
    weight.data[6:8] = weight[5]
    source = [{"in0": [1], "in1": [5]}]
    asked = {"candidates": [[6], [7]], "ties": ties, "task": "retrieval", "resamples": 0}
    for by in ("score", "cosine", "dot"):
        assert model.evaluate(source, by=by, **asked)["mean_rank"] == rank


# ----------------------------------------------------------------------------- made pairs


def test_pairs_are_made_of_groups_where_a_table_lacks_one_side(groups):
    made = groups.evaluate(ROWS, task="retrieval")
    assert made.protocol["pairs"] == "made by group, one of each line or group, seed 0"
    assert made.protocol["queries"] == 6
    by_hand = {"film": ["f1", "f2"], "other_film": ["f3", "f4"]}
    found = groups.evaluate(by_hand, task="retrieval")
    assert "pairs" not in found.protocol
    assert found.protocol["queries"] == 2
    with pytest.raises(DataError, match=r"must have every column that is named; got 'film'"):
        groups.evaluate({"user": ["u1"]}, task="retrieval")
    known = groups.evaluate(by_hand, task="ranking", known=by_hand)
    assert known.protocol["known_pairs_left_out"] == 0  # they are what is asked for


# ----------------------------------------------------------------------------- labels of ids


def test_labels_of_ids_are_all_ids_but_that_of_padding(ids):
    found = ids.evaluate(RECORDS, task="multilabel", resamples=0)
    assert found.protocol["labels"] == 8
    assert found.protocol["objects"] == 30
    scores = (
        ids.encode(in0=[r["in0"] for r in RECORDS])
        @ ids.encode(in1=[[number] for number in range(1, 9)]).T
    )
    truth = np.array([[number in r["in1"] for number in range(1, 9)] for r in RECORDS])
    for average in ("micro", "macro"):
        expected = metrics.f1_score(truth, scores >= 0, average=average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(expected)
    chosen = ids.evaluate(RECORDS, task="multilabel", validation=RECORDS[:20], resamples=0)
    assert chosen.protocol["threshold_from"] == "best F1 of 20 objects"
    assert {"micro_f1_per_label", "macro_f1_per_label"} <= chosen.keys()


def test_too_many_scores_of_labels_are_rejected(ids, monkeypatch):
    monkeypatch.setattr("object2vec.tasks.labels._MOST", 240)
    assert ids.evaluate(RECORDS, task="multilabel", resamples=0)
    monkeypatch.setattr("object2vec.tasks.labels._MOST", 239)
    message = r"multilabel: must have at most 239 scores; got '30 objects and 8 labels'"
    with pytest.raises(DataError, match=message):
        ids.evaluate(RECORDS, task="multilabel")


@pytest.mark.parametrize("pairs", [1, 20, 1 << 22])
def test_scores_are_the_same_however_many_are_made_at_once(pairs, rating, ids, monkeypatch):
    wanted = (
        rating.evaluate(ROWS, task="ranking", by="score"),
        ids.evaluate(RECORDS, task="multilabel"),
    )
    monkeypatch.setattr("object2vec.tasks.base._PAIRS", pairs)
    assert rating.evaluate(ROWS, task="ranking", by="score") == wanted[0]
    assert ids.evaluate(RECORDS, task="multilabel") == wanted[1]


# ----------------------------------------------------------------------------- what is rejected


def test_three_classes_give_no_score(classes):
    message = r"by: must be a model of one number or two classes; got '3 classes'"
    with pytest.raises(ConfigError, match=message):
        classes.evaluate(RECORDS, task="ranking", by="score")
    with pytest.raises(ConfigError, match=r"task similarity: must give one number"):
        classes.evaluate(RECORDS, task="similarity", by="score")


def test_of_two_classes_the_chance_of_the_second_ranks():
    model = Object2Vec(**IDS).fit(RECORDS)
    found = model.evaluate(RECORDS, task="retrieval", by="score", resamples=0)
    right = [record for record in RECORDS if record["label"]]
    in1 = sorted({tuple(record["in1"]) for record in right})
    in0 = sorted({tuple(record["in0"]) for record in right})
    pairs = {(tuple(r["in0"]), tuple(r["in1"])) for r in right}
    ranks = {}
    for query in in0:
        scores = model.predict(in0=[list(query)] * len(in1), in1=list(map(list, in1)))[:, 1]
        for at, each in enumerate(in1):
            if (query, each) in pairs:
                wrong = [
                    s for s, other in zip(scores, in1, strict=True) if (query, other) not in pairs
                ]
                ranks[query, each] = 1 + sum(score > scores[at] for score in wrong)
    expected = [ranks[tuple(r["in0"]), tuple(r["in1"])] for r in right]
    assert found["mean_rank"] == pytest.approx(np.mean(expected))


@pytest.mark.parametrize(("task", "label"), [("similarity", "rating"), ("ranking", None)])
def test_a_file_without_a_row_is_rejected(task, label, rating, tmp_path):
    (tmp_path / "a.csv").write_text("user,film,rating\n")
    message = r"must hold at least one"
    with pytest.raises(DataError, match=message):
        rating.evaluate(tmp_path / "a.csv", task=task, label=label)


def test_an_empty_list_of_records_is_rejected(ids):
    for nothing in ([], {"in0": [], "in1": []}):
        with pytest.raises(DataError, match=r"must (hold|name) at least one"):
            ids.evaluate(nothing, task="retrieval")


def test_a_label_of_another_column_is_a_number_where_it_stands(rating, tmp_path):
    (tmp_path / "a.csv").write_text("user,film,mark\nu1,f1,1\nu2,f2,good\nu3,f3,\n")
    with pytest.raises(DataError, match=r"a\.csv:3: must have a finite number as label"):
        rating.evaluate(tmp_path / "a.csv", task="regression", label="mark")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        *(
            (["--task", "ranking", f"--at={text}"], "--at: must be ascending numbers with , betwee")
            for text in ("x", "", "0,5", "5,5", "1,2.5")
        ),
        *(
            (["--task", "regression", f"--clip={text}"], "--clip: must be ascending numbers with :")
            for text in ("x:1", "1:2:3", "2:1", "1,2", "1:1")
        ),
    ],
)
def test_numbers_of_options_are_checked_before_a_model_is_loaded(words, message, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("user,film\n")
    assert main(["evaluate", "no-model", str(tmp_path / "a.csv"), *words]) == 2
    assert message in capsys.readouterr().err


def test_options_of_the_command_are_those_of_python(rating, tmp_path, capsys):
    rating.save(tmp_path / "model")
    lines = [",".join(map(str, row)) for row in zip(*ROWS.values(), strict=True)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join([",".join(ROWS), *lines, ""]))
    command = ["evaluate", str(tmp_path / "model"), str(path), "--json", "--resamples", "0"]
    assert main([*command, "--task", "regression", "--clip=-1:2.5"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"] == rating.evaluate(path, task="regression", clip=(-1, 2.5))
    assert main([*command, "--at", "2,3", "--relevant", "4", "--task", "ranking"]) == 0
    found = json.loads(capsys.readouterr().out)
    wanted = rating.evaluate(path, task="ranking", at=(2, 3), relevant=4, resamples=0)
    assert found == json.loads(json.dumps(wanted.to_dict()))
