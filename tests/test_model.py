"""The class that people hold: parameters, channels, vectors of others, saving where it is told."""

from __future__ import annotations

import functools
import json
import signal
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

import object2vec
from object2vec import (
    ArtifactError,
    ConfigError,
    DataError,
    Interrupted,
    Object2Vec,
    Pairs,
    StorageError,
)
from object2vec.pairs.batches import evaluation_batches
from object2vec.reporting.events import ChannelOpened, CheckpointWritten, ModelSaved, RunStarted
from object2vec.training.stop import StopRequest

RECORDS = [
    {"in0": [1, 2], "in1": [3], "label": 1},
    {"in0": [4], "in1": [5, 1], "label": 0},
    {"in0": [2], "in1": [4], "label": 1},
]
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 6,
    "enc_dim": 4,
    "mlp_layers": 0,
    "epochs": 2,
    "threads": 1,
    "device": "cpu",
}


def model(**given) -> Object2Vec:
    return Object2Vec(**(SETTINGS | given))


def weights(fitted: Object2Vec) -> dict:
    return fitted.artifact.network.state_dict()


def same(one: Object2Vec, other: Object2Vec) -> bool:
    return all(torch.equal(weights(one)[name], weights(other)[name]) for name in weights(one))


class Recorder(list):
    def __call__(self, event):
        self.append(event)

    def of(self, kind):
        return [event for event in self if isinstance(event, kind)]

    def close(self):
        self.is_closed = True


def test_hyperparameters_are_kept_as_given_and_checked_when_used():
    made = Object2Vec(enc_dim="two", no_such_thing=1)
    assert made.get_params() == {"enc_dim": "two", "no_such_thing": 1}
    with pytest.raises(ConfigError, match="no_such_thing: must be a known hyperparameter") as err:
        made.config  # noqa: B018
    assert "enc_dim: must be" in str(err.value)
    with pytest.raises(ConfigError, match="enc0_vocab_size: is required"):
        made.fit(RECORDS)
    assert made.set_params(enc_dim="8") is made
    assert made.get_params()["enc_dim"] == "8"
    assert Object2Vec(**SETTINGS).config.enc_dim == 4


def test_params_are_copies_and_a_clone_is_equal():
    made = model()
    made.get_params()["enc_dim"] = 99
    assert made.config.enc_dim == 4
    assert same(Object2Vec(**made.get_params()).fit(RECORDS), made.fit(RECORDS))


def test_the_config_is_that_of_the_training_until_parameters_change():
    fitted = model().fit(RECORDS)
    assert fitted.config == fitted.artifact.config
    assert fitted.set_params(seed=9).config.seed == 9


def test_every_form_of_the_same_records_gives_the_same_model(tmp_path):
    expected = model().fit(RECORDS)
    columns = {key: [record[key] for record in RECORDS] for key in ("in0", "in1", "label")}
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    for form in (columns, Pairs.build(**columns), file, str(file), [file], tmp_path):
        assert same(model().fit(form), expected)
    assert model().fit(file).evaluate(file) == expected.evaluate(RECORDS)


def test_strings_and_numbers_mean_the_same():
    texts = {name: str(value) for name, value in SETTINGS.items()}
    assert same(Object2Vec(**texts).fit(RECORDS), model().fit(RECORDS))


def test_a_label_may_be_missing_where_negatives_are_made():
    bare = [{"in0": r["in0"], "in1": r["in1"]} for r in RECORDS]
    ones = [r | {"label": 1} for r in RECORDS]
    given = {"negative_sampling_rate": 1, "mini_batch_size": 4}
    assert same(model(**given).fit(bare), model(**given).fit(ones))
    with pytest.raises(DataError, match='train row 0: must have the key "label"'):
        model().fit(bare)
    with pytest.raises(DataError, match='validation row 0: must have the key "label"'):
        model(**given).fit(bare, validation=bare)
    with pytest.raises(DataError, match="train: must hold two records to make negatives; got 1"):
        model(**given).fit(bare[:1])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": []}, "must name at least one file"),
        (
            {"train": RECORDS, "validation": {"in0": [], "in1": [], "label": []}},
            "validation: must hold at least one record",
        ),
        ({"train": 3}, "train: must be a path, records or columns; got 3"),
        ({"train": "no-such-file.jsonl"}, "no-such-file.jsonl"),
        ({"train": [RECORDS[0] | {"in0": [6]}]}, r'train row 0: .*Vocab id "6" is not less than'),
        (
            {"train": RECORDS, "test": [RECORDS[0] | {"label": 2}]},
            "test row 0: label must be an in",
        ),
        ({"train": [RECORDS[0] | {"label": 0.5}]}, "train row 0: label must be an integer class"),
    ],
)
def test_wrong_records_are_refused_before_anything_is_trained(given, message):
    made, recorder = model(), Recorder()
    with pytest.raises(DataError, match=message):
        made.fit(**given, reporters=[recorder])
    assert recorder.is_closed
    with pytest.raises(ValueError, match="must be trained or loaded"):
        made.encode(in0=[[1]])


