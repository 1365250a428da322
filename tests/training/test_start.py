"""Going on from a model: what it knows keeps its rows, what is new begins as it was read."""

from __future__ import annotations

import functools
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from object2vec import ConfigError, Object2Vec, StorageError
from object2vec.fields.base import Entry
from object2vec.network.network import new_network
from object2vec.training.carried import carry_state
from object2vec.training.optimizer import Optimizer

USERS, FILMS = [f"user {i}" for i in range(7)], [f"film {i}" for i in range(9)]


def table(users, films) -> dict:
    n = 60
    return {
        "user": [users[i % len(users)] for i in range(n)],
        "film": [films[i * 7 % len(films)] for i in range(n)],
        "rating": [float(i % 5 + 1) for i in range(n)],
    }


OLD = table(USERS, FILMS)
NEW = table([*USERS[2:], "new user", "another"], [*FILMS, "new film"])
COLUMNS = {"in0": "user:token", "in1": "film:token", "label": "rating"}
FAST = {
    "enc_dim": 4,
    "mlp_dim": 4,
    "epochs": 2,
    "threads": 1,
    "learning_rate": 0.05,
    "mini_batch_size": 16,
    "weight_decay": 0.0,
    "enc0_partners": False,
    "enc1_partners": False,
    "noise_temperature": 0.0,  # of the preset for ratings, which moves a row by far more than STILL
    "weight_averaging": 0.0,
}
STILL = {"learning_rate": 1e-6, "optimizer": "sgd", "epochs": 1}


def model(**given) -> Object2Vec:
    return Object2Vec(**{**COLUMNS, **FAST, **given})


def table_of(fitted: Object2Vec, side: int) -> np.ndarray:
    return fitted.artifact.network.table(side).weight.numpy()


def rows_of(fitted: Object2Vec, side: int) -> dict[str | None, int]:
    return {entry.token: entry.row for _, entry in fitted.schema.entries(side) if entry.token}


@pytest.fixture(scope="module")
def old() -> Object2Vec:
    return model().fit(OLD)


@pytest.mark.parametrize("share", [(), ("user", "film")])
@pytest.mark.parametrize("kind", ["token", "token(buckets=2)"])
def test_known_tokens_keep_their_rows_and_new_ones_begin_where_they_were_read(share, kind):
    old = model(in0=f"user:{kind}", in1=f"film:{kind}", share=share).fit(OLD)
    grown = Object2Vec(**STILL).fit(NEW, start_from=old)
    assert grown.config.enc_dim == old.config.enc_dim
    for side, new in ((0, ["new user", "another"]), (1, ["new film"])):
        before, after = rows_of(old, side), rows_of(grown, side)
        assert before.items() <= after.items()
        assert set(new) <= after.keys() - before.keys()
        vectors, first = table_of(grown, side), table_of(old, side)
        assert len(vectors) == grown.schema.table_size(side) > len(first)
        np.testing.assert_allclose(vectors[: len(first)], first, atol=1e-4)
        column = old.schema.columns(side)[0]
        for token in new:
            read, _ = old.schema.encode(side, {column: pa.array([token])})
            np.testing.assert_allclose(
                vectors[after[token]], first[read.values].mean(axis=0), atol=1e-4
            )


@pytest.mark.parametrize("kind", ["token(min_count=9)", "token(min_count=9, buckets=2)"])
def test_new_tokens_begin_where_rare_ones_have_been_learned(kind):
    """Which are rows that training has read, so that they are not the mean of all."""
    old = model(in0=f"user:{kind}").fit(OLD)
    grown = Object2Vec(**STILL).fit(table(["new", "newer", *USERS[:3]], FILMS), start_from=old)
    known, rows = table_of(old, 0), rows_of(grown, 0)
    for token in ("new", "newer"):
        read, _ = old.schema.encode(0, {"user": pa.array([token])})
        begun = known[read.values].mean(axis=0)
        np.testing.assert_allclose(table_of(grown, 0)[rows[token]], begun, atol=1e-4)
        assert np.abs(begun - known[1:].mean(axis=0)).max() > 0.01


@pytest.mark.parametrize("layer", ["softmax", "mean_squared_error"])
def test_layers_go_on_but_those_of_a_head_for_another_output_layer(layer):
    given = {**IDS, **FAST, "enc0_network": "hcnn", "enc0_layers": 1, "mlp_layers": 1}
    first = Object2Vec(**given, output_layer="softmax").fit(RECORDS)
    second = Object2Vec(**STILL, output_layer=layer).fit(RECORDS, start_from=first)
    before, after = (each.artifact.network.state_dict() for each in (first, second))
    assert {name.partition(".")[0] for name in after} == {"tokens", "encoders", "head"}
    for name, tensor in after.items():
        goes_on = layer == "softmax" or not name.startswith("head.")
        if tensor.shape == before[name].shape and tensor.dim() > 1:
            assert torch.allclose(tensor, before[name], atol=1e-4) == goes_on, name
    scores = [model.predict(in0=[[1, 2]], in1=[[3]]) for model in (first, second)]
    assert (scores[0].shape == scores[1].shape) == (layer == "softmax")


