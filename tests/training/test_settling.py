"""What rows become that no record of training reads, and what that costs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from object2vec import Object2Vec
from object2vec.network.tokens import TokenTable
from object2vec.pairs.dataset import Pairs
from object2vec.training import settling

N_IDS = 5_000
FILMS = [*range(1, 60), N_IDS]
ROWS = {"user": [f"u{i % 40}" for i in range(400)], "film": [FILMS[i % 60] for i in range(400)]}
HELD_OUT = {"user": ["u1", "new", "u3"], "film": [7, 4_000, 4_001]}


def fitted(**given):
    made = Object2Vec(
        in0="user",
        in1="film:ids",
        preset="topn",
        pairs=None,
        epochs=3,
        enc_dim=8,
        token_embedding_storage_type="row_sparse",
        device="cpu",
        threads=1,
        **given,
    )
    return made


@pytest.fixture
def written(monkeypatch):
    """Numbers of rows that were written by settling, in the order of the calls."""
    counts, write = [], TokenTable.write

    def counting(self, rows, vectors):
        counts.append(len(rows))
        write(self, rows, vectors)

    monkeypatch.setattr(TokenTable, "write", counting)
    return counts


def films_of(model):
    return model.artifact.network.tables()[1].weight


def test_an_epoch_writes_what_validation_reads_and_the_end_all(written):
    fitted().fit(ROWS, validation=HELD_OUT)
    assert max(written) > N_IDS - 100
    assert sum(written) < 2 * N_IDS


@pytest.mark.parametrize("share", [(), ("left", "right")])
@pytest.mark.parametrize("side", ["left", "right"])
def test_validation_finds_what_it_reads_on_either_side_settled(side, share, monkeypatch):
    written, write = [], TokenTable.write

    def noting(self, rows, vectors):
        written.append(rows.tolist())
        write(self, rows, vectors)

    monkeypatch.setattr(TokenTable, "write", noting)
    rows = {
        name: [FILMS[(i * step) % 60] for i in range(400)]
        for name, step in (("left", 1), ("right", 7))
    }
    held_out = {"left": [5, 6, 7], "right": [9, 8, 7]} | {side: [4_000, 6, 4_001]}
    made = Object2Vec(
        in0="left:ids",
        in1="right:ids",
        share=share or None,
        preset="topn",
        pairs=None,
        epochs=1,
        enc_dim=8,
        token_embedding_storage_type="row_sparse",
        device="cpu",
        threads=1,
    )
    made.fit(rows, validation=held_out)
    assert written[0] == [4_000, 4_001]
    assert all(len(each) > 4_000 for each in written[1:])  # at the end


def test_what_records_may_read_is_what_they_hold_or_all_if_more_is_drawn():
    pairs = Pairs.build(in0=[[1, 3], [1]], in1=[[5], []], label=[0.0, 1.0])
    read = {sides: settling._read_by(pairs, sides, 7) for sides in ((0,), (1,), (0, 1))}
    found = {sides: np.flatnonzero(each).tolist() for sides, each in read.items()}
    assert found == {(0,): [1, 3], (1,): [5], (0, 1): [1, 3, 5]}
    drawing = dataclasses.replace(pairs, draw=lambda count, generator: pairs.columns["in1"])
    assert settling._read_by(drawing, (0,), 7).all()
    assert not settling._read_by(None, (0,), 7).any()


def test_unread_rows_are_the_mean_of_the_others_at_the_end():
    for validation in (None, HELD_OUT):
        weight = films_of(fitted().fit(ROWS, validation=validation))
        unread = weight[60:N_IDS]
        expected = weight[FILMS].double().mean(dim=0).float().expand_as(unread)
        torch.testing.assert_close(unread, expected)


def test_what_is_read_by_pieces_is_the_same(monkeypatch):
    whole = films_of(fitted().fit(ROWS, validation=HELD_OUT))
    monkeypatch.setattr(settling, "_ROWS", 7)
    monkeypatch.setattr(settling, "_IDS", 1)
    assert torch.equal(films_of(fitted().fit(ROWS, validation=HELD_OUT)), whole)


def test_of_a_large_vocabulary_rows_evenly_spaced_stand_for_all(monkeypatch):
    monkeypatch.setattr(settling, "_SAMPLE", 16)
    weight = films_of(fitted().fit(ROWS, validation=HELD_OUT))
    chosen = np.array(FILMS)[np.linspace(0, 59, 16, dtype=np.int64)]
    torch.testing.assert_close(weight[70], weight[chosen].double().mean(dim=0).float())


@pytest.mark.parametrize("bias", ["mean", "zero"])
def test_a_label_that_no_record_has_keeps_its_log_odds(bias):
    rows = {"text": [f"w{i % 7} w{i % 5}" for i in range(60)], "label": ["a", "b", "c"] * 20}
    model = Object2Vec(
        in0="text:text",
        in1="label",
        output_layer="dot_product",
        candidates="all",
        enc_dim=8,
        output_bias=bias,
        epochs=2,
        threads=1,
        device="cpu",
    ).fit(rows)
    weight = films_of(model)
    named = {entry.token: entry.row for _, entry in model.schema.entries(1)}
    unread, known = weight[named[None]], weight[[named[token] for token in "abc"]]
    torch.testing.assert_close(unread[:-1], known[:, :-1].double().mean(dim=0).float())
    assert abs(unread[-1] - known[:, -1].mean()) > 1e-3
    if bias == "mean":
        assert unread[-1] < known[:, -1].min() - 1
