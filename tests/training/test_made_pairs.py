"""Training on pairs that are made afresh: resumed to the byte, saved, loaded, and gone on from."""

from __future__ import annotations

import signal

import numpy as np
import pytest

from object2vec import Interrupted, Object2Vec
from object2vec.errors import ConfigError
from object2vec.reporting import events
from object2vec.training.stop import StopRequest

DOCUMENTS = [
    [f"a{n % 7} b{(n + s) % 5} c{(n * s) % 9}" for s in range(1 + n % 5)] for n in range(60)
]
PLAYS = [(f"user {u}", f"song {(u * i * i) % 23}") for u in range(12) for i in range(3 + u % 5)]
TABLES = {
    "sentence_rest": ({"sentences": DOCUMENTS}, {"in0": "sentences:text"}),
    "sentence_rest(least=0.5)": (
        {"sentences": DOCUMENTS},
        {"in0": ["sentences:text", "sentences:text(ngrams=2, shortest=2, weight=0.2)"]},
    ),
    "neighbours": ({"sentences": DOCUMENTS}, {}),
    "group(pairs=2)": (
        {
            "line": [s for d in DOCUMENTS for s in d],
            "of": [i for i, d in enumerate(DOCUMENTS) for _ in d],
        },
        {"in0": "line:text", "group": "of"},
    ),
    "history(dropout=0.3)": (
        {"user": [u for u, _ in PLAYS], "song": [s for _, s in PLAYS]},
        {"in0": "user", "in1": "song"},
    ),
    "labels": (
        {"text": [d[0] for d in DOCUMENTS], "tags": [d[0].split() for d in DOCUMENTS]},
        {"in0": "text:text", "in1": "tags"},
    ),
    "first_two": ({"members": DOCUMENTS}, {"in0": "members"}),
}
FAST = {
    "enc_dim": 4,
    "mini_batch_size": 32,
    "epochs": 3,
    "threads": 1,
    "seed": 3,
    "enc0_network": "pooled_embedding",
    "output_layer": "dot_product",
    "enc0_pool_exponent": 0.5,
    "enc1_network": "pooled_embedding",
    "negative_sampling_rate": 2,
    "learning_rate": 0.01,
}
EVERY = pytest.mark.parametrize("pairs", TABLES)


def fit(pairs: str, **how) -> Object2Vec:
    table, columns = TABLES[pairs]
    return Object2Vec(**columns, pairs=pairs, **FAST).fit(table, split=0.2, **how)


def weights(model: Object2Vec) -> dict[str, bytes]:
    state = model.artifact.network.state_dict()
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


