"""The engine: the same bits in any company, no number that is none, and no state of a caller."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from object2vec import ArtifactError, Object2Vec
from object2vec.errors import RequestError
from object2vec.inference.engine import Engine
from object2vec.inference.instances import Group
from object2vec.objects.ragged import Ragged

POOLED = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 5,
    "enc0_vocab_size": 40,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 4,
    "enc1_vocab_size": 30,
    "enc_dim": 16,
    "mlp_dim": 8,
    "epochs": 1,
    "threads": 1,
    "seed": 3,
}
MIXED = POOLED | {
    "enc0_network": "hcnn",
    "enc0_layers": 2,
    "enc0_token_embedding_dim": 8,
    "enc1_network": "bilstm",
    "enc1_token_embedding_dim": 8,
}
RECORDS = [{"in0": [i % 39 + 1, 5], "in1": [i % 29 + 1], "label": i % 2} for i in range(24)]
ROWS0 = [[i % 39 + 1] * (i % 5) for i in range(150)]
ROWS1 = [[i % 29 + 1] * (i % 4 + 1) for i in range(150)]
IN0, IN1 = Ragged.build(ROWS0), Ragged.build(ROWS1)


def fitted(settings=POOLED, **more) -> Object2Vec:
    return Object2Vec(**settings, **more).fit(RECORDS)


def steady(model: Object2Vec) -> Engine:
    engine = Engine(model.artifact)
    engine.warm_up("embedding")
    return engine


@pytest.mark.parametrize("output", ["softmax", "mean_squared_error"])
def test_an_instance_of_pooled_encoders_has_the_same_bits_in_any_batch(output):
    engine = steady(fitted(output_layer=output))
    together = engine.score(IN0, IN1)
    assert len(np.unique(together)) > 20
    (merged,) = engine.predict([Group(ROWS0, ROWS1)])
    parts = [Group(ROWS0[i:j], ROWS1[i:j]) for i, j in ((0, 1), (1, 70), (70, 150))]
    for scores in (merged, np.concatenate(engine.predict(parts))):
        assert scores.tobytes() == together.tobytes()
    for row in (0, 1, 63, 64, 149):
        alone = engine.score(IN0.slice(row, row + 1), IN1.slice(row, row + 1))
        assert alone.tobytes() == together[row].tobytes()


@pytest.mark.parametrize("settings", [POOLED, MIXED])
def test_groups_of_all_kinds_are_predicted_together(settings):
    model = fitted(settings)
    engine = steady(model)
    groups = [
        Group(None, ROWS1[0:3]),
        Group(ROWS0[0:2], ROWS1[0:2]),
        Group(ROWS0[5:9], None),
        Group(ROWS0[7:20], ROWS1[7:20]),
    ]
    expected = [
        engine.encode(1, IN1.slice(0, 3)),
        engine.score(IN0.slice(0, 2), IN1.slice(0, 2)),
        engine.encode(0, IN0.slice(5, 9)),
        engine.score(IN0.slice(7, 20), IN1.slice(7, 20)),
    ]
    for found, wanted in zip(engine.predict(groups), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_no_row_gives_no_row():
    engine = Engine(fitted().artifact)
    none = Ragged.build([])
    assert engine.encode(0, none).shape == (0, 16)
    assert engine.score(none, none).shape == (0, 2)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("settings", [POOLED, MIXED])
@pytest.mark.parametrize("side", [0, 1])
def test_an_embedding_that_is_not_finite_is_an_error(settings, side, bad):
    model = fitted(settings)
    model.artifact.network.table(side).weight[7] = bad
    engine = steady(model)
    column, fine = [[3], [7]], [[3], [4]]
    given = {f"in{side}": column}
    with pytest.raises(ArtifactError, match=r"^embeddings: must be finite numbers; got 'nan"):
        model.encode(**given)
    pair = {f"in{1 - side}": fine} | given
    with pytest.raises(ArtifactError, match=r"^embeddings: must be finite numbers"):
        model.predict(**pair)
    for group in (Group(None, None), Group(fine, fine)):
        columns = [group.in0, group.in1]
        columns[side] = column
        with pytest.raises(RequestError, match=r"^embeddings: must be finite") as caught:
            engine.predict([Group(*columns)])
        assert caught.value.status == 500
    assert np.isfinite(model.encode(**{f"in{side}": fine})).all()


@pytest.mark.parametrize("output", ["softmax", "mean_squared_error"])
def test_a_score_that_is_not_finite_is_an_error(output):
    model = fitted(output_layer=output)
    model.artifact.network.head.output.weight.data[0, 0] = float("nan")
    engine = steady_without_warming(model)
    pair = [[3]], [[3]]
    with pytest.raises(ArtifactError, match=r"^scores: must be finite numbers; got 'nan or inf'"):
        model.predict(in0=pair[0], in1=pair[1])
    with pytest.raises(RequestError, match=r"^scores: must be finite") as caught:
        engine.predict([Group(*pair)])
    assert caught.value.status == 500
    assert np.isfinite(model.encode(in0=pair[0])).all()


def steady_without_warming(model: Object2Vec) -> Engine:
    engine = Engine(model.artifact)
    engine.steady()
    return engine


def test_each_thread_computes_on_the_threads_that_were_chosen(monkeypatch):
    said = []

    def say(library):
        def hear(count):
            said.append((library, count))
            return count

        return hear

    monkeypatch.setattr("object2vec.devices.use_threads", say("ours"))
    monkeypatch.setattr("object2vec.devices._shorten_waiting", lambda: None)
    monkeypatch.setattr(torch, "set_num_threads", say("torch"))
    engine, group = Engine(fitted(MIXED).artifact), Group([[1]], [[2]])

    def work():
        engine.predict([group])
        engine.encode(0, IN0)
        engine.score(IN0, IN1)

    said.clear()
    work()
    assert said == []  # those of the process
    for count in (3, 2):
        engine.steady(count)
        work()
        assert said == [("ours", count), ("torch", count)]
        said.clear()
        other = threading.Thread(target=work)
        other.start()
        other.join(60)
        assert said == [("ours", count), ("torch", count)]
        said.clear()


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


AMBIENT = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta device": lambda: torch.device("meta"),
    "no gradient": torch.no_grad,
    "gradient": torch.enable_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("ambient", AMBIENT)
@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("settings", [POOLED, MIXED])
def test_what_a_caller_has_set_in_pytorch_changes_nothing(settings, kernel, ambient, tmp_path):
    model = fitted(settings, kernel=kernel)
    model.save(tmp_path / "model")
    group = [Group(ROWS0, ROWS1)]

    def everything(of: Object2Vec) -> list[np.ndarray]:
        return [
            of.encode(in0=IN0),
            of.encode(in1=IN1),
            of.predict(in0=IN0, in1=IN1),
            *steady(of).predict(group),
            np.array([*of.evaluate(RECORDS).values()]),
        ]

    expected = everything(model)
    with AMBIENT[ambient]():
        found = everything(model)
        loaded = Object2Vec.load(tmp_path / "model")
        found += everything(loaded)
    found += everything(loaded)
    for array, wanted in zip(found, expected * 3, strict=True):
        assert array.dtype == wanted.dtype
        assert array.tobytes() == wanted.tobytes()


PROGRAM = """
import json, sys
for name in ("starlette", "uvicorn", "prometheus_client", "fastapi", "httptools", "uvloop"):
    sys.modules[name] = None
from object2vec.inference.transform import transform
import object2vec.inference.engine
done = transform(sys.argv[1], [sys.argv[2]], sys.argv[3]).done
print(json.dumps([*done.values()]))
"""


def test_batch_transform_needs_no_packages_for_http(tmp_path):
    fitted().save(tmp_path / "model")
    (tmp_path / "a.jsonl").write_text('{"in0": [1], "in1": [2]}\n{"in0": [3]}\n')
    paths = [str(tmp_path / name) for name in ("model", "a.jsonl", "out")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *paths], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[2]\n"
    assert (tmp_path / "out/a.jsonl.out").read_text().count("\n") == 2
