"""The saved model: whole and right it loads, otherwise it is refused, and never unpickled."""

from __future__ import annotations

import json
import pickle
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from object2vec import ArtifactError, Config, ConfigError, Object2Vec
from object2vec import artifact as module
from object2vec.artifact import Artifact, ModelFacts
from object2vec.artifact.content import load_vocabulary
from object2vec.config.table import HYPERPARAMETERS
from object2vec.kernels import kernel_for
from object2vec.network.network import Network

RECORDS = [{"in0": [1, 2], "in1": [3], "label": 1}, {"in0": [4], "in1": [5, 0], "label": 0}]
SETTINGS = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 6,
    "enc_dim": 4,
    "mlp_layers": 1,
    "mlp_dim": 3,
    "epochs": 1,
    "threads": 1,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def fitted():
    return Object2Vec(**SETTINGS).fit(RECORDS, validation=RECORDS, test=RECORDS)


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, change) -> None:
    """Change the document of config.json."""
    document = json.loads((folder / "config.json").read_text())
    change(document)
    (folder / "config.json").write_text(json.dumps(document))


def write_raw(path: Path, header: object, body: bytes = b"") -> None:
    """Write a safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


NETWORKS = {
    "pooled_embedding": {},
    "hcnn": {"layers": 3, "cnn_filter_width": 4, "token_embedding_dim": 5},
    "bilstm": {"layers": 2, "token_embedding_dim": 3},
}


@pytest.mark.parametrize("second", ["enc0", *NETWORKS])
@pytest.mark.parametrize("first", NETWORKS)
def test_every_setting_and_weight_comes_back(first, second, tmp_path):
    values = {
        "enc_dim": 6,
        "enc0_max_seq_len": 3,
        "enc0_vocab_size": 7,
        "mlp_layers": 3,
        "mlp_dim": 5,
        "comparator_list": "abs_diff, concat",
        "output_layer": "softmax",
        "num_classes": 4,
        "dropout": 0.25,
        "learning_rate": 0.125,
        "weight_decay": 3.0,
        "optimizer": "adadelta",
        "negative_sampling_rate": 2,
        "seed": 2**63 - 1,
        "mlp_activation": "relu",
        "token_embedding_storage_type": "row_sparse",
        "_kvstore": "device",
        "device": "cpu",
        "mask_padding": False,
        "compat_metrics": True,
        "early_stopping_tolerance": 1e-6,
        "enc0_network": first,
        "enc1_network": second,
    }
    if second != "enc0":
        values |= {"enc1_max_seq_len": 5, "enc1_vocab_size": 9}
    for side, network in enumerate((first, second)):
        values |= {f"enc{side}_{k}": v for k, v in NETWORKS.get(network, {}).items()}
    config = Config.build(values)
    network = Network(config, kernel_for("auto", "cpu"))
    network.initialize(torch.Generator().manual_seed(1))
    facts = ModelFacts({"train": {"rows": 2}}, {"train": {"accuracy": 1.0}}, ({"event": "run"},))
    vocabularies = ({"é": 1, "\u2028\n": 2}, None)
    module.save(Artifact(config, network, vocabularies, facts), tmp_path / "m")
    loaded = module.load(tmp_path / "m")
    assert loaded.config == config
    assert loaded.facts == facts
    assert loaded.vocabularies == vocabularies
    assert not loaded.network.training
    weights = loaded.network.state_dict()
    for name, weight in network.state_dict().items():
        assert torch.equal(weights.pop(name), weight), name
    assert weights == {}
    module.save(loaded, tmp_path / "again")
    for file in (tmp_path / "m").iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_folder_holds_what_is_promised_and_no_more(fitted, saved):
    assert sorted(path.name for path in saved.iterdir()) == [
        "README.md",
        "config.json",
        "metrics.jsonl",
        "model.safetensors",
    ]
    text = (saved / "config.json").read_text()
    document = json.loads(text)
    assert text == json.dumps(document, indent=2) + "\n"  # people read it
    assert document["schema_version"] == 1
    assert document["hyperparameters"].keys() == HYPERPARAMETERS.keys() - {"feature_dim"}
    events = [json.loads(line) for line in (saved / "metrics.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["run", "epoch", "test", "finished"]
    assert (
        load_file(saved / "model.safetensors").keys() == fitted.artifact.network.state_dict().keys()
    )
    assert {path.stat().st_mode & 0o777 for path in saved.iterdir()} == {0o644}


def test_the_card_tells_counts_settings_and_metrics(fitted, saved):
    card = (saved / "README.md").read_text()
    metrics = fitted.facts.metrics
    for line in (
        "| train | rows | 2 |",
        "| train | in1.tokens | 3 |",
        "| test | in1.padding_rows | 1 |",
        "| train | label_counts.1 | 1 |",
        f"| test | accuracy | {json.dumps(metrics['test']['accuracy'])} |",
        f"| validation | cross_entropy | {json.dumps(metrics['validation']['cross_entropy'])} |",
        '| enc0_network | "pooled_embedding" |',
        "| enc_dim | 4 |",
        "| seed | 0 |",
    ):
        assert line in card.splitlines()
    assert "6 x 4 and 6 x 4 rows x columns" in card
    assert "probabilities of 2 classes" in card
    for name in HYPERPARAMETERS.keys() - {"feature_dim"}:
        assert f"| {name} | " in card


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(name, saved):
    (saved / name).unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: must be .*; got 'nothing'"):
        Object2Vec.load(saved)


def test_what_may_be_missing_may(fitted, saved):
    (saved / "metrics.jsonl").unlink()
    (saved / "README.md").unlink()
    loaded = Object2Vec.load(saved)
    assert loaded.facts.history == ()
    assert np.array_equal(loaded.encode(in0=[[1]]), fitted.encode(in0=[[1]]))


def test_what_is_no_folder_and_no_archive_is_rejected(tmp_path):
    with pytest.raises(ArtifactError, match=r"must be a model folder; got 'nothing'\. Name the"):
        Object2Vec.load(tmp_path / "model")
    (tmp_path / "model").write_text("x")
    with pytest.raises(ArtifactError, match=r"model: must be a whole tar archive; got .*Name"):
        Object2Vec.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a JSON object; got 'Expecting value"),
        ("{", "must be a JSON object; got"),
        ("[1]", "must be a JSON object; got 'list'"),
        ("3", "must be a JSON object; got 'int'"),
        (b"\xff\xfe{}", "must be a JSON object; got .*codec"),
        ("[" * 200_000, "must be a JSON object; got .*nesting too deep"),
        ('{"a":' * 200_000, "must be a JSON object; got .*nesting too deep"),
        ('{"format": 1, "format": "object2vec"}', "a name that stands twice"),
        ('{"a": {"b": 1, "b": 1}}', "a name that stands twice"),
        ('{"a": NaN}', "must be a JSON object; got 'the number NaN'"),
        ('{"a": [-Infinity]}', "must be a JSON object; got 'the number -Infinity'"),
        ('{"a": 1e999}', "must be a JSON object; got 'the number 1e999'"),
        ("{}", "must be an object2vec model of schema version 1; got 'None None'"),
        ("9" * 5000, "must be a JSON object; got"),
    ],
    ids=[
        "empty",
        "cut",
        "list",
        "number",
        "no utf-8",
        "deep lists",
        "deep objects",
        "duplicate",
        "inner duplicate",
        "NaN",
        "infinity",
        "too large",
        "no document",
        "digits",
    ],
)
def test_a_config_that_is_no_strict_json_is_refused(text, message, saved):
    (saved / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ArtifactError, match=message):
        Object2Vec.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema_version=2), "schema version 1; got 'object2vec 2'.*that wrote"),
        (lambda d: d.update(schema_version="1"), "schema version 1; got 'object2vec 1'"),
        (lambda d: d.update(format="other"), "schema version 1; got 'other 1'"),
        (lambda d: d.update(format={"a": []}), "must be an object2vec model"),
        (lambda d: d.pop("hyperparameters"), 'must hold an object "hyperparameters"; got None'),
        (lambda d: d.update(data=[]), r'must hold an object "data"; got \[\]'),
        (lambda d: d.update(data={"train": 3}), 'data: must hold an object "train"; got 3'),
        (lambda d: d.update(metrics={"a": None}), 'metrics: must hold an object "a"; got None'),
        (lambda d: d["hyperparameters"].update(enc_dim=2), r"config.json: enc_dim: must be an int"),
        (lambda d: d["hyperparameters"].update(dropout="x"), r"config.json: dropout: must be"),
        (lambda d: d["hyperparameters"].update(no_such=1), "no_such: must be a known hyperparam"),
        (lambda d: d["hyperparameters"].pop("enc0_vocab_size"), "enc0_vocab_size: is required"),
        (lambda d: d["hyperparameters"].update(enc_dim=5), "must hold .* of shape"),
        (lambda d: d["hyperparameters"].update(enc0_network="hcnn"), "must hold .* of shape|bytes"),
        (lambda d: d["hyperparameters"].update(mlp_layers=0), "must hold .* of shape"),
        (lambda d: d["hyperparameters"].update(num_classes=3), "must hold .* of shape"),
        (lambda d: d["hyperparameters"].update(tied_token_embedding_weight=True), "of shape none"),
    ],
)
def test_a_wrong_config_is_refused(change, message, saved):
    edit(saved, change)
    with pytest.raises(ArtifactError, match=message):
        Object2Vec.load(saved)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.sampled_from(sorted(HYPERPARAMETERS)), JSON)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_of_any_hyperparameter_is_read_or_refused(fitted, name, value):
    values = fitted.config.to_dict() | {name: value}
    try:
        Config.build(values)
    except ConfigError as err:
        assert str(err)  # noqa: PT017 - both outcomes are right


def test_a_device_that_is_not_there_is_said_to_be_the_devices_fault(saved):
    with pytest.raises(ConfigError, match=r"device: must be there; \d+ CUDA devices are; got"):
        Object2Vec.load(saved, device="cuda:99")


def test_a_huge_claim_with_a_small_file_allocates_nothing(saved):
    """A token table of 120 GB is claimed twice; the process may take 1 GB more than it has."""
    edit(
        saved,
        lambda d: d["hyperparameters"].update(
            enc0_vocab_size=3_000_000,
            enc1_vocab_size=3_000_000,
            enc_dim=10_000,
            enc0_token_embedding_dim=10_000,
            enc1_token_embedding_dim=10_000,
            mlp_dim=10_000,
            mlp_layers=10,
        ),
    )
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), hard))
    try:
        with pytest.raises(
            ArtifactError, match=r"must hold at least 24\d{10} bytes; got \d+\. .*trunc"
        ):
            Object2Vec.load(saved)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def entry(shape, offsets, dtype="F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    ("header", "body"),
    [
        (b"", 500),
        (b"{", 500),
        (b"{}", 500),
        (b"\xff\xff", 500),
        (b"[" * 5000, 500),
        ({"a": entry([2**62, 4], [0, 2**64 - 1])}, 500),
        ({"a": entry([-1], [0, 4])}, 500),
        ({"a": entry([1], [0, 2**40])}, 500),
        ({"a": entry([125], [0, 500]), "b": entry([125], [0, 500])}, 500),
        (
            b'{"a":{"dtype":"F32","shape":[125],"data_offsets":[0,500]},'
            b'"a":{"dtype":"F32","shape":[125],"data_offsets":[0,500]}}',
            500,
        ),
        ({"__metadata__": {"a": 1}}, 500),
        ({"a": "b"}, 500),
    ],
)
def test_a_hostile_header_is_refused(header, body, saved):
    write_raw(saved / "model.safetensors", header, b"\0" * body)
    with pytest.raises(ArtifactError, match=r"must be a whole safetensors file|must hold"):
        Object2Vec.load(saved)


@pytest.mark.parametrize("length", [2**63 - 1, 2**64 - 1, 2**40, 100_000_001, 0])
def test_a_header_of_any_claimed_length_is_refused(length, saved):
    data = (saved / "model.safetensors").read_bytes()
    (saved / "model.safetensors").write_bytes(struct.pack("<Q", length) + data[8:])
    with pytest.raises(ArtifactError, match="must be a whole safetensors file"):
        Object2Vec.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.update(extra=torch.zeros(1)), r"must hold extra of shape none; got \(1,\)"),
        (lambda t: t.pop("head.output.bias"), "must hold head.output.bias of shape|at least"),
        (lambda t: t.update({"head.output.bias": torch.zeros(3)}), r"shape \(2,\); got \(3,\)"),
        (lambda t: t.update({"head.output.bias": torch.zeros(2).double()}), "type torch.float64"),
        (lambda t: t.update({"head.output.bias": torch.zeros(2).half()}), "torch.float16|at least"),
        (lambda t: t.update({"head.output.weight": torch.zeros(3, 2)}), r"\(2, 3\); got \(3, 2\)"),
    ],
)
def test_wrong_tensors_are_refused(change, message, saved):
    tensors = load_file(saved / "model.safetensors")
    change(tensors)
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(ArtifactError, match=message):
        Object2Vec.load(saved)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize(
    "name", ["model.safetensors", "config.json", "metrics.jsonl", "vocab0.json"]
)
def test_a_pickle_under_any_name_is_refused_and_not_run(name, saved):
    (saved / name).write_bytes(pickle.dumps([Bomb(), b"0" * 5000]))
    with pytest.raises(ArtifactError, match=name):
        Object2Vec.load(saved)
    torch.save({"a": torch.zeros(1000)}, saved / name)
    with pytest.raises(ArtifactError, match=name):
        Object2Vec.load(saved)


def test_every_truncation_of_the_weights_is_refused(saved):
    data = (saved / "model.safetensors").read_bytes()
    for length in range(len(data)):
        (saved / "model.safetensors").write_bytes(data[:length])
        with pytest.raises(ArtifactError, match=r"must hold at least|must be a whole safetensors"):
            Object2Vec.load(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": -1}', "a: must be an id, an integer >= 0; got -1"),
        ('{"a": true}', "a: must be an id, an integer >= 0; got True"),
        ('{"a": 1.0}', "a: must be an id, an integer >= 0; got 1.0"),
        ('{"a": 1, "a": 2}', "a name that stands twice"),
        ("[]", "vocab1.json: must be a JSON object; got 'list'"),
    ],
)
def test_a_wrong_vocabulary_is_refused(text, message, saved):
    (saved / "vocab1.json").write_text(text)
    with pytest.raises(ArtifactError, match=message):
        Object2Vec.load(saved)


@pytest.mark.parametrize("text", ["{", "3\n", '{"a": NaN}\n', "[]\n", "\x00"])
def test_a_wrong_history_is_refused(text, saved):
    (saved / "metrics.jsonl").write_text(text)
    with pytest.raises(ArtifactError, match=r"metrics\.jsonl: must be JSON Lines; got"):
        Object2Vec.load(saved)


def damaged(data: st.DataObject, whole: bytes, reach: int) -> bytes:
    """`whole` with one to three changes in its first `reach` bytes."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, min(reach, len(changed)) - 1)))
        kind = data.draw(st.sampled_from(["flip", "byte", "cut", "double", "drop"]))
        if kind == "flip":
            changed[at : at + 1] = [b ^ 1 << data.draw(st.integers(0, 7)) for b in changed[at:][:1]]
        elif kind == "byte":
            changed[at : at + 1] = [
                data.draw(st.sampled_from(b'"{}[]:,-0123456789eE.\\\x00\xff nt'))
            ]
        elif kind == "cut":
            del changed[at:]
        elif kind == "double":
            changed[at:at] = changed[at : at + data.draw(st.integers(1, 40))]
        else:
            del changed[at : at + data.draw(st.integers(1, 5))]
    return bytes(changed)


