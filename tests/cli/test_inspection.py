"""A look at what a user has: records, models, vocabularies and the cache."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from object2vec import Object2Vec
from object2vec.cli import main
from object2vec.files.whole import temporary_file
from support.servers import fitted
from support.values import value_model


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Return a function that runs a command in an empty folder and returns what it prints."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        assert main([*map(str, argv)]) == 0
        return capsys.readouterr().out

    return run


def write(name, *records):
    Path(name).write_text("".join(f"{json.dumps(record)}\n" for record in records))


# ----------------------------------------------------------------------------- check


@pytest.mark.parametrize(
    ("labels", "line", "classes"),
    [
        ([0, 1], "label: whole numbers from 0 to 1, mean 0.5", None),
        ([0, 2], "label: whole numbers from 0 to 2, mean 1", 3),
        ([0, 0], "label: whole numbers from 0 to 0, mean 0", None),
        ([-1, 2], "label: whole numbers from -1 to 2, mean 0.5", None),
        ([0.5, 2], "label: numbers from 0.5 to 2, mean 1.25", None),
        ([1, 1, 2], "label: whole numbers from 1 to 2, mean 1.33333", 3),
    ],
)
def test_labels_that_may_be_classes_need_their_number(labels, line, classes, said):
    write("a.jsonl", *({"in0": [1], "in1": [2], "label": label} for label in labels))
    lines = said("check", "a.jsonl").splitlines()
    assert line in lines
    wanted = [] if classes is None else [f"  --set num_classes={classes}"]
    assert [each for each in lines if "num_classes" in each] == wanted


def test_what_is_usual_is_not_said_of_a_side(said):
    write("a.jsonl", {"in0": [3, 4], "in1": [5]}, {"in0": [1], "in1": [2, 9, 2]})
    assert said("check", "a.jsonl").splitlines() == [
        "2 pairs",
        "in0: 3 tokens, 1 to 2 in a sequence, ids up to 4",
        "in1: 4 tokens, 1 to 3 in a sequence, ids up to 9",
        "label: none; such pairs can be trained on with negative_sampling_rate alone",
        "A model for them needs at least:",
        "  --set enc0_max_seq_len=2",
        "  --set enc0_vocab_size=5",
        "  --set enc1_max_seq_len=3",
        "  --set enc1_vocab_size=10",
    ]


def test_limits_stay_within_those_of_aws(said):
    write("a.jsonl", {"in0": [], "in1": [1] * 5001}, {"in0": [], "in1": [3_000_000]})
    lines = said("check", "a.jsonl").splitlines()
    limits = dict(line.removeprefix("  --set ").split("=") for line in lines if "--set" in line)
    assert limits == {
        "enc0_max_seq_len": "1",
        "enc0_vocab_size": "2",
        "enc1_max_seq_len": "5000",
        "enc1_vocab_size": "3000000",
    }


def test_records_are_checked_as_those_of_their_channel(said):
    write("a.jsonl", {"in0": [1], "in1": [2], "label": 1})
    settings = ["--set", "enc0_max_seq_len=1", "--set", "enc0_vocab_size=5"]
    for channel in ("train", "validation", "test"):
        assert f"{channel}: labels 0: 0, 1: 1" in said(
            "check", "a.jsonl", *settings, "--channel", channel
        )


def test_a_pair_without_a_label_is_a_positive_where_negatives_are_drawn(said):
    write("a.jsonl", {"in0": [1], "in1": [2]})
    check = ["check", "a.jsonl", "--set", "enc0_max_seq_len=1", "--set", "enc0_vocab_size=5"]
    rate = ["--set", "negative_sampling_rate=2"]
    assert "train: labels 0: 0, 1: 1" in said(*check, *rate)
    for more in ([], [*rate, "--channel", "validation"], [*rate, "--channel", "test"]):
        assert main([*check, *more]) == 2


def test_warnings_and_notes_are_marked_as_such(said):
    write("a.jsonl", {"in0": [1, 2], "in1": [2, 0], "label": 1})
    settings = ["enc0_max_seq_len=2", "enc0_vocab_size=5", "negative_sampling_rate=101"]
    lines = said("check", "a.jsonl", *(word for each in settings for word in ("--set", each)))
    assert re.search(r"^warning: negative_sampling_rate 101 is above 100", lines, re.M)
    assert re.search(r"^warning: train: 0 sequences of in0 and 1 of in1 hold the id 0", lines, re.M)


def test_of_a_table_the_notes_of_its_reading_and_its_config_are_printed(said):
    rows = "".join(f"u{n % 4},f{n % 3},{n % 2}\n" for n in range(12))
    Path("a.csv").write_text(f"user,film,liked\n{rows},f1,1\n")
    text = said(
        *"check a.csv --in0 user --in1 film --label liked --set enc1_network=hcnn".split(),
        *"--set enc0_network=hcnn --set enc0_token_embedding_dim=8 --set mlp_layers=0".split(),
        *"--set dropout=0.5 --set mlp_activation=linear --set enc0_layers=1".split(),
        *"--set enc1_layers=1 --set enc1_token_embedding_dim=8".split(),
    )
    assert re.search(r"^warning: dropout is ignored", text, re.M)
    assert "train: labels 0: 6, 1: 7" in text


# ----------------------------------------------------------------------------- models


def test_numbers_of_a_model_are_printed_short(said):
    model = fitted("pooled")
    model.save("model")
    metadata = Path("model", "config.json")
    document = json.loads(metadata.read_text())
    document["metrics"] = {"validation": {"accuracy": 0.123456789, "names": [1, 2.00000001]}}
    document["data"] = {"train": {"rows": 7, "label_mean": 0.5, "more": 1}, "test": {}}
    metadata.write_text(json.dumps(document))
    text = said("info", "model")
    assert "  validation: accuracy 0.123457, names 1, 2\n" in text
    assert "  train: rows 7, label_mean 0.5\n" in text
    assert "  test: rows None, label_mean None\n" in text
    assert "schema" not in text
    facts = json.loads(said("info", "model", "--json"))
    assert facts["data"]["test"] == {"rows": None, "label_mean": None}
    assert facts["metrics"] == document["metrics"]
    assert facts["network"]["output_width"] == 2
    for side in (0, 1):
        encoder = model.config.encoders[side]
        assert facts[f"enc{side}"] == {
            "network": encoder.network,
            "layers": encoder.layers,
            "vocab_size": encoder.vocab_size,
            "max_seq_len": encoder.max_seq_len,
            "token_embedding_dim": encoder.token_embedding_dim,
        }


@pytest.fixture(scope="module")
def friends():
    """A model whose sides share a vocabulary, with a weight and a group."""
    rows = {
        "user": ["ann", "bob", "eve", "ann"] * 3,
        "friend": ["bob", "eve", "ann", "eve"] * 3,
        "clicks": [1.0, 2.0, 1.0, 3.0] * 3,
        "session": [1, 1, 2, 2] * 3,
    }
    return Object2Vec(
        in0="user",
        in1="friend",
        weight="clicks",
        group="session",
        share=[("user", "friend")],
        epochs=1,
        enc_dim=4,
        threads=1,
    ).fit(rows)


def test_the_roles_of_columns_are_shown_and_what_is_shared(friends, said):
    friends.save("model")
    text = said("info", "model")
    assert "  weight: clicks\n  group: session\n  share: user, friend\n" in text
    assert "label" not in text[text.index("schema") : text.index("  weight: ")]
    facts = json.loads(said("info", "model", "--json"))["schema"]
    assert facts["share"] == [["user", "friend"]]
    assert facts["decisions"] == friends.schema.decisions["decisions"] != {}
    assert "classes" not in facts


def test_a_vocabulary_longer_than_what_is_written_at_once_is_whole(said, monkeypatch):
    monkeypatch.setattr("object2vec.cli.inspection._LINES", 3)
    value_model("pairs").save("model")
    rows = said("vocabulary", "model", "--side", "in0").splitlines()
    assert rows == ["ann\t2\t2", "bob\t3\t2", "Zoë\t4\t1", "eve\t5\t1", "<missing>\t1\t0"]


def test_a_field_is_named_where_a_side_has_several(said):
    value_model("plays").save("model")
    rows = [line.split("\t") for line in said("vocabulary", "model", "--side", "in1").splitlines()]
    assert {row[3] for row in rows} == {"film", "genres"}
    assert ["<bucket>"] * 4 == [row[0] for row in rows[-4:]]
    value_model("pairs").save("one")
    objects = [
        json.loads(x) for x in said(*"vocabulary one --side in0 --json".split()).split("\n") if x
    ]
    assert objects[0] == {"token": "ann", "id": 2, "count": 2}
    assert objects[-1] == {"token": None, "id": 1, "count": 0, "note": "missing"}


# ----------------------------------------------------------------------------- the cache


def test_a_user_without_a_home_has_no_cache(said, monkeypatch):
    monkeypatch.delenv("OBJECT2VEC_CACHE", raising=False)
    monkeypatch.setattr("object2vec.reading.cache.user_cache", lambda: None)
    for words in (["cache"], ["cache", "--clear"]):
        assert said(*words) == (
            "Nothing is cached: this user has no home. Set OBJECT2VEC_CACHE to a folder.\n"
        )


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is locked there")
def test_what_another_process_writes_is_not_cleared(said, monkeypatch, tmp_path):
    root = tmp_path / "cached"
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(root))
    root.mkdir()
    (root / ".incomplete-left").write_bytes(bytes(1 << 20))
    with temporary_file(root) as theirs:
        theirs.write_bytes(bytes(2 << 20))
        expected = f"{root}: 2 sets of records, 3.0 MiB"
        assert said("cache", "--clear") == f"{expected}, removed but for 1 in use\n"
        assert list(root.iterdir()) == [theirs]


def test_what_another_process_removes_while_it_is_looked_at_counts_nothing(
    said, monkeypatch, tmp_path
):
    root, is_file = tmp_path / "cached", Path.is_file
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(root))
    for name in ("gone", "there"):
        (root / f".incomplete-{name}").mkdir(parents=True)
        (root / f".incomplete-{name}" / name).write_bytes(bytes(1 << 20))

    def is_file_still(path):
        found = is_file(path)
        if path.name == "gone":
            path.unlink()
        return found

    monkeypatch.setattr(Path, "is_file", is_file_still)
    assert said("cache") == f"{root}: 2 sets of records, 1.0 MiB\n"


def test_what_is_not_cleared_stays(said, monkeypatch, tmp_path):
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cached"))
    write("a.jsonl", {"in0": [1], "in1": [2], "label": 1})
    settings = ["--set", "enc0_max_seq_len=1", "--set", "enc0_vocab_size=5"]
    said("check", "a.jsonl", *settings)
    (tmp_path / "cached" / ".incomplete-1").mkdir()
    (tmp_path / "cached" / ".incomplete-1" / "large").write_bytes(bytes(3 << 20))
    expected = f"{tmp_path / 'cached'}: 2 sets of records, 3.0 MiB"
    assert [said("cache"), said("cache")] == [f"{expected}\n"] * 2
    assert said("cache", "--clear") == f"{expected}, removed\n"
    assert said("cache") == f"{tmp_path / 'cached'}: 0 sets of records, 0.0 MiB\n"
