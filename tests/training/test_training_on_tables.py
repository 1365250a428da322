"""From a table of strings to a model: one call, the same bytes as by hand, saved and loaded."""

from __future__ import annotations

import json
import signal

import pytest
import torch

from object2vec import ArtifactError, Config, ConfigError, DataError, Interrupted, Object2Vec
from object2vec.reporting import events
from object2vec.training.memory import checked_memory, needed_bytes
from object2vec.training.stop import StopRequest

USERS, FILMS = [f"user {i}" for i in range(7)], [f"film {i}" for i in range(9)]
RATINGS = {
    "user": [USERS[i % 7] for i in range(60)],
    "film": [FILMS[i * i % 9] for i in range(60)],
    "rating": [float(i % 5 + 1) for i in range(60)],
}
FAST = {"enc_dim": 4, "mlp_dim": 4, "mini_batch_size": 16, "epochs": 2, "threads": 1}
SIDES = {"in0": "user:token", "in1": "film:token"}


class Log(list):
    def __call__(self, event):
        self.append(event)

    def close(self):
        pass

    def of(self, kind):
        return [event for event in self if isinstance(event, kind)]


def rated(**given) -> Object2Vec:
    return Object2Vec(**{**SIDES, "label": "rating", **FAST, **given})


def weights(model: Object2Vec) -> dict[str, bytes]:
    state = model.artifact.network.state_dict()
    return {name: tensor.numpy().tobytes() for name, tensor in state.items()}


def test_a_file_of_strings_becomes_a_model(tmp_path):
    path = tmp_path / "ratings.csv"
    rows = zip(*RATINGS.values(), strict=True)
    path.write_text("user,film,rating\n" + "".join(f"{u},{f},{r:g}\n" for u, f, r in rows))
    log = Log()
    model = rated(in0="user", in1="film").fit(str(path), split=0.2, reporters=[log])
    (learned,) = log.of(events.TableLearned)
    assert sum(learned.rows.values()) == 60
    assert 0 < learned.rows["validation"] < 30
    assert learned.preset.startswith("ratings (")
    assert [(each.column, each.kind) for each in learned.fields] == [
        ("user", "token"),
        ("film", "token"),
    ]
    assert all(each.reason for each in learned.fields)
    assert [each.tokens for each in learned.fields] == [7, len(set(RATINGS["film"]))]
    decided = {each.name: each.value for each in learned.decisions}
    assert decided["output_layer"] == model.config.output_layer == "mean_squared_error"
    assert [e.channel for e in log.of(events.ChannelOpened)] == ["train", "validation"]
    assert not any("of token tables" in note.text for note in log.of(events.Noted))  # so little
    assert weights(rated().fit(RATINGS)) == weights(rated().fit({**RATINGS, "other": [0] * 60}))


def test_strings_and_numbers_by_hand_give_the_same_bytes(tmp_path):
    """With missing values and a rare film, so that training reads every row there is."""
    table = {**RATINGS, "user": [None, *RATINGS["user"][1:]], "film": [*RATINGS["film"]]}
    table["film"][5:7] = ["seen once", None]
    columns = {"in0": "user:token(unseen=skip)", "in1": "film:token(min_count=2)"}
    model = rated(**columns, early_stopping_patience=5)  # the preset's is more than AWS allows
    model.fit(table, validation=table, save_to=tmp_path / "strings")
    ids = [{e.token: e.row for _, e in model.schema.entries(side)} for side in (0, 1)]
    missing, unknown = 1, 2
    ids[1][None] = missing
    by_hand = {
        "in0": [[ids[0].get(user, missing)] for user in table["user"]],
        "in1": [[ids[1].get(film, unknown)] for film in table["film"]],
        "label": table["rating"],
    }
    settings = model.config.to_dict()
    Object2Vec(**settings).fit(by_hand, validation=by_hand, save_to=tmp_path / "numbers")
    files = [tmp_path / name / "model.safetensors" for name in ("strings", "numbers")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert (tmp_path / "strings" / "schema.json").exists()
    assert not (tmp_path / "numbers" / "schema.json").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ""),
        ({"split": 0.2}, "20 % at random"),
        ({"split": 0.125, "group": "user"}, "12.5 % of the groups of user"),
        ({"split": 0.2, "time": "day"}, "the latest 20 % by day"),
    ],
)
def test_the_log_says_which_rows_are_held_out(given, said):
    log, how = Log(), {"split": given.pop("split")} if "split" in given else {}
    table = {**RATINGS, "day": [f"2026-01-{i % 28 + 1:02d}" for i in range(60)]}
    rated(epochs=1, **given).fit(table, **how, reporters=[log])
    (learned,) = log.of(events.TableLearned)
    assert learned.split == said
    held_out = learned.rows.get("validation", 0)
    assert held_out == 0 if not said else 0 < held_out < 30
    assert learned.rows["train"] + held_out == 60
    assert [(e.side, e.column, e.kind, e.reason) for e in learned.fields] == [
        (0, "user", "token", ""),
        (1, "film", "token", ""),
    ]
    users = 7 - ("group" in given)  # all rows of one are held out
    assert [e.tokens for e in learned.fields] == [users, len(set(RATINGS["film"]))]
    for field in learned.fields:
        assert {n: c.values for n, c in field.coverage.items()} == learned.rows