def test_a_damaged_folder_is_refused_or_is_a_model(fitted, tmp_path):
    """Bytes flipped, replaced, doubled, dropped or cut off anywhere."""
    folder, outcomes = tmp_path / "model", {"refused": 0, "loaded": 0}
    fitted.save(folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}

    @settings(max_examples=200)
    @given(st.data())
    def check(data):
        for name, content in files.items():
            (folder / name).write_bytes(content)
        name = data.draw(st.sampled_from(["config.json", "model.safetensors", "metrics.jsonl"]))
        whole = files[name]
        reach = 660 if name == "model.safetensors" else len(whole)  # most of it is numbers
        (folder / name).write_bytes(damaged(data, whole, reach))
        try:
            loaded = Object2Vec.load(folder)
        except ArtifactError:
            outcomes["refused"] += 1
            return
        outcomes["loaded"] += 1
        assert loaded.encode(in0=[[1], []]).shape == (2, loaded.config.enc_dim)
        loaded.save(folder, overwrite=True)
        Object2Vec.load(folder)

    check()
    assert min(outcomes.values()) >= 20


@pytest.mark.parametrize("over", [0, 1])
def test_a_document_has_its_limit(tmp_path, monkeypatch, over):
    """Nothing is read into memory that no model of ours has written."""
    text = '{"a": 1}'
    (tmp_path / "vocab0.json").write_text(text)
    monkeypatch.setattr("object2vec.artifact.content._MAX_JSON_BYTES", len(text) - over)
    if over:
        with pytest.raises(ArtifactError, match=r"vocab0\.json: must be a JSON object; got 'more "):
            load_vocabulary(tmp_path, 0)
    else:
        assert load_vocabulary(tmp_path, 0) == {"a": 1}
