"""Records per second of a training step, beside plain PyTorch.

The model is the one of AWS's speed table: two pooled encoders, 50 + 50 tokens, width 300, hadamard,
an MLP of 2 x 512, adam, batches of 4,096 records; ids follow Zipf's law. Ours is what `fit` does:
fetch a batch from the columns, forward, backward, update, metrics. The rivals are the same network
in plain PyTorch and get batches that are tensors already:

- ``sparse``: EmbeddingBag(sparse=True) with SparseAdam, and fused Adam for the head;
- ``dense``: EmbeddingBag with a dense gradient and fused Adam: the best that a user gets without
  us.

Both run as they come, and once more with the allocator's setting that our training makes for itself
("kept": freed memory stays with the process), which helps them, too.

With a negative sampling rate r the rivals get each record's r negatives as records. Three parts:

peers
    Ours and both rivals, without and with negatives, in float32 and, with autocast for all, in
    bfloat16.
vocabulary
    The same distinct ids per batch spread over tables of 30 thousand and of 3 million rows, tied,
    ours beside itself; and the dense rival at 3 million.
threads
    Ours with one thread and with two.

No data needed.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser
from benchmarks.race import Work, race, race_one_by_one, show
from benchmarks.steps import training_steps, wait_for

BATCH, TOKENS, WIDTH, HIDDEN = 4096, 50, 300, 512
BATCHES = 6  # different ones, made before the clock starts
FEW, MANY = 30_000, 3_000_000


def main() -> None:
    """Run the parts that are asked for."""
    options = speed_parser(__doc__)
    options.add_argument("--vocabulary", type=int, default=250_000)
    options.add_argument("--part", choices=("peers", "vocabulary", "threads"), action="append")
    given = options.parse_args()
    for part in given.part or ("peers", "vocabulary", "threads"):
        results = globals()[f"_{part}"](given)
        show("records/s", results, "vocabulary", "negatives", "precision")
        save(
            f"training_{part}",
            {
                "batch": BATCH,
                "tokens": TOKENS,
                "width": WIDTH,
                "hidden": HIDDEN,
                "results": results,
            },
            given,
        )


def _peers(given: Any) -> list[dict[str, Any]]:
    """Return the figures of ours and both rivals on each setting."""
    results = []
    for rate, precision in ((0, "float32"), (3, "float32"), (0, "bfloat16"), (3, "bfloat16")):
        task = {"vocabulary": given.vocabulary, "negatives": rate, "precision": precision}
        raced = race(
            {
                "object2vec": (ours, (task, given.threads)),
                "PyTorch, sparse": (rival, (task, given.threads, True)),
                "PyTorch, dense": (rival, (task, given.threads, False)),
                "PyTorch, sparse, kept": (rival, (task, given.threads, True)),
                "PyTorch, dense, kept": (rival, (task, given.threads, False)),
            },
            given.rounds,
            plain=("PyTorch, sparse", "PyTorch, dense"),
        )
        results += [{"of": name, **task, **figures} for name, figures in raced.items()]
    return results


def _vocabulary(given: Any) -> list[dict[str, Any]]:
    """Return our figures at few and at many rows, and the dense rival's at many."""
    few, many = (
        {"vocabulary": size, "negatives": 0, "precision": "float32", "spread": FEW, "tied": True}
        for size in (FEW, MANY)
    )
    tasks = {"object2vec, many rows": many, "object2vec, few rows": few}
    raced = race({name: (ours, (t, given.threads)) for name, t in tasks.items()}, given.rounds)
    results = [{"of": name, **tasks[name], **raced[name]} for name in tasks]
    # The dense rival holds four numbers for each of ours that is there: not beside another one.
    against = race_one_by_one(
        {
            "object2vec, alone": (ours, (many, given.threads)),
            "PyTorch, dense, alone": (rival, (many, given.threads, False)),
        },
        given.rounds,
    )
    return results + [{"of": name, **many, **figures} for name, figures in against.items()]