def test_a_model_remembers_what_was_set_and_so_does_one_that_goes_on_from_it():
    given = {"comparator_list": ["hadamard", "abs_diff"], "learning_rate": 0.02, "dropout": "0.1"}
    first = rated(preset="ratings", epochs=1, **given).fit(RATINGS)
    plain = {**FAST, **given, "epochs": 1, "preset": "ratings"}
    assert first.schema.decisions["given"] == plain
    assert first.schema.decisions["preset"] == "ratings (named)"
    reasons = first.schema.decisions["decisions"]
    assert reasons["enc0_vocab_size"]["value"] == first.config.encoders[0].vocab_size
    assert "7 tokens of in0" in reasons["enc0_vocab_size"]["reason"]
    second = Object2Vec(epochs=2, learning_rate=0.01).fit(RATINGS, start_from=first)
    assert second.schema.decisions["given"] == plain | {"epochs": 2, "learning_rate": 0.01}
    assert json.loads(json.dumps(second.schema.decisions)) == second.schema.decisions


def test_pairs_that_are_made_are_counted_in_the_log():
    log, table = Log(), {"basket": ["a|b|c", "d|e", "f"] * 8}
    model = Object2Vec(in0='basket:tokens("|")', pairs="first_two", epochs=1, threads=1)
    model.fit(table, reporters=[log])
    (learned,) = log.of(events.TableLearned)
    text = "16 pairs are made of the rows each epoch: --pairs first_two"
    assert text in [note.text for note in learned.notes if note.level == "info"]
    assert log.of(events.ChannelOpened)[0].records == 16


def test_what_is_saved_is_loaded(tmp_path):
    model = rated(share=("user", "film"), preset="ratings").fit(RATINGS, save_to=tmp_path / "m")
    loaded = Object2Vec.load(tmp_path / "m")
    assert weights(loaded) == weights(model)
    assert loaded.config == model.config
    assert loaded.evaluate(RATINGS) == model.evaluate(RATINGS)
    assert loaded.schema.fingerprint == model.schema.fingerprint
    assert repr(loaded).count("=") == repr(model).count("=")
    assert weights(loaded.fit(RATINGS)) == weights(model)
    said = json.loads((tmp_path / "m" / "schema.json").read_text())
    assert said["decisions"]["decisions"]["tied_token_embedding_weight"]["reason"]


@pytest.mark.parametrize(("label", "preset"), [("rating", None), (None, None), (None, "detection")])
def test_positives_are_validated_with_the_same_negatives_each_time(label, preset):
    model = rated(label=label, preset=preset).fit(RATINGS, validation=RATINGS)
    first, again = model.evaluate(RATINGS), model.evaluate(RATINGS)
    assert first == again
    if preset == "detection":  # the others are measured without drawn negatives
        assert first["binary_classification_accuracy"] < 1
        epochs = [e for e in model.facts.history if e["event"] == "epoch"]
        assert epochs[-1]["validation"]["binary_classification_cross_entropy"] > 0.1