def test_reporters_hear_of_channels_in_order():
    recorder = Recorder()
    model().fit(RECORDS, validation=RECORDS[:2], test=RECORDS[:1], reporters=[recorder])
    assert isinstance(recorder[0], RunStarted)
    channels = [(e.channel, e.records, e.tokens1) for e in recorder.of(ChannelOpened)]
    assert channels == [("train", 3, 4), ("validation", 2, 3), ("test", 1, 1)]
    assert [e.buckets for e in recorder.of(ChannelOpened)] == [1, 1, 1]
    assert recorder[0].parameters == 4 * 4 * 2 + 2
    assert recorder[0].token_parameters == 2 * 6 * 4


@pytest.fixture
def auxiliary(tmp_path):
    folder = tmp_path / "auxiliary"
    folder.mkdir()
    (folder / "v.json").write_text(json.dumps({"one": 1, "two": 2, "five": 5, "none": 4}))
    lines = [f"{word} " + " ".join([str(i)] * 4) for i, word in enumerate(["one", "five", "two"])]
    (folder / "g.txt").write_text("\n".join(lines) + "\n")
    return folder


def pretrained(**given) -> Object2Vec:
    files = {"enc0_vocab_file": "v.json", "enc0_pretrained_embedding_file": "g.txt"}
    return model(**(files | given))


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_frozen_vectors_never_change_and_others_learn(storage, weight_decay, auxiliary):
    given = {
        "token_embedding_storage_type": storage,
        "weight_decay": weight_decay,
        "epochs": 5,
        "enc1_network": "pooled_embedding",
        "enc1_max_seq_len": 2,
        "enc1_vocab_size": 6,
        "enc1_vocab_file": "v.json",
        "enc1_pretrained_embedding_file": "g.txt",
        "enc1_freeze_pretrained_embedding": False,
        "mlp_layers": 1,
    }
    fitted = pretrained(**given).fit(RECORDS, auxiliary=auxiliary)
    frozen, trained = (weights(fitted)[f"tokens.{i}.weight"] for i in (0, 1))
    for token, value in ((1, 0.0), (5, 1.0), (2, 2.0)):
        assert (frozen[token] == value).all()
    start = pretrained(**given, learning_rate=1e-6).fit(RECORDS, auxiliary=auxiliary)
    assert torch.equal(frozen, weights(start)["tokens.0.weight"])
    assert (trained[[1, 5]] != torch.tensor([[0.0], [1.0]])).all()
    assert not torch.equal(trained, weights(start)["tokens.1.weight"])
    assert fitted.vocabularies == ({"one": 1, "two": 2, "five": 5, "none": 4},) * 2


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"enc0_freeze_pretrained_embedding": False, "token_embedding_storage_type": "row_sparse"},
    ],
    ids=["frozen", "row_sparse"],
)
def test_a_run_goes_on_only_with_the_vectors_that_it_began_with(given, auxiliary, tmp_path):
    """A checkpoint does not hold those that no update has changed."""
    fit = functools.partial(
        pretrained(**given).fit, RECORDS, auxiliary=auxiliary, checkpoints=tmp_path / "run"
    )
    stop = StopRequest()
    stop.request(signal.SIGTERM)
    with pytest.raises(Interrupted):
        fit(stop=stop)
    file, other = auxiliary / "g.txt", "none 7 7 7 7\n"
    before = file.read_text()
    file.write_text(before + other)
    with pytest.raises(ArtifactError, match="must belong to this run; got 'other initial vectors'"):
        fit(resume=True)
    file.write_text(before)
    assert same(fit(resume=True), pretrained(**given).fit(RECORDS, auxiliary=auxiliary))


def test_frozen_tables_survive_saving_and_resuming(auxiliary, tmp_path):
    expected = pretrained().fit(RECORDS, auxiliary=auxiliary)
    expected.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert same(loaded, expected)
    assert loaded.vocabularies == expected.vocabularies
    assert loaded.vocabularies[0] == {"one": 1, "two": 2, "five": 5, "none": 4}
    fitted = pretrained().fit(
        RECORDS, auxiliary=auxiliary, checkpoints=tmp_path / "run", checkpoint_every=1
    )
    assert same(fitted, expected)
    resumed = pretrained().fit(
        RECORDS, auxiliary=auxiliary, checkpoints=tmp_path / "run", resume=True
    )
    assert same(resumed, expected)


