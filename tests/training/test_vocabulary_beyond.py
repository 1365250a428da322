"""A vocabulary file with ids that have no row: AWS takes it, as its genres notebook shows."""

import json

import numpy as np
import pytest

from object2vec import DataError, RequestError
from object2vec.cli import main
from object2vec.inference.engine import Engine
from object2vec.inference.forms import negotiate
from object2vec.inference.payload import JSON
from object2vec.model import Object2Vec

SMALL = {
    "enc0_network": "pooled_embedding",
    "enc1_network": "pooled_embedding",
    "enc0_max_seq_len": 2,
    "enc0_vocab_size": 3,
    "enc1_max_seq_len": 2,
    "enc1_vocab_size": 9,
    "enc_dim": 4,
    "mlp_dim": 4,
    "epochs": 1,
    "enc0_vocab_file": "v.json",
    "enc0_pretrained_embedding_file": "a.txt",
}


def test_it_is_a_warning_and_the_others_keep_their_rows(tmp_path):
    (tmp_path / "v.json").write_text(json.dumps({"a": 1, "b": 2, "<unk>": 3}))
    (tmp_path / "a.txt").write_text("a 1 2 3 4\n<unk> 5 6 7 8\n")
    notes = []

    class Listener:
        def __call__(self, event):
            notes.extend(getattr(event, "notes", ()))

        def close(self):
            pass

    model = Object2Vec(**SMALL).fit(
        [{"in0": [1], "in1": [1], "label": 1}, {"in0": [2], "in1": [2], "label": 0}],
        auxiliary=tmp_path,
        reporters=[Listener()],
    )
    (text,) = [note.text for note in notes if note.level == "warning"]
    assert text.startswith("v.json: 1 of its tokens, such as '<unk>' with 3, have ids that are not")
    assert "enc0_vocab_size 3" in text
    assert model.encode(in0=[[1]]).tolist() == [[1, 2, 3, 4]]


@pytest.fixture
def model(tmp_path):
    """Loaded: its file of words gives two of them ids that have no row."""
    words = {"a": 1, "b": 2, "<unk>": 3, "<gone>": 5}
    (tmp_path / "v.json").write_text(json.dumps(words))
    settings = {k: v for k, v in SMALL.items() if k != "enc0_pretrained_embedding_file"}
    records = [{"in0": [1], "in1": [1], "label": 1}, {"in0": [2], "in1": [2], "label": 0}]
    Object2Vec(**settings).fit(records, auxiliary=tmp_path).save(tmp_path / "model")
    return Object2Vec.load(tmp_path / "model")


def test_the_model_reads_them_as_padding_and_no_others(model):
    """The notebook of genres sends the id of its unknown word, which is `vocab_size`."""
    ids = [[1, 3], [5, 2], [3], [2]]
    expected = model.encode(in0=[[1, 0], [0, 2], [0], [2]])
    np.testing.assert_array_equal(model.encode(in0=ids), expected)
    reader, form = Engine(model.artifact).reader, negotiate(JSON, "")
    for unknown in (3, 3.0):
        body = json.dumps({"instances": [{"in0": [1, unknown]}, {"in0": [2]}]}).encode()
        request = reader.read(body, form)
        assert request.groups[0].in0 == [[1, 0], [2]]
        assert request.accounts[0].omissions.padded == 1
    for wrong in (4, 6):
        with pytest.raises(DataError, match=f'Vocab id "{wrong}" is not less than vocab_size=3'):
            model.encode(in0=[[1, wrong]])
        body = json.dumps({"instances": [{"in0": [1, wrong]}]}).encode()
        message = rf"in0\[1\]: must be an integer in \[0, 3\); got {wrong}"
        with pytest.raises(RequestError, match=message):
            reader.read(body, form)


def test_what_looks_among_tokens_leaves_them_out(model, tmp_path, capsys):
    (near,) = model.nearest(["a"], k=9)
    assert sorted(each.object for each in near) == ["b"]
    assert main(["vocabulary", str(tmp_path / "model"), "--side", "in0"]) == 0
    assert [line.split("\t")[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["a", "1"],
        ["b", "2"],
        ["<unk>", "3"],
        ["<gone>", "5"],
    ]
