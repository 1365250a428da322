"""Best weights and checkpoints at a cost of what has changed: the same as whole copies."""

import json
import signal

import numpy as np
import pytest
import safetensors.numpy
import torch

from object2vec import ArtifactError, Interrupted, Object2Vec
from object2vec.compiled.cores import CORES_VARIABLE
from object2vec.config import Config
from object2vec.files.tensors import write_arrays
from object2vec.kernels import kernel_for
from object2vec.network.network import new_network
from object2vec.training import kept
from object2vec.training.kept import KeptTensors, RowJournal
from object2vec.training.optimizer import Optimizer
from object2vec.training.stop import StopRequest

ROWS = 1000


def network_of(**settings):
    common = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 4,
        "enc0_vocab_size": ROWS,
        "enc_dim": 8,
        "mlp_dim": 4,
        "token_embedding_storage_type": "row_sparse",
    }
    config = Config.build(common | settings)
    network = new_network(config, kernel_for("auto", "cpu"))
    return network, Optimizer(network, config, network.table(0).kernel)


def change(network, optimizer, draw, rows=20):
    """Change some rows as an update does: who keeps them is asked before."""
    for i, table in enumerate(network.tables()):
        if table.is_frozen:
            continue
        ids = torch.from_numpy(draw.integers(0, ROWS, rows).astype(np.int32))
        table.changing(ids)
        values = torch.from_numpy(draw.random((rows, 8)).astype(np.float32))
        table.weight[ids.long()] = values
        for tensor in optimizer.parameters[f"tokens.{i}.weight"].state:
            tensor[ids.long()] = 2 * values
    for weight in network.parameters():
        weight.detach().add_(1.0)


