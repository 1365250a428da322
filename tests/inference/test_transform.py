"""Batch transform: the same answers as the server's, whole files, failures named by their line."""

import gzip
import itertools
import json
import logging
import re

import fsspec
import numpy as np
import pytest

from object2vec.cli import main
from object2vec.errors import ConfigError, DataError, StorageError
from object2vec.inference.engine import Engine
from object2vec.inference.transform import TransformSettings, transform
from object2vec.model import Object2Vec

PAIRS = [{"in0": [i % 8 + 1], "in1": [i % 6 + 1, 1], "label": i % 2} for i in range(40)]


@pytest.fixture(scope="module")
def model():
    """A classifier with sides of different sizes."""
    return Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=2,
        enc0_vocab_size=9,
        enc1_network="pooled_embedding",
        enc1_max_seq_len=3,
        enc1_vocab_size=7,
        enc_dim=4,
        mlp_dim=4,
        epochs=1,
        seed=1,
    ).fit(PAIRS)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "model"
    model.save(folder)
    return folder


@pytest.fixture(autouse=True)
def no_remote_leftovers():
    yield
    store = fsspec.filesystem("memory")
    for path in store.find("/"):
        store.rm(path)


def lines(records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else lines(content))
    return path


def answers(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_labelled_pairs_are_scored_in_order(model, saved, tmp_path):
    source = write(tmp_path / "test.jsonl", PAIRS)
    report = transform(saved, [source], tmp_path / "out")
    assert report.done == {str(source): 40}
    got = [answer["scores"] for answer in answers(tmp_path / "out" / "test.jsonl.out")]
    expected = model.predict(in0=[r["in0"] for r in PAIRS], in1=[r["in1"] for r in PAIRS])
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert len({tuple(row) for row in got}) > 10


def test_each_record_says_by_its_keys_what_it_wants(model, saved, tmp_path):
    records = [{"in1": [5, 6, 1]}, {"in0": [3], "in1": [2]}, {"in0": [8, 1]}, {"in0": []}]
    transform(saved, [write(tmp_path / "mixed", records)], tmp_path)
    first, second, third, fourth = answers(tmp_path / "mixed.out")
    np.testing.assert_allclose(first["embeddings"], model.encode(in1=[[5, 6, 1]])[0], rtol=1e-6)
    np.testing.assert_allclose(second["scores"], model.predict(in0=[[3]], in1=[[2]])[0], rtol=1e-6)
    np.testing.assert_allclose(third["embeddings"], model.encode(in0=[[8, 1]])[0], rtol=1e-6)
    assert fourth == {"embeddings": [0, 0, 0, 0]}


@pytest.mark.parametrize("strategy", ["MultiRecord", "SingleRecord"])
@pytest.mark.parametrize("width", [1, 3, 1000])
def test_payloads_do_not_change_answers(saved, tmp_path, monkeypatch, strategy, width):
    source = write(tmp_path / "a", b"\n" + lines(PAIRS[:20]) + b"  \n\r\n" + lines(PAIRS[20:]))
    transform(saved, [source], tmp_path / "whole")
    monkeypatch.setattr("object2vec.inference.inputs._ROWS", width)
    monkeypatch.setattr("object2vec.inference.inputs._BATCH_TOKENS", 7)
    seen = []
    embed = Engine._embed

    def counting(self, side, sequences):
        if side == 0:
            seen.append(len(sequences))
        return embed(self, side, sequences)

    monkeypatch.setattr(Engine, "_embed", counting)
    transform(saved, [source], tmp_path / "cut", TransformSettings(strategy=strategy))
    assert (tmp_path / "cut/a.out").read_bytes() == (tmp_path / "whole/a.out").read_bytes()
    assert max(seen) <= (1 if strategy == "SingleRecord" or width == 1 else 3)
    assert sum(seen) == 40


def test_a_file_of_json_is_one_request(model, saved, tmp_path):
    document = {"instances": [{"in0": [1]}, {"in0": [2]}]}
    source = write(tmp_path / "a.json", json.dumps(document, indent=1).encode())
    settings = TransformSettings(content_type="application/json")
    report = transform(saved, [source], tmp_path, settings)
    assert report.done == {str(source): 2}
    (found,) = answers(tmp_path / "a.json.out")
    expected = model.encode(in0=[[1], [2]])
    got = [row["embeddings"] for row in found["predictions"]]
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_the_answer_may_have_another_form(saved, tmp_path):
    source = write(tmp_path / "a.json", b'{"instances": [{"in0": [1]}, {"in0": [2]}]}')
    settings = TransformSettings(content_type="application/json", accept="application/jsonlines")
    transform(saved, [source], tmp_path, settings)
    assert [list(answer) for answer in answers(tmp_path / "a.json.out")] == [["embeddings"]] * 2


def test_the_lengths_of_training_can_be_changed(model, saved, tmp_path):
    source = write(tmp_path / "a", [{"in0": [1, 2, 3]}])
    settings = TransformSettings(content_type="application/jsonlines; infer_max_seqlens=1,1")
    transform(saved, [source], tmp_path, settings)
    (answer,) = answers(tmp_path / "a.out")
    np.testing.assert_allclose(answer["embeddings"], model.encode(in0=[[1]])[0], rtol=1e-6)


def test_a_folder_keeps_its_tree_and_archives_are_read(saved, tmp_path):
    write(tmp_path / "in/b/2.jsonl", PAIRS[:2])
    write(tmp_path / "in/1.jsonl.gz", gzip.compress(lines(PAIRS[2:3])))
    write(tmp_path / "in/.hidden", b"not JSON")
    write(tmp_path / "in/empty", b"")
    report = transform(saved, [tmp_path / "in"], tmp_path / "out")
    found = {str(p.relative_to(tmp_path / "out")) for p in tmp_path.glob("out/**/*") if p.is_file()}
    assert found == {"b/2.jsonl.out", "1.jsonl.gz.out", "empty.out"}
    assert sorted(report.done.values()) == [0, 1, 2]
    assert (tmp_path / "out/empty.out").read_bytes() == b""


def test_a_wrong_record_fails_its_file_alone(saved, tmp_path, caplog):
    good = write(tmp_path / "good", PAIRS)
    bad = write(tmp_path / "bad", [*PAIRS[:3], {"in0": [9]}, {"in2": [1]}, *PAIRS[3:]])
    torn = write(tmp_path / "torn", lines(PAIRS[:2]) + b'\n{"in0": [1\n')
    with caplog.at_level(logging.INFO, "object2vec.inference.transform"):
        report = transform(saved, [bad, good, torn], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.out"]
    assert report.done == {str(good): 40}
    first, second = report.failed[str(bad)].split("\n")[1:]
    assert first == (
        f"  {bad}:4: in0[0]: must be an integer in [0, 9); got 9. Use the ids of training."
    )
    assert second.startswith(f'  {bad}:5: must be an object with a list of ids "in0", "in1" or')
    assert report.failed[str(torn)].startswith(f"{torn}:4: must be well-formed JSON;")
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]


def test_a_wrong_record_of_a_json_file_is_named_by_its_number(saved, tmp_path):
    document = {"instances": [{"in0": [1]}, {"in0": [1, 9]}]}
    source = write(tmp_path / "a.json", json.dumps(document).encode())
    report = transform(
        saved, [source], tmp_path, TransformSettings(content_type="application/json")
    )
    text = "instances[1].in0[1]: must be an integer in [0, 9); got 9. Use the ids of training."
    assert report.failed == {str(source): f"{source}: {text}"}


def test_a_long_file_is_reported_about_every_ten_seconds(saved, tmp_path, monkeypatch, caplog):
    source = write(tmp_path / "long", PAIRS[:7])
    look = itertools.count(0, 6)  # seconds: six pass between any two looks at the clock
    monkeypatch.setattr("object2vec.inference.transform.time.monotonic", lambda: next(look))
    with caplog.at_level(logging.INFO, "object2vec.inference.transform"):
        transform(saved, [source], tmp_path / "out", TransformSettings(strategy="SingleRecord"))
    said = [re.findall(r"(\d+) records so far", record.message) for record in caplog.records]
    assert said == [["2"], ["4"], ["6"], []]


def test_the_next_call_goes_on_where_answers_are_missing(saved, tmp_path):
    first, second = write(tmp_path / "1", PAIRS[:1]), write(tmp_path / "2", PAIRS[:2])
    transform(saved, [first], tmp_path / "out")
    (tmp_path / "out/1.out").write_text("kept")
    report = transform(saved, [first, second], tmp_path / "out")
    assert (report.done, report.skipped) == ({str(second): 2}, [str(first)])
    assert (tmp_path / "out/1.out").read_text() == "kept"
    report = transform(saved, [first, second], tmp_path / "out", TransformSettings(overwrite=True))
    assert report.done == {str(first): 1, str(second): 2}
    assert (tmp_path / "out/1.out").read_text() != "kept"


def test_a_failure_leaves_no_part_of_an_answer(saved, tmp_path, monkeypatch):
    source = write(tmp_path / "a", [*PAIRS, {"in0": [9]}])
    monkeypatch.setattr("object2vec.inference.inputs._ROWS", 8)
    report = transform(saved, [source], tmp_path / "out")
    assert ":41:" in report.failed[str(source)]
    assert list((tmp_path / "out").iterdir()) == []


def test_a_record_that_is_too_large(saved, tmp_path):
    long = b'{"in0": [%s]}' % b",".join([b"1"] * 600_000)
    source = write(tmp_path / "a", b'{"in0": [1]}\n' + long)
    whole = write(tmp_path / "b.json", b'{"instances": [' + long + b"]}")
    report = transform(saved, [source], tmp_path, TransformSettings(max_payload_mb=1))
    assert report.failed[str(source)] == (
        f"{source}:2: must fit into a payload of 1 MB, being a record; got '1200010 bytes'. "
        "Raise --max-payload, or split it."
    )
    settings = TransformSettings(max_payload_mb=1, content_type="application/json")
    report = transform(saved, [whole], tmp_path, settings)
    assert (
        "b.json: must fit into a payload of 1 MB, being a file that is not split"
        in (report.failed[str(whole)])
    )
    assert transform(saved, [source], tmp_path, TransformSettings(max_payload_mb=2)).done == {
        str(source): 2
    }


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("over", [0, 1])
def test_a_record_may_fill_its_payload_to_the_last_byte(saved, tmp_path, end, over):
    line = b'{"in0": [1]%b}' % (b" " * ((1 << 20) + over - 12))
    assert len(line) == (1 << 20) + over
    source = write(tmp_path / "a", b'{"in0": [2]}\n' + line + end)
    report = transform(saved, [source], tmp_path, TransformSettings(max_payload_mb=1))
    assert (report.done, [*report.failed]) == (
        ({}, [str(source)]) if over else ({str(source): 2}, [])
    )
    document = b'{"instances": [%b]%b}' % (line[:11] + b"}", b" " * (len(line) - 12 - 17))
    assert len(document) == len(line)
    whole = write(tmp_path / "b", document)
    settings = TransformSettings(max_payload_mb=1, content_type="application/json")
    report = transform(saved, [whole], tmp_path, settings)
    assert [*report.failed] == ([str(whole)] if over else [])


def test_the_threads_of_a_caller_are_set_again(saved, tmp_path):
    import torch

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        transform(saved, [write(tmp_path / "a", PAIRS)], tmp_path / "out")
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_model_that_has_diverged_fails_its_files(model, saved, tmp_path):
    import torch

    weight = model.artifact.network.table(0).weight
    before = weight[3].clone()
    weight[3] = torch.nan
    model.save(tmp_path / "diverged")
    weight[3] = before
    bad, good = write(tmp_path / "bad", [{"in0": [3]}]), write(tmp_path / "good", [{"in0": [1]}])
    report = transform(tmp_path / "diverged", [bad, good], tmp_path / "out")
    assert report.failed[str(bad)].startswith(f"{bad}:1: embeddings: must be finite numbers; got ")
    assert report.done == {str(good): 1}


def test_urls_in_and_out(model, saved, tmp_path):
    store = fsspec.filesystem("memory")
    store.pipe("/bucket/in/a/1.jsonl", lines(PAIRS[:3]))
    store.pipe("/bucket/in/2.jsonl", lines(PAIRS[3:4]))
    for path in saved.iterdir():
        store.pipe(f"/bucket/model/{path.name}", path.read_bytes())
    report = transform("memory://bucket/model", ["memory://bucket/in"], "memory://bucket/out")
    assert sorted(report.done.values()) == [1, 3]
    assert sorted(store.find("/bucket/out")) == [
        "/bucket/out/2.jsonl.out",
        "/bucket/out/a/1.jsonl.out",
    ]
    local = transform(saved, [write(tmp_path / "1", PAIRS[:3])], tmp_path)
    assert list(local.done.values()) == [3]
    assert store.cat("/bucket/out/a/1.jsonl.out") == (tmp_path / "1.out").read_bytes()
    again = transform("memory://bucket/model", ["memory://bucket/in"], "memory://bucket/out")
    assert len(again.skipped) == 2
    one = transform("memory://bucket/model", ["memory://bucket/in/2.jsonl"], "memory://bucket/one")
    assert store.exists("/bucket/one/2.jsonl.out")
    assert len(one.done) == 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"split_type": "RecordIO"}, "split_type: must be Line or None; got 'RecordIO'"),
        (
            {"split_type": "Line", "content_type": "application/json"},
            "split_type: must be None for application/json; got 'Line'",
        ),
        ({"strategy": "Many"}, "strategy: must be MultiRecord or SingleRecord; got 'Many'"),
        ({"max_payload_mb": 0}, r"max_payload: must be in \[1, 100\] megabytes; got 0"),
        ({"max_payload_mb": 101, "strategy": "x"}, "2 problems"),
    ],
)
def test_settings_that_are_wrong(settings, text):
    with pytest.raises(ConfigError, match=text):
        TransformSettings(**settings)