def test_tied_tables_load_their_vectors_once(auxiliary):
    recorder = Recorder()
    fitted = pretrained(tied_token_embedding_weight=True).fit(
        RECORDS, auxiliary=auxiliary, reporters=[recorder]
    )
    assert [name for name in weights(fitted) if name.startswith("tokens")] == ["tokens.0.weight"]
    assert (weights(fitted)["tokens.0.weight"][5] == 1.0).all()
    notes = [note.text for note in recorder[0].notes if "have a vector" in note.text]
    assert notes == [
        "enc0: 3 of 4 tokens have a vector in g.txt; the others keep their random one. "
        "The table is frozen."
    ]
    assert np.array_equal(fitted.encode(in0=[[1, 5]]), fitted.encode(in1=[[1, 5]]))


def test_files_without_their_folder_are_refused():
    with pytest.raises(
        ConfigError, match="auxiliary: must be given with enc0_vocab_file; got None"
    ):
        pretrained().fit(RECORDS)


def test_a_folder_of_files_that_nobody_names_is_warned_of(auxiliary):
    recorder = Recorder()
    model().fit(RECORDS, auxiliary=auxiliary, reporters=[recorder])
    text = "auxiliary is not read: no hyperparameter, such as enc0_vocab_file, names a file."
    assert [note.text for note in recorder[0].notes if note.level == "warning"] == [text]