def clone(tensors):
    return {name: tensor.clone() for name, tensor in tensors.items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        assert torch.equal(tensor, expected[name]), name


SETTINGS = [
    {},
    {"token_embedding_storage_type": "dense"},
    {"enc1_vocab_size": ROWS, "enc1_network": "pooled_embedding", "enc1_max_seq_len": 2},
    {"optimizer": "sgd"},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("share", [8, 10**9])  # of the memory: all of it there, or in a file
def test_the_best_weights_come_back_whatever_has_changed_since(
    settings, compiled, share, tmp_path, monkeypatch
):
    if not compiled:
        monkeypatch.setattr(kept, "compiled_programs", lambda: None)
    monkeypatch.setattr(kept, "_MEMORY_SHARE", share)
    monkeypatch.setattr(kept, "_PIECE_BYTES", 100)
    network, optimizer = network_of(**settings)
    draw = np.random.default_rng(0)
    tensors = KeptTensors(network, optimizer, tmp_path, True)
    change(network, optimizer, draw)
    best = None
    for is_best in (True, True, False, False, True, False):
        change(network, optimizer, draw)
        if is_best:
            best = clone(network.state_dict())
            tensors.keep_best()
    assert not torch.equal(network.table(0).weight, best["tokens.0.weight"])
    for _ in range(2):  # it can be gone back to again
        tensors.restore_best()
        assert_same(network.state_dict(), best)
        change(network, optimizer, draw)
    tensors.close()
    change(network, optimizer, draw)  # nobody is asked any more
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("has_best", [True, False])
def test_a_checkpoint_and_its_best_weights_come_back(settings, has_best, tmp_path):
    network, optimizer = network_of(**settings)
    draw = np.random.default_rng(0)
    tensors = KeptTensors(network, optimizer, tmp_path, True)
    change(network, optimizer, draw)
    if has_best:
        tensors.keep_best()
    best = clone(network.state_dict())
    change(network, optimizer, draw)
    tensors.write(tmp_path / "a")
    tensors.write_best(tmp_path / "b")
    expected = clone(network.state_dict() | optimizer.tensors())
    network, optimizer = network_of(**settings)
    again = KeptTensors(network, optimizer, tmp_path, True)
    assert again.fingerprint == tensors.fingerprint
    again.read(tmp_path / "a", tmp_path / "b" if has_best else None)
    assert_same(network.state_dict() | optimizer.tensors(), expected)
    again.write(tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == (tmp_path / "a").read_bytes()
    if has_best:
        again.write_best(tmp_path / "d")
        assert (tmp_path / "d").read_bytes() == (tmp_path / "b").read_bytes()
        change(network, optimizer, draw)
        again.restore_best()
        assert_same(network.state_dict(), best)


def written(folder):
    """A network of which three rows have changed, written down as `a`, and its best one as `b`."""
    network, optimizer = network_of()
    tensors = KeptTensors(network, optimizer, folder, True)
    tensors.keep_best()
    change(network, optimizer, np.random.default_rng(0), rows=3)
    tensors.write(folder / "a")
    tensors.write_best(folder / "b")
    return network, optimizer, tensors


def test_what_is_kept_and_written_follows_what_has_changed(tmp_path):
    written(tmp_path)
    for name, parts in (("a", 3), ("b", 1)):
        arrays = safetensors.numpy.load_file(tmp_path / name)
        assert arrays["tokens.0.rows"].shape == (3,)
        wide = [array for key, array in arrays.items() if "tokens.0" in key and "weight" in key]
        assert [array.shape for array in wide] == [(3, 8)] * parts


def test_frozen_tables_are_as_each_start_makes_them(tmp_path):
    network, optimizer = network_of(
        enc0_freeze_pretrained_embedding=True,
        enc0_vocab_file="v",
        enc0_pretrained_embedding_file="w",
    )
    tensors = KeptTensors(network, optimizer, tmp_path, True)
    tensors.keep_best()
    tensors.write(tmp_path / "a")
    assert not [name for name in safetensors.numpy.load_file(tmp_path / "a") if "tokens" in name]
    before = tensors.fingerprint
    network.table(0).weight[5, 3] += 1
    assert KeptTensors(network, optimizer, tmp_path, True).fingerprint != before


def test_the_fingerprint_feels_every_number_and_their_order():
    weight = torch.rand(3000, 8)
    found = {kept._digest(weight)}
    for row in (0, 1500, 2999):
        other = weight.clone()
        other[row, 7] += 1e-6
        found.add(kept._digest(other))
    found |= {kept._digest(weight.flip(0)), kept._digest(weight.flip(1))}
    found.add(kept._digest(weight[torch.randperm(3000)]))
    assert len(found) == 7


@pytest.mark.parametrize("file", ["a", "b"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokens.0.rows", np.array([ROWS], np.int64)),
        ("tokens.0.rows", np.array([-1], np.int64)),
        ("tokens.0.rows", np.array([1.0])),
        ("tokens.0.rows", np.zeros((2, 2), np.int64)),
        ("tokens.0.rows", np.zeros(2, np.int64)),
        ("tokens.0.rows", None),
        ("tokens.0.weight", np.zeros((3, 7), np.float32)),
        ("tokens.0.weight", np.zeros((3, 8), np.float64)),
        ("tokens.0.weight", None),
        ("more", np.zeros(3, np.float32)),
    ],
)
def test_a_damaged_file_is_rejected_and_changes_nothing(file, name, value, tmp_path):
    network, optimizer, tensors = written(tmp_path)
    before = clone(network.state_dict())
    arrays = safetensors.numpy.load_file(tmp_path / file)
    arrays |= {name: value}
    write_arrays(tmp_path / file, {k: v for k, v in arrays.items() if v is not None})
    change(network, optimizer, np.random.default_rng(0), rows=0)
    before = clone(network.state_dict())
    with pytest.raises(ArtifactError, match=f"{tmp_path}/{file}.*must hold|must name rows"):
        tensors.read(tmp_path / "a", tmp_path / "b")
    assert_same(network.state_dict(), before)


@pytest.mark.parametrize("file", ["a", "b"])
@pytest.mark.parametrize("rows", [[0, 1, ROWS], [-1, 0, 1], [0, 1, ROWS - 1]])
def test_the_rows_of_a_file_are_those_of_the_table(file, rows, tmp_path):
    *_, tensors = written(tmp_path)
    arrays = safetensors.numpy.load_file(tmp_path / file)
    assert arrays["tokens.0.rows"].shape == (3,)
    dtype = arrays["tokens.0.rows"].dtype
    write_arrays(tmp_path / file, arrays | {"tokens.0.rows": np.array(rows, dtype)})
    if max(rows) < ROWS and min(rows) >= 0:
        tensors.read(tmp_path / "a", tmp_path / "b")
        return
    with pytest.raises(ArtifactError, match=f"must name rows below {ROWS}"):
        tensors.read(tmp_path / "a", tmp_path / "b")


def test_before_the_first_best_moment_nothing_is_written_down(tmp_path):
    table = torch.rand(10, 3)
    journal = RowJournal({"t": table}, tmp_path, 1 << 20, tracks=False)
    journal.note(torch.tensor([1, 2], dtype=torch.int32))
    assert journal.written()["rows"].tolist() == []
    journal.mark()
    journal.note(torch.tensor([2, 2, 3], dtype=torch.int32))
    assert journal.written()["rows"].tolist() == [2, 3]
    assert journal.changed().tolist() == []


DATA = {"in0": [[1, 2], [3], [4, 5]] * 4, "in1": [[1], [2], [3]] * 4, "label": [0, 1, 1] * 4}
WRONG = DATA | {"label": [1, 0, 0] * 4}


@pytest.mark.parametrize("storage", ["dense", "row_sparse"])
def test_a_run_ends_with_its_first_epoch_if_that_was_the_best(storage):
    """What is learned makes the validation worse from the start: epoch 0 stays the best."""
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 2,
        "enc0_vocab_size": 6,
        "enc_dim": 4,
        "mlp_dim": 4,
        "threads": 1,
        "mini_batch_size": 4,
        "learning_rate": 0.05,
        "token_embedding_storage_type": storage,
    }
    one, five = (
        Object2Vec(**settings, epochs=epochs, early_stopping_patience=5).fit(DATA, validation=WRONG)
        for epochs in (1, 5)
    )
    ours, theirs = (model.artifact.network.state_dict() for model in (five, one))
    assert_same(ours, theirs)


def test_a_run_that_goes_on_with_other_cores_keeps_its_number_of_threads(tmp_path, monkeypatch):
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 2,
        "enc0_vocab_size": 6,
        "enc_dim": 4,
        "mlp_dim": 4,
        "epochs": 2,
    }
    found = []

    class Listener:
        def __call__(self, event):
            if event.name == "run":
                found.append(event.threads)

        def close(self):
            pass

    def fit(cores, **given):
        monkeypatch.setattr("object2vec.devices.available_cores", lambda: cores)
        listeners = [Listener()]
        Object2Vec(**settings | given).fit(
            DATA, checkpoints=tmp_path, checkpoint_every=1, resume=True, reporters=listeners
        )

    fit(2)
    fit(1, epochs=3)
    fit(1, epochs=4, threads=1)
    fit(2, epochs=5)
    assert found == [2, 2, 1, 1]


@pytest.mark.parametrize(
    ("written", "used"), [(2, 2), (1, 1), (0, 3), (-2, 3), ("2", 3), (1.5, 3), (1025, 3)]
)
def test_threads_that_no_run_can_have_had_are_not_gone_on_with(
    written, used, tmp_path, monkeypatch
):
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 2,
        "enc0_vocab_size": 6,
        "enc_dim": 4,
        "mlp_dim": 4,
        "epochs": 1,
        "device": "cpu",
    }
    found = []

    class Listener:
        def __call__(self, event):
            if event.name == "run":
                found.append(event.threads)

        def close(self):
            pass

    monkeypatch.setattr("object2vec.devices.available_cores", lambda: 3)
    stop = StopRequest()
    stop.request(signal.SIGTERM)
    with pytest.raises(Interrupted):
        Object2Vec(**settings).fit(DATA, checkpoints=tmp_path, stop=stop, reporters=[Listener()])
    (file,) = tmp_path.glob("step-*/state.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"threads": written}))
    Object2Vec(**settings).fit(DATA, checkpoints=tmp_path, resume=True, reporters=[Listener()])
    assert found == [3, used]


def test_a_run_has_no_more_threads_than_it_is_left_beside_others(monkeypatch):
    settings = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 2,
        "enc0_vocab_size": 6,
        "enc_dim": 4,
        "mlp_dim": 4,
        "epochs": 1,
    }
    said = []

    class Listener:
        def __call__(self, event):
            if event.name == "run":
                said.append(event.threads)
            elif event.name == "note":
                said.append(event.text)

        def close(self):
            pass

    for threads, share in ((2, "1"), (2, "2"), (2, "3"), (2, "")):
        monkeypatch.setenv(CORES_VARIABLE, share)
        Object2Vec(**settings, threads=threads).fit(DATA, reporters=[Listener()])
    said = [each for each in said if isinstance(each, int) or each.startswith("threads: ")]
    note = "threads: 1 instead of 2, this process's share of the cores."
    assert said == [note, 1, 2, 2, 2]