def test_a_token_for_which_nothing_was_read_begins_as_the_mean(old):
    skipping = model(in0="user:token(unseen=skip)").fit(OLD)
    grown = Object2Vec(**STILL).fit(NEW, start_from=skipping)
    known = table_of(skipping, 0)[1:]  # without padding
    row = rows_of(grown, 0)["another"]
    np.testing.assert_allclose(table_of(grown, 0)[row], known.mean(axis=0), atol=1e-4)


def test_where_no_token_may_be_unseen_new_ones_begin_as_the_mean():
    strict = {"in0": "user:token(unseen=error)", "in1": "film:token(unseen=error)"}
    first = model(**strict).fit(OLD)
    second = Object2Vec(**STILL).fit(NEW, start_from=first)
    ours, before = table_of(second, 0), table_of(first, 0)
    known = rows_of(first, 0)
    for token, row in rows_of(second, 0).items():
        expected = before[known[token]] if token in known else before[1:].mean(0)
        np.testing.assert_allclose(ours[row], expected, atol=1e-4)
    assert {"new user", "another"} == rows_of(second, 0).keys() - known.keys()


@pytest.fixture(scope="module")
def with_state(tmp_path_factory):
    """A model of ids, and a checkpoint of its run, of whose table rows 1 to 4 have a state."""
    folder = tmp_path_factory.mktemp("state")
    given = {**IDS, **FAST, "optimizer": "adam", "token_embedding_storage_type": "row_sparse"}
    fitted = Object2Vec(**given).fit(RECORDS, checkpoints=folder, checkpoint_every=1)
    return fitted.artifact, folder


ROWS, MEAN = "tokens.0.rows", "optimizer.tokens.0.weight.mean"


def changed_state(with_state, tmp_path, change: dict) -> Optimizer:
    """The optimizer of such a model, with the state of a checkpoint that was changed."""
    start, folder = with_state
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (file,) = tmp_path.glob("step-*/tensors.safetensors")
    arrays = load_file(file)
    assert arrays[ROWS].tolist() == [1, 2, 3, 4]
    arrays |= {name: function(arrays[name]) for name, function in change.items()}
    save_file({n: tensor.contiguous() for n, tensor in arrays.items() if tensor is not None}, file)
    network = new_network(start.config, start.network.table(0).kernel)
    optimizer = Optimizer(network, start.config, network.table(0).kernel)
    carry_state(optimizer, tmp_path, start)
    return optimizer


@pytest.mark.parametrize(
    "change",
    [
        {ROWS: lambda rows: rows - 2},
        {ROWS: lambda rows: rows + 5},  # to 9, and there are 9
        {ROWS: lambda rows: rows[1:]},
        {MEAN: lambda mean: mean[1:]},
        {MEAN: lambda mean: mean[:, 1:]},
        {MEAN: lambda mean: None},
        {"optimizer.head.output.weight.mean": lambda mean: mean[:1]},
        {"optimizer.head.output.bias.variance": lambda variance: None},
    ],
)
def test_a_state_that_does_not_fit_its_rows_is_that_of_another_model(change, with_state, tmp_path):
    with pytest.raises(ConfigError, match=r"start_state: must hold a checkpoint .*another "):
        changed_state(with_state, tmp_path, change)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {ROWS: lambda rows: rows - 1},
        {ROWS: lambda rows: rows + 4},
        dict.fromkeys([ROWS, MEAN, MEAN.replace("mean", "variance")], lambda each: each[:0]),
    ],
)
def test_a_state_may_be_of_any_row_that_there_is(change, with_state, tmp_path):
    optimizer = changed_state(with_state, tmp_path, change)
    arrays = load_file(*tmp_path.glob("step-*/tensors.safetensors"))
    found = optimizer.parameters["tokens.0.weight"].state[0]
    expected = torch.zeros_like(found)
    expected[arrays[ROWS]] = arrays[MEAN]
    assert torch.equal(found, expected)


def test_a_state_of_other_shapes_is_that_of_another_model(tmp_path):
    given = {**IDS, **FAST, "mlp_layers": 0, "optimizer": "adam"}
    first = Object2Vec(**given).fit(RECORDS)
    for other, named in (
        ({"enc_dim": 5}, r"head\..*weight"),
        ({"enc0_vocab_size": 10, "enc1_vocab_size": 9}, r"tokens\.0\.weight"),
    ):
        folder = tmp_path / "-".join(other)
        Object2Vec(**given | other).fit(RECORDS, checkpoints=folder, checkpoint_every=1)
        with pytest.raises(ConfigError, match=f"must hold a checkpoint.*another {named}"):
            Object2Vec(**STILL | {"optimizer": "adam"}).fit(
                RECORDS, start_from=first, start_state=folder
            )