def test_a_model_is_saved_while_it_is_still_the_runs(tmp_path):
    recorder = Recorder()
    fitted = model().fit(
        RECORDS,
        checkpoints=tmp_path / "run",
        checkpoint_every=1,
        save_to=tmp_path / "model",
        reporters=[recorder],
    )
    assert same(Object2Vec.load(tmp_path / "model"), fitted)
    assert len(recorder.of(ModelSaved)) == 1
    assert recorder.of(CheckpointWritten)
    assert not (tmp_path / "run").exists()  # it is not needed any more
    lines = (tmp_path / "model" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["run", "epoch", "epoch", "finished"]


def test_a_place_that_is_taken_is_refused_before_training(tmp_path):
    fitted = model().fit(RECORDS, save_to=tmp_path / "model")
    recorder = Recorder()
    with pytest.raises(StorageError, match=r"model: must not exist yet; .*allow overwriting"):
        model(seed=1).fit(RECORDS, save_to=tmp_path / "model", reporters=[recorder])
    assert recorder == []
    assert same(Object2Vec.load(tmp_path / "model"), fitted)
    other = model(seed=1).fit(RECORDS, save_to=tmp_path / "model", overwrite=True)
    assert same(Object2Vec.load(tmp_path / "model"), other)
    assert not same(other, fitted)


def test_an_interrupted_run_saves_no_model(tmp_path):
    stop = StopRequest()
    stop.request(15)
    with pytest.raises(Interrupted, match="Stopped by SIGTERM"):
        model().fit(RECORDS, checkpoints=tmp_path / "run", save_to=tmp_path / "model", stop=stop)
    assert not (tmp_path / "model").exists()
    fitted = model().fit(
        RECORDS, checkpoints=tmp_path / "run", resume=True, save_to=tmp_path / "model"
    )
    assert same(fitted, model().fit(RECORDS))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_checkpoints_at_a_url_are_refused():
    with pytest.raises(ConfigError, match="checkpoints: must be a folder of this machine; got 's3"):
        model().fit(RECORDS, checkpoints="s3://bucket/run")


def test_fitting_again_starts_afresh():
    fitted = model().fit(RECORDS)
    again = model().fit(RECORDS[:2])
    assert not same(fitted, again)
    assert same(again.fit(RECORDS), fitted)


def test_a_failed_fit_keeps_what_was_learned_before():
    fitted = model().fit(RECORDS)
    before = fitted.encode(in0=[[1]])
    with pytest.raises(DataError, match="must name at least one file"):
        fitted.fit([])
    assert np.array_equal(fitted.encode(in0=[[1]]), before)


def test_a_loaded_model_can_be_trained_anew_with_its_settings(tmp_path):
    fitted = model(dropout=0.25, weight_decay=0.5).fit(RECORDS)
    fitted.save(tmp_path / "model")
    loaded = Object2Vec.load(tmp_path / "model")
    assert loaded.get_params() == fitted.config.to_dict()
    assert same(loaded.fit(RECORDS), fitted)


@pytest.mark.parametrize("output", ["softmax", "mean_squared_error"])
def test_evaluation_is_computed_from_the_predictions(output):
    fitted = model(output_layer=output).fit(RECORDS)
    columns = Pairs.read(RECORDS)
    scores = fitted.predict(in0=columns.in0, in1=columns.in1).astype(np.float64)
    label = columns.label.astype(int)
    if output == "softmax":
        right = scores[np.arange(3), label]
        expected = {
            "perplexity": np.exp(-np.log(right).mean()),
            "cross_entropy": -np.log(right).mean(),
            "accuracy": (scores.argmax(1) == label).mean(),
        }
    else:
        error = scores[:, 0] - label
        expected = {
            "mean_squared_error": (error**2).mean(),
            "mean_absolute_error": abs(error).mean(),
        }
    found = fitted.evaluate(RECORDS)
    assert list(found) == list(expected)
    assert found == pytest.approx(expected, rel=1e-6)


def test_pairs_of_a_table_are_scored_as_those_of_both_sides():
    fitted = model().fit(RECORDS)
    sides = {side: [record[side] for record in RECORDS] for side in ("in0", "in1")}
    unlabelled = [{side: record[side] for side in sides} for record in RECORDS]
    expected = fitted.predict(**sides)
    for table in (RECORDS, unlabelled):
        assert fitted.predict(table).tobytes() == expected.tobytes()
    short = fitted.predict(table, max_seq_lens=(1, 1))
    first = {side: [ids[:1] for ids in given] for side, given in sides.items()}
    assert short.tobytes() == fitted.predict(**first).tobytes()


def test_evaluation_can_average_as_aws_does():
    fitted = model(mini_batch_size=2, output_layer="mean_squared_error").fit(RECORDS)
    real = fitted.evaluate(RECORDS)
    padded = fitted.evaluate(RECORDS, compat_metrics=True)
    assert real == fitted.evaluate(RECORDS, compat_metrics=False)
    assert padded != real
    # The batch of one is filled up with one of the three records.
    errors = (
        fitted.predict(in0=[r["in0"] for r in RECORDS], in1=[r["in1"] for r in RECORDS])[:, 0]
        - [1, 0, 1]
    ) ** 2
    assert any(
        padded["mean_squared_error"] == pytest.approx((sum(errors) + errors[i]) / 4, rel=1e-5)
        for i in range(3)
    )


def test_a_model_without_a_gpu_says_so(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match="device: must be there; 0 CUDA devices are; got 'cuda"):
        model(device="cuda").fit(RECORDS)
    assert model(device="auto").fit(RECORDS).artifact.network.table(0).weight.device.type == "cpu"
    with pytest.raises(ArtifactError, match="must be a model folder"):
        Object2Vec.load(Path(tmp_path) / "none")


def test_metrics_are_averaged_as_asked_over_an_uneven_last_batch():
    """12 records in batches of 8: AWS fills the last one up with records drawn at random."""
    records = [{"in0": [i % 5 + 1], "in1": [i % 3 + 1], "label": i % 2} for i in range(12)]
    fitted = model(mini_batch_size=8).fit(records)
    filled = replace(fitted.config, compat_metrics=True)
    expected = {}
    for compat, config in ((False, fitted.config), (True, filled)):
        batches = [*evaluation_batches(Pairs.read(records), config)]
        assert [len(batch.label) for batch in batches] == [8, 8 if compat else 4]
        losses = []
        for batch in batches:
            rows0, rows1 = (range(len(batch.in0)),) * 2
            if batch.pairing is not None:
                rows0, rows1 = batch.pairing.rows0, batch.pairing.rows1
            in0, in1 = (
                [c.row(i).tolist() for i in r] for c, r in ((batch.in0, rows0), (batch.in1, rows1))
            )
            scores = fitted.predict(in0=in0, in1=in1).astype(np.float64)
            losses += (-np.log(scores[range(len(scores)), batch.label.astype(int)])).tolist()
        expected[compat] = np.mean(losses)
    assert abs(expected[True] - expected[False]) > 1e-4
    for compat in (None, False, True):
        found = fitted.evaluate(records, compat_metrics=compat)["cross_entropy"]
        assert found == pytest.approx(expected[bool(compat)], rel=1e-5)
    as_trained = model(mini_batch_size=8, compat_metrics=True).fit(records)
    asked = [as_trained.evaluate(records, compat_metrics=c)["cross_entropy"] for c in (None, True)]
    assert asked[0] == asked[1] != as_trained.evaluate(records, compat_metrics=False)


def test_the_package_says_its_version_and_its_names():
    assert object2vec.__version__ == metadata.version("object2vec")
    assert dir(object2vec) == sorted(object2vec.__all__)
    assert all(getattr(object2vec, name) for name in dir(object2vec))
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        object2vec.Nothing  # noqa: B018