def _threads(given: Any) -> list[dict[str, Any]]:
    """Return our figures with two threads and with one."""
    task = {"vocabulary": given.vocabulary, "negatives": 0, "precision": "float32"}
    lanes = {f"object2vec, {n} threads": (ours, (task, n)) for n in (2, 1)}
    return [{"of": name, **task, **figures} for name, figures in race(lanes, given.rounds).items()]


def columns(task: dict[str, Any], rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return Zipf-distributed ids of both sides, (rows, TOKENS) each, and labels.

    With ``spread`` in the task that many different ids are drawn and then spread over the whole
    vocabulary, so that the number of distinct ids of a batch does not depend on its size.
    """
    draw = np.random.default_rng(0)
    size = task.get("spread", task["vocabulary"])
    share = 1 / np.arange(1, size)
    upto = np.cumsum(share / share.sum())
    ids = [
        (np.minimum(np.searchsorted(upto, draw.random((rows, TOKENS))), size - 2) + 1).astype(
            np.int32
        )
        for _ in range(2)
    ]
    if "spread" in task:
        rows_of = np.random.default_rng(1).choice(task["vocabulary"], size, replace=False)
        ids = [rows_of[side].astype(np.int32) for side in ids]  # (rows, TOKENS)
    return ids[0], ids[1], (draw.random(rows) < 0.5).astype(np.float32)


def ours(task: dict[str, Any], threads: int, device: str = "cpu") -> Work:
    """Return a function that trains on a few batches and counts their records."""
    rows = BATCH * task.get("batches", BATCHES) // (1 + task["negatives"])
    return training_steps(settings(task), *columns(task, rows), threads, device)


def settings(task: dict[str, Any]) -> dict[str, Any]:
    """Return the hyperparameters of a task."""
    return {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": TOKENS,
        "enc0_vocab_size": task["vocabulary"],
        "enc_dim": WIDTH,
        "comparator_list": "hadamard",
        "mlp_activation": "relu",
        "mlp_dim": HIDDEN,
        "token_embedding_storage_type": "row_sparse",
        "mini_batch_size": BATCH,
        "negative_sampling_rate": task["negatives"],
        "precision": task["precision"],
        "tied_token_embedding_weight": task.get("tied", False),
        "kernel": task.get("kernel", "auto"),
    }


def rival(task: dict[str, Any], threads: int, is_sparse: bool, device: str = "cpu") -> Work:
    """Return the same in plain PyTorch; negatives are records like any other.

    A GPU's batches lie in memory that it can fetch by itself, as those of a DataLoader do.
    """
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    vocabulary = task["vocabulary"]
    bag = nn.EmbeddingBag(vocabulary, WIDTH, mode="mean", sparse=is_sparse)
    other = (
        bag
        if task.get("tied")
        else nn.EmbeddingBag(vocabulary, WIDTH, mode="mean", sparse=is_sparse)
    )
    head = nn.Sequential(
        nn.Linear(WIDTH, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, 2),
    )
    for module in (bag, other, head):
        module.to(device)
    tables = list({id(b): b.weight for b in (bag, other)}.values())
    if is_sparse:
        optimizers = [
            torch.optim.SparseAdam(tables, lr=4e-4),
            torch.optim.Adam(head.parameters(), lr=4e-4, fused=True),
        ]
    else:
        optimizers = [torch.optim.Adam([*tables, *head.parameters()], lr=4e-4, fused=True)]
    n_batches = task.get("batches", BATCHES)
    sides = [torch.from_numpy(column) for column in columns(task, BATCH * n_batches)]
    if device != "cpu":
        sides = [side.pin_memory() for side in sides]
    batches = list(zip(*(column.split(BATCH) for column in sides), strict=True))

    def autocast() -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(device, torch.bfloat16, enabled=task["precision"] == "bfloat16")

    def epoch() -> float:
        for batch in batches:
            in0, in1, label = (part.to(device, non_blocking=True) for part in batch)
            a, b = bag(in0), other(in1)  # (B, D), (B, D)
            with autocast():
                logits = head(a * b)  # (B, 2)
            nn.functional.cross_entropy(logits.float(), label.long()).backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        wait_for(device)
        return BATCH * n_batches

    return epoch


if __name__ == "__main__":
    main()