def test_a_model_that_has_grown_grows_again_and_is_saved(old, tmp_path):
    once = Object2Vec().fit(NEW, start_from=old, save_to=tmp_path / "once")
    again = Object2Vec().fit(table([*USERS, "last"], FILMS), start_from=tmp_path / "once")
    assert rows_of(once, 0).items() <= rows_of(again, 0).items()
    again.save(tmp_path / "again")
    loaded = Object2Vec.load(tmp_path / "again")
    assert rows_of(loaded, 0) == rows_of(again, 0)
    assert loaded.evaluate(OLD) == again.evaluate(OLD)
    assert loaded.get_params()["enc_dim"] == FAST["enc_dim"]


def test_what_is_not_set_is_as_it_was_and_the_sizes_are_reported(old):
    grown = Object2Vec(epochs=1).fit(NEW, start_from=old)
    assert (grown.config.epochs, grown.config.mlp_dim) == (1, 4)
    (notes,) = (event["notes"] for event in grown.facts.history if event["event"] == "run")
    sizes = "9 rows of in0 are known, 2 new; 11 rows of in1 are known, 1 new"
    assert any(sizes in note["text"] and "no optimizer state" in note["text"] for note in notes)


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"enc_dim": 5, "epochs": 1, "seed": 7, "optimizer": "sgd"}, "'enc_dim=5'"),
        ({"comparator_list": "hadamard"}, "\"comparator_list=['hadamard']\""),
        ({"mlp_layers": 2, "mlp_dim": 5, "dropout": 0.5}, "'mlp_layers=2, mlp_dim=5'"),
    ],
)
def test_another_architecture_is_an_error_that_names_what_makes_it_another(given, got, old):
    match = f"^start_from: must have the architecture .*; got {re.escape(got)}"
    with pytest.raises(ConfigError, match=match):
        Object2Vec(**given).fit(NEW, start_from=old)


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_known_rows_go_on_with_their_optimizer_state_and_new_ones_without(
    storage, optimizer, tmp_path, monkeypatch
):
    given = {"token_embedding_storage_type": storage, "optimizer": optimizer}
    first = model(**given).fit(OLD, checkpoints=tmp_path / "state", checkpoint_every=1)
    seen = {}

    def carried(step, *rest):
        note = carry_state(step, *rest)
        seen.update({n: tensor.clone() for n, tensor in step.tensors().items()}, rule=step.rule)
        return note

    monkeypatch.setattr("object2vec.training.run.carry_state", carried)
    plain = Object2Vec(epochs=1).fit(NEW, start_from=first)
    second = Object2Vec(epochs=1).fit(NEW, start_from=first, start_state=tmp_path / "state")
    (file,) = (tmp_path / "state").glob("step-*/tensors.safetensors")
    old = load_file(file)
    assert seen.pop("rule").steps_before == 2 * -(-len(OLD["user"]) // 16)
    for name, found in seen.items():
        expected = torch.zeros_like(found)
        rows = old.get(f"tokens.{name[17]}.rows") if name.startswith("optimizer.tokens.") else None
        at = slice(len(old[name])) if rows is None else rows.long()
        expected[at] = old[name]
        assert torch.equal(found, expected), name
        assert found.any(), name
    assert not seen[next(n for n in seen if n.startswith("optimizer.tokens.0"))][-2:].any()
    assert table_of(second, 0).tobytes() != table_of(plain, 0).tobytes()
    for fitted, is_said in ((plain, True), (second, False)):
        notes = [note["text"] for note in fitted.facts.history[1]["notes"]]
        assert any("Training goes on from a model" in text for text in notes)
        assert any("no optimizer state" in text for text in notes) == is_said


def test_a_state_is_of_the_run_of_the_model(old, tmp_path):
    fit = functools.partial(Object2Vec(epochs=1).fit, NEW, start_from=old)
    with pytest.raises(
        ConfigError, match=r"start_state: must hold a checkpoint of the model's run"
    ):
        fit(start_state=tmp_path)
    model().fit(NEW, checkpoints=tmp_path / "other", checkpoint_every=1)
    with pytest.raises(ConfigError, match=r"must hold a checkpoint of the model's .*another one's"):
        fit(start_state=tmp_path / "other")
    model().fit(OLD, checkpoints=tmp_path / "own", checkpoint_every=1)
    with pytest.raises(ConfigError, match=r"start_state: must be of the optimizer sgd"):
        Object2Vec(optimizer="sgd").fit(NEW, start_from=old, start_state=tmp_path / "own")
    with pytest.raises(ConfigError, match=r"start_state: must come with a model"):
        model().fit(NEW, start_state=tmp_path / "own")
    with pytest.raises(ConfigError, match=r"start_state: must not be the folder of this run's"):
        fit(start_state=tmp_path / "own", checkpoints=tmp_path / "own", overwrite=True)


def test_a_run_keeps_its_state_beside_the_model_for_the_next(tmp_path):
    kept, paths = tmp_path / "state", {"checkpoints": tmp_path / "run", "save_to": tmp_path / "old"}
    first = model().fit(OLD, save_state=kept, **paths)
    assert not paths["checkpoints"].exists()
    assert [path.name[:5] for path in kept.iterdir() if path.is_dir()] == ["step-"]
    go_on = functools.partial(Object2Vec(epochs=1).fit, NEW, start_from=tmp_path / "old")
    by_checkpoints = tmp_path / "by"
    model().fit(OLD, checkpoints=by_checkpoints, checkpoint_every=1)
    expected = go_on(start_state=by_checkpoints)
    found = go_on(start_state=kept, save_state=kept, overwrite=True)
    for side in (0, 1):
        assert table_of(found, side).tobytes() == table_of(expected, side).tobytes()
    with pytest.raises(ConfigError, match=r"must hold a checkpoint of the model's .*another one's"):
        go_on(start_state=kept)  # it is that of the second model by now
    assert Object2Vec(epochs=1).fit(NEW, start_from=found, start_state=kept).artifact is not None
    assert first.artifact is not None


def test_a_state_does_not_replace_another_or_stand_in_the_way(tmp_path):
    model().fit(OLD, save_state=tmp_path / "state")
    with pytest.raises(StorageError, match="must hold no checkpoint of an earlier run"):
        model().fit(OLD, save_state=tmp_path / "state")
    assert model().fit(
        OLD, save_state=tmp_path / "state", checkpoints=tmp_path / "c", resume=True
    )  # which may have been stopped before it wrote its own
    with pytest.raises(ConfigError, match=r"save_state: must not be the folder of this run's"):
        model().fit(OLD, save_state=tmp_path / "a", checkpoints=tmp_path / "a")
    with pytest.raises(ConfigError, match="must not lie in the folder of the model"):
        model().fit(OLD, save_state=tmp_path / "m" / "state", save_to=tmp_path / "m")
    with pytest.raises(ConfigError, match="save_state: must be a folder of this machine"):
        model().fit(OLD, save_state="s3://bucket/state")


RECORDS = [{"in0": [i % 4 + 1], "in1": [i % 3 + 1], "label": i % 2} for i in range(24)]
IDS = {"enc0_network": "pooled_embedding", "enc0_max_seq_len": 2, "enc0_vocab_size": 9}


def test_a_model_of_ids_goes_on_with_the_same_shapes():
    first = Object2Vec(**IDS, **FAST, mlp_layers=0).fit(RECORDS)
    second = Object2Vec(**STILL).fit(RECORDS, start_from=first)
    np.testing.assert_allclose(table_of(second, 0), table_of(first, 0), atol=1e-4)
    with pytest.raises(ConfigError, match=r"start_from: .*enc0_vocab_size=10"):
        Object2Vec(enc0_vocab_size=10).fit(RECORDS, start_from=first)
    with pytest.raises(ConfigError, match=r"start_from: .*shared_encoder=True"):
        Object2Vec(shared_encoder=True).fit(RECORDS, start_from=first)
    with pytest.raises(ConfigError, match="start_from: must be a model that knows columns"):
        model().fit(OLD, start_from=first)


def test_rows_that_training_never_reads_are_the_mean_of_their_vocabulary(old, monkeypatch):
    monkeypatch.setattr("object2vec.training.settling._ROWS", 2)  # several pieces of a table
    untrained = old.schema.untrained_rows(0)
    assert untrained.tolist() == [1, 2]  # the missing value and the unknown one
    weight = table_of(old, 0)
    for row in untrained:
        np.testing.assert_allclose(weight[row], weight[3:].mean(axis=0), atol=1e-6)
    tied = model(share=("user", "film")).fit(OLD)
    weight, rows = table_of(tied, 0), [*rows_of(tied, 0).values()]
    np.testing.assert_allclose(weight[1], weight[rows].mean(axis=0), atol=1e-6)


def test_entries_name_what_has_no_token(old):
    (_, first), (_, second), *_ = old.schema.entries(0)
    assert [first, second] == [Entry(None, 1, 0, "missing"), Entry(None, 2, 0, "unknown")]
