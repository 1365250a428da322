"""Records per second of a training step, beside plain PyTorch.

The model is the one of AWS's speed table: two pooled encoders, 50 + 50 tokens, width 300, hadamard,
an MLP of 2 x 512, adam, batches of 4,096 records; ids follow Zipf's law. Ours is what `fit` does:
fetch a batch from the columns, forward, backward, update, metrics. The rivals are the same network
in plain PyTorch and get batches that are tensors already:

- ``sparse``: EmbeddingBag(sparse=True) with SparseAdam, and fused Adam for the head; - ``dense``:
EmbeddingBag with a dense gradient and fused Adam: the best that a user gets without us.

Every competitor is a process of its own, so that each has its own peak memory; they take turns, a
round of steps each, and a ratio is taken within a round. No data needed.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from benchmarks.common import parser, save, table

BATCH, TOKENS, WIDTH, HIDDEN = 4096, 50, 300, 512
BATCHES = 6  # different ones, made before the clock starts


def main() -> None:
    options = parser(__doc__, ".")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--vocabularies", type=int, nargs="+", default=[30_000, 250_000])
    options.add_argument("--rates", type=int, nargs="+", default=[0, 3])
    options.set_defaults(threads=2)
    given = options.parse_args()
    results = []
    for vocabulary in given.vocabularies:
        for rate in given.rates:
            results += _compete(vocabulary, rate, given)
    baseline = {r["rate"]: r["records_per_s"] for r in results if r["of"] == "ours"}
    if given.threads > 1:
        one = _race({"ours": 1}, given.vocabularies[-1], 0, given)["ours"]
        results.append({"of": "ours on 1 thread", "vocabulary": given.vocabularies[-1], "rate": 0,
                        **one, "ours_is_times": baseline[0] / one["records_per_s"]})  # fmt: skip
    table(("vocabulary", "negatives", "of", "records/s", "ours is x", "peak MiB"),
          [(r["vocabulary"], r["rate"], r["of"], round(r["records_per_s"]),
            r["ours_is_times"], round(r["peak_memory_mib"])) for r in results])  # fmt: skip
    save("training", {"batch": BATCH, "tokens": TOKENS, "width": WIDTH, "hidden": HIDDEN,
                      "rounds": given.rounds, "results": results}, given)  # fmt: skip


def _compete(vocabulary: int, rate: int, given: Any) -> list[dict[str, Any]]:
    """Return the figures of all competitors on one setting."""
    rivals = {"ours": given.threads, "sparse": given.threads, "dense": given.threads}
    raced = _race(rivals, vocabulary, rate, given)
    rows = []
    for name, figures in raced.items():
        ratios = [ours / theirs for ours, theirs in
                  zip(raced["ours"]["rounds"], figures["rounds"], strict=True)]  # fmt: skip
        rows.append({"of": name, "vocabulary": vocabulary, "rate": rate, **figures,
                     "ours_is_times": statistics.median(ratios),
                     "ratio_spread": [min(ratios), max(ratios)]})  # fmt: skip
    return rows


def _race(rivals: dict[str, int], vocabulary: int, rate: int, given: Any) -> dict[str, Any]:
    """Let competitors take turns; return records per second and peak memory of each."""
    context = multiprocessing.get_context("spawn")
    lanes: dict[str, tuple[Any, Connection]] = {}
    for name, threads in rivals.items():
        near, far = context.Pipe()
        runner = context.Process(target=_run, args=(far, name, vocabulary, rate, threads))
        runner.start()
        near.recv()  # it is ready and warm
        lanes[name] = runner, near
    rounds: dict[str, list[float]] = {name: [] for name in lanes}
    for _ in range(given.rounds):
        for name, (_, lane) in lanes.items():
            lane.send("go")
            rounds[name].append(lane.recv())
    figures = {}
    for name, (runner, lane) in lanes.items():
        lane.send("stop")
        peak = lane.recv() / 2**10
        figures[name] = {"records_per_s": statistics.median(rounds[name]),
                         "rounds": rounds[name], "peak_memory_mib": peak}  # fmt: skip
        runner.join()
    return figures


def _run(lane: Connection, name: str, vocabulary: int, rate: int, threads: int) -> None:
    """Be one competitor: make a round of steps whenever told to."""
    steps = {"ours": _ours, "sparse": _torch, "dense": _torch}[name](
        name, vocabulary, rate, threads
    )
    steps()
    steps()
    lane.send("ready")
    while lane.recv() == "go":
        started = time.perf_counter()
        records = steps()
        lane.send(records / (time.perf_counter() - started))
    lane.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _columns(vocabulary: int, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Zipf-distributed ids of both sides, (rows, TOKENS) each, and labels."""
    draw = np.random.default_rng(0)
    share = 1 / np.arange(1, vocabulary)
    upto = np.cumsum(share / share.sum())
    ids = [
        (np.minimum(np.searchsorted(upto, draw.random((rows, TOKENS))), vocabulary - 2) + 1)
        .astype(np.int32) for _ in range(2)
    ]  # fmt: skip
    return ids[0], ids[1], (draw.random(rows) < 0.5).astype(np.float32)


