"""Lookup, backward and update of one token table, beside FBGEMM and beside the memory.

One table of 250,000 rows of width 300, batches of 4,096 sequences of 50 tokens by Zipf's law.

fbgemm
    Pooled lookup, gradient, Adagrad update: ours beside FBGEMM's table-batched embedding for CPUs,
    the fastest known (`fbgemm-gpu-cpu`), Adagrad against Adagrad, pooling by the mean on both.
memory
    Every rule of ours beside the time that its bytes need. Counted are the rows that have to come
    from memory and go back: each distinct token's row once for the lookup, its row and states read
    and written once by the update; and, apart, all bytes that the arithmetic touches, where the
    gradients and the rows of frequent tokens come from the caches. The bandwidth is the one
    measured in the same run, with the same threads, adding 1 to every number of 1 GiB.

No data needed.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser, table
from benchmarks.race import Work, race, show
from benchmarks.training import BATCH, BATCHES, TOKENS, WIDTH, columns

RULES = ("sgd", "adagrad", "adam", "rmsprop", "adadelta")


def main() -> None:
    """Run the parts that are asked for."""
    options = speed_parser(__doc__)
    options.add_argument("--vocabulary", type=int, default=250_000)
    options.add_argument("--part", choices=("fbgemm", "memory"), action="append")
    given = options.parse_args()
    task = {"vocabulary": given.vocabulary}
    for part in given.part or ("fbgemm", "memory"):
        results = globals()[f"_{part}"](task, given)
        save(
            f"table_{part}",
            {"batch": BATCH, "tokens": TOKENS, "width": WIDTH, **task, "results": results},
            given,
        )


def _fbgemm(task: dict[str, Any], given: Any) -> list[dict[str, Any]]:
    """Return our figures beside FBGEMM's."""
    raced = race(
        {
            "object2vec": (ours, (task, "adagrad", given.threads)),
            "FBGEMM": (fbgemm, (task, given.threads)),
        },
        given.rounds,
    )
    results = [{"of": name, "rule": "adagrad", **figures} for name, figures in raced.items()]
    show("sequences/s", results, "rule")
    return results


def _memory(task: dict[str, Any], given: Any) -> list[dict[str, Any]]:
    """Return, for each rule, the share of its time that its bytes need."""
    states = {"sgd": 0, "adagrad": 1, "rmsprop": 1, "adam": 2, "adadelta": 2}
    distinct, tokens = _distinct(task), BATCH * TOKENS
    row = WIDTH * 4
    results = []
    for rule in RULES:
        raced = race(
            {
                "memory": (stream, (given.threads,)),
                rule: (ours, (task, rule, given.threads)),
            },
            given.rounds,
        )
        numbers = 1 + states[rule]
        needed = distinct * row * (1 + 2 * numbers)
        touched = needed + (tokens - distinct) * row + tokens * row
        batches_per_s = raced[rule]["per_s"] / BATCH
        bandwidth = raced["memory"]["per_s"]
        results.append(
            {
                "rule": rule,
                "distinct_tokens": distinct,
                "bandwidth_bytes_per_s": bandwidth,
                "memory_bytes": needed,
                "touched_bytes": touched,
                "batch_s": 1 / batches_per_s,
                "memory_share": needed * batches_per_s / bandwidth,
                "touched_share": touched * batches_per_s / bandwidth,
                "rounds": raced[rule]["rounds"],
                "bandwidth_rounds": raced["memory"]["rounds"],
            }
        )
    table(
        ("rule", "ms a batch", "GB from memory", "GB touched", "GB/s", "share", "share touched"),
        [
            (
                r["rule"],
                f"{r['batch_s'] * 1e3:.1f}",
                f"{r['memory_bytes'] / 1e9:.3f}",
                f"{r['touched_bytes'] / 1e9:.3f}",
                f"{r['bandwidth_bytes_per_s'] / 1e9:.1f}",
                f"{r['memory_share']:.2f}",
                f"{r['touched_share']:.2f}",
            )
            for r in results
        ],
    )
    return results


def _distinct(task: dict[str, Any]) -> int:
    """Return the median number of distinct tokens of a batch."""
    ids, _, _ = columns(task, BATCH * BATCHES)
    return round(statistics.median(len(np.unique(batch)) for batch in np.split(ids, BATCHES)))


def _batches(task: dict[str, Any], kind: type[np.generic]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the flat ids of each batch and the offsets of their sequences."""
    ids, _, _ = columns(task, BATCH * BATCHES)
    offsets = np.arange(0, BATCH * TOKENS + 1, TOKENS, dtype=np.int64)
    return [batch.ravel().astype(kind) for batch in np.split(ids, BATCHES)], offsets


def ours(task: dict[str, Any], rule: str, threads: int) -> Work:
    """Return a function that looks up and updates a few batches."""
    import torch

    from object2vec.devices import set_threads
    from object2vec.kernels import kernel_for
    from object2vec.kernels.rules import RULES as rules
    from object2vec.kernels.rules import Parameter, Update
    from object2vec.network.tokens import TokenTable

    set_threads(threads)
    tokens = TokenTable(task["vocabulary"], WIDTH, kernel_for("auto", "cpu"), "row_sparse", False)
    tokens.weight.uniform_(-0.01, 0.01)
    kind = rules[rule](0.01, 0.0)
    parameter = Parameter.new(kind, tokens.weight)
    ids, offsets = _batches(task, np.int32)
    batches, bounds = [torch.from_numpy(batch) for batch in ids], torch.from_numpy(offsets)
    gradient = torch.randn(BATCH, WIDTH)  # of the pooled vectors
    step = 0

    def epoch() -> float:
        nonlocal step
        for batch in batches:
            step += 1
            tokens.pool(batch, bounds).backward(gradient)
            tokens.update(Update(kind, step), parameter)
        return BATCH * BATCHES

    return epoch


def fbgemm(task: dict[str, Any], threads: int) -> Work:
    """Return the same by FBGEMM; its backward pass updates the table."""
    import torch
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import (
        EmbeddingLocation,
        PoolingMode,
    )
    from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
        ComputeDevice,
        SplitTableBatchedEmbeddingBagsCodegen,
    )

    torch.set_num_threads(threads)
    operator = SplitTableBatchedEmbeddingBagsCodegen(
        [(task["vocabulary"], WIDTH, EmbeddingLocation.HOST, ComputeDevice.CPU)],
        optimizer=EmbOptimType.EXACT_ADAGRAD,
        pooling_mode=PoolingMode.MEAN,
        learning_rate=0.01,
    )
    ids, offsets = _batches(task, np.int64)
    batches, bounds = [torch.from_numpy(batch) for batch in ids], torch.from_numpy(offsets)
    gradient = torch.randn(BATCH, WIDTH)

    def epoch() -> float:
        for batch in batches:
            operator(batch, bounds).backward(gradient)
        return BATCH * BATCHES

    return epoch


def stream(threads: int) -> Work:
    """Return a function that reads and writes 1 GiB a few times and counts the bytes of both."""
    import torch

    torch.set_num_threads(threads)
    numbers = torch.zeros(1 << 28)

    def epoch() -> float:
        for _ in range(4):
            numbers.add_(1.0)
        return 4 * 2 * numbers.nbytes

    return epoch


if __name__ == "__main__":
    main()