def test_a_mistake_in_the_settings_is_found_before_the_model_is_loaded(tmp_path):
    settings = TransformSettings(content_type="text/html")
    with pytest.raises(ConfigError, match="Content-Type: must be"):
        transform(tmp_path / "no model", [tmp_path / "no file"], tmp_path, settings)


def test_calls_that_are_wrong(saved, tmp_path):
    a, b = write(tmp_path / "x/a", PAIRS), write(tmp_path / "y/a", PAIRS)
    with pytest.raises(ConfigError, match=r"y/a: must have an output file of its own, not that of"):
        transform(saved, [a, b], tmp_path)
    with pytest.raises(ConfigError, match="Content-Type: must be application/json or"):
        transform(saved, [a], tmp_path, TransformSettings(content_type="text/csv"))
    with pytest.raises(
        ConfigError, match=r"^out: must be a folder or the URL of one; got '-'\. `ob"
    ):
        transform(saved, [a], "-")
    with pytest.raises(DataError, match="input: must be a file or folder; got '-'"):
        transform(saved, ["-"], tmp_path)
    with pytest.raises(DataError, match="must be a file or folder; got 'nothing there'"):
        transform(saved, [tmp_path / "none"], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="must be writable"):
        transform(saved, [a], tmp_path / "file" / "out")


def test_the_command_lists_what_failed_and_says_so_by_its_code(saved, tmp_path, capsys):
    good, bad = write(tmp_path / "good", PAIRS), write(tmp_path / "bad", b"nonsense\n")
    arguments = ["transform", str(saved), str(good), str(bad), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    log = capsys.readouterr().err
    assert re.search(r"good: 40 records, in .*good\.out", log)
    assert re.search(rf"Error: 1 of 2 files failed:\n  {bad}\n$", log)
    assert main([*arguments[:3], *arguments[4:], "--split-type", "Line", "--max-payload", "1"]) == 0
    assert main([*arguments, "--strategy", "Many"]) == 2