def test_labels_beside_the_table_count_instead_of_its_own():
    plain = {name: RATINGS[name] for name in ("user", "film")}
    model = rated().fit(RATINGS)
    for table, label in ((plain, None), (plain, "rating"), (RATINGS, "rating")):
        assert weights(rated(label=label).fit(table, RATINGS["rating"])) == weights(model)
    assert model.score(plain, RATINGS["rating"]) == model.score(RATINGS)
    with pytest.raises(DataError, match="y: must have one label for each of the 60 rows; got 1"):
        rated().fit(RATINGS, [1.0])


def test_a_weight_of_one_changes_no_byte_and_others_do():
    model = rated().fit(RATINGS)
    assert weights(rated(weight="w").fit({**RATINGS, "w": [3.0] * 60})) == weights(model)
    other = rated(weight="w").fit({**RATINGS, "w": [float(i + 1) for i in range(60)]})
    assert weights(other) != weights(model)


def test_what_only_tables_have_is_an_error_without_columns():
    records = [{"in0": [1], "in1": [2], "label": 1}] * 4
    sizes = {"enc0_vocab_size": 9, "enc0_max_seq_len": 1}
    reading = {"format": "csv", "separator": ";", "quote": "", "encoding": "latin-1"}
    reading |= {"columns": ["in0"]}
    each = [(name, {name: value}) for name, value in (reading | {"split": 0.1}).items()]
    for name, given in [*each, ("preset", {})]:
        arguments = {"preset": "topn"} if name == "preset" else {}
        with pytest.raises(ConfigError, match=f"^{name}: goes with the columns of a table"):
            Object2Vec(**sizes, **FAST, **arguments).fit(records, **given)
    with pytest.raises(ConfigError, match="in1: must name at least one column"):
        Object2Vec(in0="user").fit(RATINGS)


class StopAt(Log):
    """Asks to stop when the second epoch begins."""

    def __init__(self, stop: StopRequest) -> None:
        self.stop = stop

    def __call__(self, event):
        if isinstance(event, events.EpochDone) and event.epoch == 0:
            self.stop.request(signal.SIGTERM)


def test_a_resumed_run_reaches_the_same_bytes_and_other_strings_are_other_data(tmp_path):
    whole = rated().fit(RATINGS, validation=RATINGS)
    stop, folder = StopRequest(), tmp_path / "checkpoints"
    with pytest.raises(Interrupted):
        rated().fit(
            RATINGS,
            validation=RATINGS,
            checkpoints=folder,
            reporters=[StopAt(stop)],
            stop=stop,
        )
    renamed = {**RATINGS, "user": [name.replace("0", "x") for name in RATINGS["user"]]}
    with pytest.raises(ArtifactError, match="must belong to this run; got 'other data'"):
        rated().fit(renamed, validation=renamed, checkpoints=folder, resume=True)
    resumed = rated().fit(RATINGS, validation=RATINGS, checkpoints=folder, resume=True)
    assert weights(resumed) == weights(whole)


def test_a_run_that_is_stopped_in_its_first_epoch_leaves_nothing_random():
    stop = StopRequest()
    stop.request(signal.SIGTERM)
    model = rated()
    with pytest.raises(Interrupted):
        model.fit(RATINGS, stop=stop)
    weight = model.artifact.network.table(0).weight
    assert torch.allclose(weight[1], weight[3:].mean(dim=0))


def test_tables_too_large_for_the_machine_are_an_error_before_they_are_made(monkeypatch):
    monkeypatch.setattr("object2vec.training.memory.memory_bytes", lambda device: 100)
    with pytest.raises(ConfigError, match=r"^token tables: must fit into the 0\.0 MiB .*optimizer"):
        rated().fit(RATINGS)


