"""A vocabulary file with ids that have no row: AWS takes it, as its genres notebook shows."""

import json

from object2vec.model import Object2Vec

SMALL = {
    "enc0_network": "pooled_embedding", "enc1_network": "pooled_embedding", "enc0_max_seq_len": 2,
    "enc0_vocab_size": 3, "enc1_max_seq_len": 2, "enc1_vocab_size": 9, "enc_dim": 4, "mlp_dim": 4,
    "epochs": 1, "enc0_vocab_file": "v.json", "enc0_pretrained_embedding_file": "a.txt",
}  # fmt: skip


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