def _ours(name: str, vocabulary: int, rate: int, threads: int) -> Callable[[], int]:
    """Return a function that trains one epoch of a few batches and counts its records."""
    import torch

    from object2vec.config import Config
    from object2vec.kernels import kernel_for, set_threads
    from object2vec.network.network import Network
    from object2vec.pairs.batches import TrainingBatches
    from object2vec.pairs.dataset import Pairs
    from object2vec.training.losses import loss
    from object2vec.training.metrics import Metrics
    from object2vec.training.optimizers import Optimizer

    set_threads(threads)
    config = Config.build({
        "enc0_network": "pooled_embedding", "enc0_max_seq_len": TOKENS,
        "enc0_vocab_size": vocabulary, "enc_dim": WIDTH, "comparator_list": "hadamard",
        "mlp_activation": "relu", "mlp_dim": HIDDEN, "token_embedding_storage_type": "row_sparse",
        "mini_batch_size": BATCH, "negative_sampling_rate": rate,
    })  # fmt: skip
    in0, in1, label = _columns(vocabulary, BATCH * BATCHES // (1 + rate))
    batches = TrainingBatches(Pairs.build(in0=in0, in1=in1, label=label), config)
    kernel = kernel_for("auto", "cpu")
    network = Network(config, kernel)
    network.initialize(torch.Generator().manual_seed(0))
    optimizer = Optimizer(network, config, kernel)

    def epoch() -> int:
        metrics = Metrics(classifier=True)
        for batch in batches.epoch(0):
            logits = network(batch.in0, batch.in1, batch.pairing)
            loss(logits, torch.from_numpy(batch.label), is_classifier=True).backward()
            optimizer.step()
            metrics.update(network.scores(logits.detach()).numpy(), batch.label)
        return batches.records

    return epoch


def _torch(name: str, vocabulary: int, rate: int, threads: int) -> Callable[[], int]:
    """Return the same in plain PyTorch; negatives are records like any other."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    is_sparse = name == "sparse"
    bags = [nn.EmbeddingBag(vocabulary, WIDTH, mode="mean", sparse=is_sparse) for _ in range(2)]
    head = nn.Sequential(nn.Linear(WIDTH, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(),
                         nn.Linear(HIDDEN, 2))  # fmt: skip
    tables = [bag.weight for bag in bags]
    if is_sparse:
        optimizers = [torch.optim.SparseAdam(tables, lr=4e-4),
                      torch.optim.Adam(head.parameters(), lr=4e-4, fused=True)]  # fmt: skip
    else:
        optimizers = [torch.optim.Adam([*tables, *head.parameters()], lr=4e-4, fused=True)]
    columns = [torch.from_numpy(column) for column in _columns(vocabulary, BATCH * BATCHES)]
    batches = list(zip(*(column.split(BATCH) for column in columns), strict=True))

    def epoch() -> int:
        for in0, in1, label in batches:
            a, b = bags[0](in0), bags[1](in1)  # (B, D), (B, D)
            nn.functional.cross_entropy(head(a * b), label.long()).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return BATCH * BATCHES

    return epoch


if __name__ == "__main__":
    main()