def test_what_tables_and_optimizer_need():
    sizes = {f"enc{side}_{name}": 10 for side in (0, 1) for name in ("vocab_size", "max_seq_len")}
    sizes |= {"enc0_network": "pooled_embedding", "enc_dim": 8}
    assert needed_bytes(Config.build(sizes)) == (2 * 320, 2 * 2 * 320)
    assert checked_memory(Config.build(sizes)) == ""  # so little is not worth a line
    large = Config.build(sizes | {"enc0_vocab_size": 2_000_000})
    said = "training needs 122.1 MiB of token tables and 244.1 MiB of optimizer state"
    assert checked_memory(large) == said
    tied = {"tied_token_embedding_weight": True, "optimizer": "sgd"}
    assert needed_bytes(Config.build(sizes | tied)) == (320, 0)


def test_what_tables_need_with_partners_averages_and_vectors_that_stay(monkeypatch):
    """Of rows of 4 numbers: those of partners are learned, too, and a frozen table has no state."""
    sizes = {f"enc{side}_max_seq_len": 10 for side in (0, 1)}
    sizes |= {f"enc{side}_network": "pooled_embedding" for side in (0, 1)}
    sizes |= {"enc0_vocab_size": 10, "enc1_vocab_size": 30, "enc_dim": 4, "optimizer": "adagrad"}
    row = 4 * 4
    assert needed_bytes(Config.build(sizes)) == (40 * row, 40 * row)
    for side, rows in ((0, 70), (1, 50)):
        others = {f"enc{side}_partners": True, f"enc{1 - side}_partners": False}
        assert needed_bytes(Config.build(sizes | others)) == (rows * row, rows * row)
    averaged = Config.build(sizes | {"weight_averaging": 0.5})
    assert needed_bytes(averaged) == (40 * row, 2 * 40 * row)
    frozen = {"enc1_vocab_file": "v", "enc1_pretrained_embedding_file": "w"}
    assert needed_bytes(Config.build(sizes | frozen)) == (40 * row, 10 * row)
    for available, is_enough in ((80 * row, True), (80 * row - 1, False), (None, True)):
        monkeypatch.setattr("object2vec.training.memory.memory_bytes", lambda _, b=available: b)
        if is_enough:
            assert checked_memory(Config.build(sizes)) == ""
            continue
        with pytest.raises(
            ConfigError, match=r"memory that cpu has; got '0\.0 MiB of token tables"
        ):
            checked_memory(Config.build(sizes))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (2**14 - 1, ""),
        (2**14, "64.0 MiB"),
        (2**18 - 256, "1,023.0 MiB"),
        (2**18, "1.0 GiB"),
        (2**19 + 2**17, "2.5 GiB"),
    ],
)
def test_what_tables_need_is_said_in_units_that_suit(rows, said):
    """Rows of 1024 numbers, 4 KiB; an optimizer without state adds nothing."""
    sizes = {f"enc{side}_{name}": 10 for side in (0, 1) for name in ("vocab_size", "max_seq_len")}
    sizes |= {"enc0_vocab_size": rows, "enc0_network": "pooled_embedding", "enc_dim": 1024}
    config = Config.build(sizes | {"tied_token_embedding_weight": True, "optimizer": "sgd"})
    expected = f"training needs {said} of token tables and 0.0 MiB of optimizer state"
    assert checked_memory(config) == (expected if said else "")


def test_two_texts_with_a_shared_encoder_have_one_vocabulary():
    asked = {"first": ["a dog", "a cat", "dogs run"] * 20, "second": ["dog", "a dog", "cats"] * 20}
    asked["relation"] = ["yes", "no", "no"] * 20
    given = {"in0": "first:text", "in1": "second:text", "label": "relation", "epochs": 2}
    model = Object2Vec(**given, shared_encoder=True).fit(asked)
    assert model.schema.declared.share == (("first", "second"),)
    assert model.encode(in0=["a dog"]).tobytes() == model.encode(in1=["a dog"]).tobytes()
    several = given | {"in0": ["first:text", "second:text"]}
    with pytest.raises(
        ConfigError, match="shared_encoder: must be false where no column is shared"
    ):
        Object2Vec(**several, shared_encoder=True).fit(asked)
