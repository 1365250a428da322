"""The same loop on a GPU: it learns, agrees with the CPU, resumes and changes devices."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch

from object2vec import Interrupted, Object2Vec
from object2vec.config.table import HYPERPARAMETERS
from object2vec.inference.engine import Engine
from object2vec.inference.instances import Group
from object2vec.kernels import kernel_for
from object2vec.kernels.base import Lookup, Tape
from object2vec.kernels.cpu.kernel import CompiledKernel
from object2vec.kernels.reference import ReferenceKernel
from object2vec.kernels.rules import RULES, Parameter, Update
from object2vec.objects.ragged import Ragged
from object2vec.reporting.events import BatchesDone
from object2vec.training import loop
from object2vec.training.stop import StopRequest
from support.stopping import EVERYTHING as OF_RANKING
from support.stopping import AfterBatches

pytestmark = pytest.mark.gpu

OBJECTS = range(1, 7)
TRAIN = {
    "in0": [[a, a + 1] if a in (1, 4) and b % 2 else [a] for a in OBJECTS for b in OBJECTS],
    "in1": [[b, 0] if a == 2 else [b] * (1 + a % 2) for a in OBJECTS for b in OBJECTS],
    "label": [float((a > 3) + (b > 3)) for a in OBJECTS for b in OBJECTS],
}
# Topics are determined where no two components explain alike: not in the symmetry of TRAIN.
_LENGTHS = [1 + (3 * record) % 4 for record in range(36)]
UNEVEN = TRAIN | {
    side: [
        [1 + (record * (step + 2) + step * step) % size for step in range(length)]
        for record, length in enumerate(_LENGTHS)
    ]
    for side, size in (("in0", 5), ("in1", 6))
}
IN0 = [[1], [], [4, 5], [0], [6, 0, 0], [0, 2], [3, 3, 3, 3]]
NETWORKS = ["pooled_embedding", "hcnn", "bilstm"]
OPTIMIZERS = ["sgd", "adam", "adagrad", "rmsprop", "adadelta"]
# Sums of some hundred float32 products in another order, through some tens of updates.
CLOSE = {"rtol": 1e-3, "atol": 1e-3}
ROUGH = {"rtol": 5e-2, "atol": 5e-2}  # bfloat16 has 8 bits, and each device rounds where it does
KINDS = [label in (0, 2) for label in TRAIN["label"]]  # whether both objects are of one kind
POSITIVES = {
    side: [row for row, same in zip(TRAIN[side], KINDS, strict=True) if same]
    for side in ("in0", "in1")
}
RANKING = {"output_layer": "ranking", "ranking_scale": 5}
# Each thing that changes what a step computes, with what it is learned from.
MECHANISMS: dict[str, tuple[dict, dict]] = {
    "regression": ({"output_layer": "mean_squared_error"}, TRAIN),
    "cosine": ({"output_layer": "cosine"}, TRAIN),
    "odds": (
        {
            "output_layer": "dot_product",
            "negative_sampling_rate": 2,
            "random_negative_sampling_rate": 1,
        },
        TRAIN | {"label": [float(same) for same in KINDS]},
    ),
    "ranking": (RANKING, POSITIVES),
    "one direction": (
        RANKING | {"ranking_direction": "in0", "normalize": "in0", "learn_ranking_scale": False},
        POSITIVES,
    ),
    "corrected ranking": (
        RANKING
        | {
            "shared_negatives": 5,
            "negative_exponent": 0.5,
            "log_q_correction": True,
            "label_smoothing": 0.1,
        },
        POSITIVES,
    ),
    "all candidates": (RANKING | {"candidates": "all"}, POSITIVES),
    "odds of all candidates": ({"output_layer": "dot_product", "candidates": "all"}, POSITIVES),
    "weights of tokens": ({"enc0_idf_exponent": 1.5}, TRAIN),
    "topics": ({"topics": 2}, UNEVEN),
    "partners": (
        {"output_layer": "mean_squared_error", "enc0_partners": True, "enc1_partners": True},
        TRAIN,
    ),
    "token dropout": ({"token_dropout": 0.4}, TRAIN),
    "sums of tokens": ({"enc0_pool_exponent": 0.5, "mask_padding": False}, TRAIN),
    "averages": ({"weight_averaging": 0.9}, TRAIN),
    "noise": ({"noise_temperature": 1.0, "optimizer": "adam", "learning_rate": 0.001}, TRAIN),
    "decay of embeddings": ({"embedding_decay": 0.5, "negative_sampling_rate": 1}, TRAIN),
    "decoupled decay": (
        {"weight_decay": 0.5, "decoupled_weight_decay": True, "optimizer": "adam"},
        TRAIN,
    ),
    "clipping": ({"gradient_clip_norm": 0.05}, TRAIN),
    "unit vectors": ({"token_init": "unit"}, TRAIN),
    "linear schedule": ({"learning_rate_schedule": "linear", "warmup": 0.3}, TRAIN),
    "cosine schedule": ({"learning_rate_schedule": "cosine"}, TRAIN),
    "plateau": ({"learning_rate_schedule": "plateau"}, TRAIN),
    "one encoder": ({"shared_encoder": True}, TRAIN),
    "three parts": ({"comparator_list": "concat, abs_diff, hadamard"}, TRAIN),
    "bfloat16": ({"precision": "bfloat16"}, TRAIN),
}
EVERYTHING = (
    OF_RANKING
    | RANKING
    | {
        "shared_negatives": 5,
        "weight_averaging": 0.9,
        "enc0_idf_exponent": 1.0,
        "token_init": "unit",
        "learning_rate_schedule": "cosine",
        "warmup": 0.2,
        "topics": 0,  # see UNEVEN
    }
)
# Where there is no GPU these tests do not run; that they name what there is shows everywhere.
SETTINGS = EVERYTHING.keys() | {name for given, _ in MECHANISMS.values() for name in given}
assert SETTINGS <= HYPERPARAMETERS.keys(), SETTINGS - HYPERPARAMETERS.keys()
STORAGES = ["dense", "row_sparse"]
each_storage = pytest.mark.parametrize("storage", STORAGES)
each_network = pytest.mark.parametrize("network", NETWORKS)


def model(**given) -> Object2Vec:
    values = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 4,
        "enc0_vocab_size": 9,
        "enc0_token_embedding_dim": 6,
        "enc0_layers": 1,
        "enc_dim": 12,
        "mlp_layers": 1,
        "mlp_dim": 8,
        "mlp_activation": "tanh",
        "num_classes": 3,
        "learning_rate": 0.03,
        "mini_batch_size": 9,
        "epochs": 40,
        "early_stopping_patience": 5,
        "early_stopping_tolerance": 1e-6,
        "seed": 3,
        "device": "cuda",
    }
    return Object2Vec(**(values | given))


@each_storage
@pytest.mark.parametrize("tied", [False, True])
@each_network
def test_it_learns_what_is_right(network, storage, tied):
    fitted = model(
        enc0_network=network,
        token_embedding_storage_type=storage,
        tied_token_embedding_weight=tied,
    ).fit(TRAIN)
    assert fitted.artifact.network.table(0).weight.device.type == "cuda"
    scores = fitted.predict(in0=TRAIN["in0"], in1=TRAIN["in1"])
    assert scores.argmax(1).tolist() == TRAIN["label"]


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@each_network
def test_a_short_training_is_that_of_the_cpu(network, optimizer, kernel):
    """The first epoch, before rounding can lead two runs apart."""
    found = []
    for device, each in (("cpu", "reference"), ("cuda", kernel)):
        fitted = model(
            enc0_network=network,
            optimizer=optimizer,
            device=device,
            epochs=1,
            weight_decay=0.01,
            negative_sampling_rate=1,
            token_embedding_storage_type="row_sparse",
            kernel=each,
            threads=1,
        ).fit(TRAIN)
        found.append(fitted.encode(in0=IN0))
    np.testing.assert_allclose(*found, **CLOSE)
    assert (found[0] != 0).any()


def weights(model: Object2Vec) -> dict[str, np.ndarray]:
    state = model.artifact.network.state_dict()
    return {name: tensor.cpu().numpy() for name, tensor in state.items()}


def assert_close(found: dict, expected: dict, limits: dict) -> None:
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_allclose(array, expected[name], err_msg=name, **limits)


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@each_storage
@each_network
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanism_does_on_a_gpu_what_it_does_on_a_cpu(mechanism, network, storage, kernel):
    """The first epoch: weights, embeddings, scores and metrics."""
    given, data = MECHANISMS[mechanism]
    values = {
        "enc0_network": network,
        "token_embedding_storage_type": storage,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "epochs": 1,
        "threads": 1,
        **given,
    }
    limits = ROUGH if mechanism == "bfloat16" else CLOSE
    cpu = model(**values, device="cpu", kernel="reference").fit(data)
    gpu = model(**values, kernel=kernel).fit(data)
    assert gpu.artifact.network.table(0).weight.is_cuda
    assert_close(weights(gpu), weights(cpu), limits)
    for side in ("in0", "in1"):
        found, expected = (each.encode(**{side: IN0}) for each in (gpu, cpu))
        np.testing.assert_allclose(found, expected, **limits)
        assert (found != 0).any()
    found, expected = (each.predict(in0=IN0, in1=IN0) for each in (gpu, cpu))
    np.testing.assert_allclose(found, expected, **limits)
    found, expected = (each.evaluate(data) for each in (gpu, cpu))
    assert found == pytest.approx(expected, rel=limits["rtol"], abs=limits["atol"])


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
@each_storage
@each_network
def test_a_run_with_everything_that_was_stopped_anywhere_goes_on(
    network, storage, kernel, tmp_path
):
    given = EVERYTHING | {
        "enc0_network": network,
        "token_embedding_storage_type": storage,
        "kernel": kernel,
        "epochs": 3,
        "dropout": 0.2,
        "learning_rate": 0.01,
        "mini_batch_size": 4,
    }
    whole = model(**given).fit(POSITIVES)
    folder, stopped = tmp_path / "run", 0
    for batches in (1, 3, 2):
        with pytest.raises(Interrupted):
            model(**given).fit(
                POSITIVES, checkpoints=folder, resume=stopped > 0, stop=AfterBatches(batches)
            )
        stopped += 1
    resumed = model(**given).fit(POSITIVES, checkpoints=folder, resume=True)
    assert_close(weights(resumed), weights(whole), CLOSE)
    other = model(**given | {"seed": 4}).fit(POSITIVES)
    assert not np.allclose(other.encode(in0=IN0), whole.encode(in0=IN0), **CLOSE)


@pytest.mark.parametrize("kernel", ["compiled", "reference"])
def test_words_in_windows_are_learned_as_on_a_cpu(kernel, tmp_path):
    """Pairs in blocks that share their noise; the vectors of both devices after an epoch."""
    draw = np.random.default_rng(0)
    lines = [" ".join(draw.choice(["red", "green", "one", "two", "and"], 6)) for _ in range(200)]
    (tmp_path / "corpus.txt").write_text("\n".join(lines))
    settings = {
        "enc_dim": 8,
        "learning_rate": 0.1,
        "mini_batch_size": 300,
        "epochs": 1,
        "threads": 1,
        "seed": 3,
    }
    found = []
    for device, each in (("cpu", "reference"), ("cuda", kernel)):
        made = Object2Vec(
            preset="words", pairs="windows(sample=0)", **settings, device=device, kernel=each
        )
        found.append(weights(made.fit(tmp_path / "corpus.txt")))
    assert_close(*found, CLOSE)


TABLE = {
    "question": [f"a{n % 7} b{n % 5} e{n}" for n in range(60)],
    "answer": [f"f{n % 7} e{n} g{n % 11}" for n in range(60)],
}


def test_a_preset_on_tables_validates_by_retrieval_and_is_gone_on_from(tmp_path):
    columns = {"in0": "question:text", "in1": "answer:text", "preset": "retrieval"}
    settings = {"enc_dim": 12, "mini_batch_size": 16, "epochs": 2, "seed": 3}
    found = []
    for device in ("cpu", "cuda"):
        made = Object2Vec(**columns, **settings, device=device, kernel="auto").fit(TABLE, split=0.2)
        further = Object2Vec(**columns, **settings, device=device).fit(TABLE, start_from=made)
        made.save(tmp_path / device)
        loaded = Object2Vec.load(tmp_path / device, device="cuda")
        vectors = loaded.encode(in0=["a1 b2 zebra", "zebra quagga"])
        np.testing.assert_allclose(
            vectors, made.encode(in0=["a1 b2 zebra", "zebra quagga"]), **CLOSE
        )
        assert np.isfinite(further.encode(in0=["a1 b2"])).all()
        found.append((vectors, made.evaluate(TABLE)))
    np.testing.assert_allclose(found[0][0], found[1][0], **ROUGH)
    assert found[1][1] == pytest.approx(found[0][1], rel=0.1, abs=0.1)


@pytest.mark.parametrize("mode", ["classification", "embedding"])
def test_an_instance_gets_the_same_bits_alone_and_in_a_batch(mode):
    engine = Engine(model(epochs=2).fit(TRAIN).artifact)
    engine.warm_up(mode)
    columns = (IN0, IN0[::-1] if mode == "classification" else None)
    (together,) = engine.predict([Group(*columns)])
    for i in range(len(IN0)):
        one = Group(*(None if column is None else column[i : i + 1] for column in columns))
        (alone,) = engine.predict([one])
        assert alone.tobytes() == together[i : i + 1].tobytes()
    assert (together != 0).any()


@pytest.mark.parametrize(("trained", "used"), [("cpu", "cuda"), ("cuda", "cpu")])
@each_network
def test_a_model_computes_where_it_is_told(network, trained, used, tmp_path):
    fitted = model(enc0_network=network, device=trained, epochs=2).fit(TRAIN)
    fitted.save(tmp_path / "model")
    same = Object2Vec.load(tmp_path / "model")
    other = Object2Vec.load(tmp_path / "model", device=used)
    assert same.artifact.network.table(0).weight.device.type == trained
    assert other.artifact.network.table(0).weight.device.type == used
    assert same.encode(in0=IN0).tobytes() == fitted.encode(in0=IN0).tobytes()
    np.testing.assert_allclose(other.encode(in0=IN0), fitted.encode(in0=IN0), **CLOSE)
    scores = [m.predict(in0=IN0, in1=IN0) for m in (fitted, other)]
    np.testing.assert_allclose(*scores, **CLOSE)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_stopped_run_goes_on(dropout, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_REPORT_BATCHES", 1)
    stop = StopRequest()

    class Stopper:
        def __call__(self, event):
            if isinstance(event, BatchesDone) and event.epoch == 1 and event.batches == 2:
                stop.request(signal.SIGTERM)

        def close(self):
            pass

    given = {"dropout": dropout, "epochs": 3}
    whole = model(**given).fit(TRAIN)
    with pytest.raises(Interrupted, match=r"Stopped by SIGTERM\. Go on from"):
        model(**given).fit(TRAIN, checkpoints=tmp_path, stop=stop, reporters=[Stopper()])
    resumed = model(**given).fit(TRAIN, checkpoints=tmp_path, resume=True)
    # PyTorch's own sums on a GPU have no fixed order: equal up to rounding is what is promised.
    np.testing.assert_allclose(resumed.encode(in0=IN0), whole.encode(in0=IN0), **CLOSE)


# A frequent token's gradient is a sum of thousands of terms, here in three different orders.
ROUNDED = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture
def triton_kernel():
    """The kernel that a GPU gets; if it is not Triton's, Triton's own error says why."""
    pytest.importorskip("triton")
    from object2vec.kernels.cuda.kernel import TritonKernel, probe

    probe("cuda:0")
    assert kernel_for("auto", "cuda:0").name == kernel_for("compiled", "cuda:0").name == "triton"
    return TritonKernel()


def zipf_tape(vocab: int, width: int, rows: int = 500) -> Tape:
    """Two lookups, as tied encoders make them; one token is in most rows.

    All gradients outweigh the decay and are positive: some rules turn the sign of a sum near zero,
    that is its rounding, into a whole step.
    """
    generator, tape = np.random.default_rng(3), Tape()
    for _ in range(2):
        lengths = generator.integers(0, 40, rows)
        column = Ragged.build([generator.zipf(1.3, n) % vocab for n in lengths])
        gradient = 2 + np.abs(generator.normal(size=(rows, width)).astype(np.float32))
        tape.append(Lookup(*map(torch.from_numpy, (column.values, column.offsets, gradient))))
    return tape


def trained(kernel, update: str, optimizer: str, device: str, vocab: int, width: int) -> list:
    """Pooled rows, weight and state after three steps, on the CPU."""
    rule = RULES[optimizer](0.1, 0.01)
    weight = np.random.default_rng(2).normal(size=(vocab, width)).astype(np.float32)
    weight = torch.from_numpy(weight).to(device)
    parameter = Parameter.new(rule, weight)
    tape = Tape(
        Lookup(*(tensor.to(device) for tensor in (lookup.ids, lookup.offsets, lookup.gradient)))
        for lookup in zipf_tape(vocab, width)
    )
    for step in (1, 2, 3):
        getattr(kernel, update)(Update(rule, step), parameter, tape)
    pooled = kernel.pool(weight, Lookup(tape[0].ids, tape[0].offsets))
    return [tensor.cpu() for tensor in (pooled, *parameter.tensors())]


@pytest.mark.parametrize("width", [1, 3, 64, 300])
@pytest.mark.parametrize("update", ["update_rows", "update_table"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_tritons_tables_are_those_of_the_reference_and_of_the_cpu(
    triton_kernel, optimizer, update, width
):
    ours = trained(triton_kernel, update, optimizer, "cuda", 700, width)
    for kernel, device in [(ReferenceKernel(), "cuda"), (CompiledKernel(), "cpu")]:
        theirs = trained(kernel, update, optimizer, device, 700, width)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, **ROUNDED)
            assert (one != 0).any()


@pytest.mark.parametrize("update", ["update_rows", "update_table"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_triton_gives_the_same_bytes_twice(triton_kernel, optimizer, update):
    runs = [trained(triton_kernel, update, optimizer, "cuda", 700, 300) for _ in range(3)]
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_tritons_dense_updates_are_those_of_the_cpu(triton_kernel, optimizer):
    rule, found = RULES[optimizer](0.1, 0.01), []
    generator = np.random.default_rng(5)
    start, gradient = generator.normal(size=(2, 130, 131)).astype(np.float32)
    for kernel, device in [(triton_kernel, "cuda"), (CompiledKernel(), "cpu")]:
        weight = torch.from_numpy(start.copy()).to(device)
        parameter = Parameter.new(rule, weight)
        for step in (1, 2, 3):
            there = torch.from_numpy(gradient).to(device)
            kernel.update_dense(Update(rule, step), parameter, there)
        found.append([tensor.cpu() for tensor in parameter.tensors()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **ROUNDED)


def test_tritons_maxima_and_their_gradients_are_those_of_the_cpu(triton_kernel):
    generator, found = np.random.default_rng(6), []
    values = generator.integers(-3, 4, (900, 130)).astype(np.float32)  # with many equals
    offsets = torch.from_numpy(np.append(0, np.cumsum(generator.integers(1, 9, 100))))
    for kernel, device in [(triton_kernel, "cuda"), (CompiledKernel(), "cpu")]:
        x = torch.from_numpy(values).to(device).requires_grad_()
        maxima = kernel.segment_max(x, offsets.to(device))
        (maxima * torch.arange(130.0, device=device)).sum().backward()
        found.append([maxima.detach().cpu(), x.grad.cpu()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_triton_finds_rows_beyond_two_to_the_31_numbers(triton_kernel):
    vocab, width = 2**21 + 3, 1024
    if torch.cuda.mem_get_info()[0] < 10 * 2**30:
        pytest.skip("needs 10 GiB of the GPU's memory")
    weight = torch.empty(vocab, width, device="cuda")
    weight[0], weight[-1], weight[-2] = 1.0, 2.0, 3.0
    ids = torch.tensor([vocab - 1, 0], dtype=torch.int32, device="cuda")
    offsets = torch.tensor([0, 2], device="cuda")
    assert (triton_kernel.pool(weight, Lookup(ids, offsets)) == 1.5).all()
    tape = Tape([Lookup(ids, offsets, torch.ones(1, width, device="cuda"))])
    triton_kernel.update_rows(Update(RULES["sgd"](1.0), 1), Parameter(weight, ()), tape)
    assert (weight[-1] == 1.5).all()
    assert (weight[-2] == 3.0).all()
    assert (weight[0] == 0.5).all()