class StopAt:
    """Asks a run to stop when an epoch is done."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def __call__(self, event):
        if isinstance(event, events.EpochDone):
            self._stop.request(signal.SIGTERM)

    def close(self):
        pass


@EVERY
def test_a_resumed_run_reaches_the_same_bytes(pairs, tmp_path):
    whole, stop = fit(pairs), StopRequest()
    with pytest.raises(Interrupted):
        fit(pairs, checkpoints=tmp_path / "run", stop=stop, reporters=[StopAt(stop)])
    resumed = fit(pairs, checkpoints=tmp_path / "run", resume=True)
    assert weights(resumed) == weights(whole)
    assert resumed.facts.history[-1]["best_epoch"] == whole.facts.history[-1]["best_epoch"]


@EVERY
def test_a_saved_model_takes_objects_as_its_fields_say(pairs, tmp_path):
    model = fit(pairs)
    model.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    values = {"text": "a1 b2 c3", "history": ["song 1", "song 4"], "user": "user 3"}
    sides = []
    for side in (0, 1):
        columns = loaded.schema.columns(side)
        one = {
            name: [values["history" if "history" in name else "user" if name == "user" else "text"]]
            for name in columns
        }
        sides.append(model.encode(**{f"in{side}": one}))
        assert np.isfinite(sides[side]).all()
        assert loaded.encode(**{f"in{side}": one}).tobytes() == sides[side].tobytes()
    again = Object2Vec(**loaded.get_params())
    table, _ = TABLES[pairs]
    assert weights(again.fit(table, split=0.2)) == weights(model)


def test_a_user_is_known_by_name_by_history_or_by_both():
    table, columns = TABLES["history(dropout=0.3)"]
    own = Object2Vec(**columns, pairs="history(user=own)", **FAST).fit(table)
    assert own.schema.columns(0) == ["user", "song_history"]
    alone, nobody = own.encode(in0={"user": ["user 3", None]})
    played = {"song_history": [["song 1", "song 4"]]}
    (unknown,), (both,) = own.encode(in0=played), own.encode(in0={"user": ["user 3"], **played})
    assert np.allclose((both - unknown) * np.sqrt(3), alone - nobody, atol=1e-6)  # exponent 0.5


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_a_user_without_a_history_has_that_of_training(exponent):
    table, columns = TABLES["history(dropout=0.3)"]
    given = {**columns, "pairs": "history"}
    model = Object2Vec(**given, **{**FAST, "enc0_pool_exponent": exponent}).fit(table)
    users = [f"user {u}" for u in range(12)]
    songs = [[song for name, song in PLAYS if name == user] for user in users]
    by_name = model.encode(in0={"user": users})
    both = model.encode(in0={"user": users, "song_history": songs})
    cosines = (both * by_name).sum(axis=1)
    cosines /= np.linalg.norm(both, axis=1) * np.linalg.norm(by_name, axis=1)
    assert np.allclose(cosines, 1)
    assert np.allclose(both, by_name, atol=1e-6) == (exponent == 1)
    assert np.abs(by_name[1:] - by_name[0]).min(axis=1).max() > 1e-3
    assert np.allclose(model.encode(in0={"user": ["somebody"]}), by_name.mean(axis=0), atol=1e-6)


def test_the_preset_topn_makes_histories_of_users_and_items():
    table, columns = TABLES["history(dropout=0.3)"]
    few = {"epochs": 1, "threads": 1, "enc_dim": 4}
    log = []
    model = Object2Vec(**columns, preset="topn", **few)
    model.fit(table, split=0.2, log_format="plain", reporters=[log_of(log)])
    assert model.schema.declared.making.maker.startswith("history(")
    (learned,) = (event for event in log if isinstance(event, events.TableLearned))
    assert any("--pairs history(" in note.text for note in learned.notes)
    assert "ndcg@10" in model.facts.history[-2]["validation"]
    assert model.encode(in0={"user": ["user 3"]}).any()
    rated = {**table, "stars": [1.0 + n % 5 for n in range(len(PLAYS))]}
    for given, data in (
        ({"pairs": "none"}, table),
        ({"label": "stars"}, rated),
        ({"group": "stars"}, rated),
        ({"in0": "user:text"}, table),
        ({"in0": ["user", "song:text"]}, table),
    ):
        plain = Object2Vec(**{**columns, "preset": "topn", **few, **given})
        assert plain._declared_schema().making is None
        if given == {"pairs": "none"}:
            assert plain.fit(data).encode(in0=["user 3"]).any()


def log_of(events_: list):
    class Log:
        def __call__(self, event):
            events_.append(event)

        def close(self):
            pass

    return Log()


def test_training_goes_on_from_a_model_of_made_pairs(tmp_path):
    model = fit("history(dropout=0.3)")
    more = {"user": ["user 1", "new", "new"], "song": ["song 0", "song 1", "a new one"]}
    model.save(tmp_path / "model")
    grown = Object2Vec().fit(more, start_from=tmp_path / "model")
    assert grown.schema.declared.making == model.schema.declared.making
    assert grown.encode(in0={"user": ["new"]}).any()


def test_fields_of_one_column_share_their_vocabularies_one_by_one():
    model = fit("sentence_rest(least=0.5)")
    declared = model.schema.declared
    kinds = ("text", "text(weight=0.2, ngrams=2, shortest=2)")
    columns = ("in0 sentences", "in1 text")
    assert declared.names == [f"{column}:{kind}" for column in columns for kind in kinds]
    assert declared.parts == [[0, 2], [1, 3]]
    for side in (0, 1):
        tokens = {entry.token for _, entry in model.schema.entries(side)}
        assert {"a1", "a1 b1"} <= tokens
    first, turned = model.encode(in0={"sentences": ["a1 b1", "b1 a1"]})
    np.testing.assert_array_equal(first, model.encode(in1={"text": ["a1 b1"]})[0])
    assert (first != turned).any()


def test_a_table_of_pairs_is_evaluated_as_it_is():
    model = fit("sentence_rest")
    table = {"sentences": ["a1 b2", "a3 c1"], "text": ["b2 c2 a1", "a1 a2 a3"]}
    assert model.predict(table).shape == (2, 1)
    assert "binary_classification_cross_entropy" in model.evaluate(table)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pairs": "sentence_rest", "in0": ["a", "b"]}, "must be one column each with pairs="),
        ({"pairs": "history", "in0": "user", "in1": ["a", "b"]}, "in1: must be one column with"),
        (
            {"pairs": "history", "in0": ["user", "a"], "in1": "b"},
            r"in0: must be one column with pairs=history; got .user, a.. Write history\(user=own\)",
        ),
        (
            {"pairs": "windows", "in0": ["a:text", "b:text"]},
            "in0 and in1: must be one column each with pairs=windows; got .a, b, context.. Name",
        ),
        (
            {"pairs": "windows", "in0": "a:text", "in1": ["a", "b"]},
            "in0 and in1: must be one column each with pairs=windows; got .a, a, b.. Name one.",
        ),
        (
            {
                "pairs": "history",
                "in0": "user",
                "in1": "b",
                "enc0_partners": True,
                "tied_token_embedding_weight": False,
                "enc0_network": "pooled_embedding",
            },
            "enc0_partners: must be false where pairs are made of the rows; got True. Leave it",
        ),
        (
            {"pairs": "history", "in0": "user", "in1": "b", "enc0_network": "hcnn"},
            "enc0_network: must be pooled_embedding where a user's name stands for its history",
        ),
        ({"pairs": "labels", "in0": "a", "in1": ["a", "b"]}, "in1: must be one column with"),
        ({"pairs": "group", "in0": ["a", "b"]}, "group: must be given where in0 has several"),
        ({"pairs": "groups", "in0": "a"}, "pairs: must name a maker of pairs; got 'groups'"),
    ],
)
def test_what_a_maker_cannot_use_is_an_error(given, message):
    with pytest.raises(ConfigError, match=message):
        Object2Vec(**given).fit({"a": ["x"], "b": ["y"], "user": ["z"]})
