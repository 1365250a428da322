"""Ratings per second with AWS's MovieLens settings, beside plain PyTorch.

Batches of 64, one token on each side, enc_dim 1024, all three comparators, an MLP of 256: steps so
small that overhead decides. Ours is `fit`'s step, metrics included; the rival is the same network
with nn.Embedding and fused Adam, and gets its batches as tensors. The wider classification settings
of the same notebook (batches of 2,048, enc_dim 2048, MLP of 1024) are the second row.

No data needed: users and films are drawn at random.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser
from benchmarks.movielens import LIKE, RATING
from benchmarks.race import Work, race, show
from benchmarks.steps import training_steps

USERS, FILMS = 944, 1684
TASKS = {"rating": (RATING, 300), "like": (LIKE, 3)}  # settings, batches a round


def main() -> None:
    """Race both tasks."""
    options = speed_parser(__doc__)
    given = options.parse_args()
    results = []
    for task in TASKS:
        raced = race(
            {
                "object2vec": (ours, (task, given.threads)),
                "PyTorch": (rival, (task, given.threads)),
            },
            given.rounds,
        )
        results += [{"of": name, "task": task, **figures} for name, figures in raced.items()]
    show("pairs/s", results, "task")
    save("movielens_speed", {"results": results}, given)


def records(task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return users, films and labels of a round, drawn at random."""
    settings, batches = TASKS[task]
    draw, n = np.random.default_rng(0), settings["mini_batch_size"] * batches
    users = draw.integers(1, USERS, (n, 1)).astype(np.int32)
    films = draw.integers(1, FILMS, (n, 1)).astype(np.int32)
    return users, films, draw.integers(0, 2, n).astype(np.float32)


def ours(task: str, threads: int) -> Work:
    """Return a function that trains on a few batches and counts their pairs."""
    return training_steps(TASKS[task][0], *records(task), threads)


def rival(task: str, threads: int) -> Work:
    """Return the same in plain PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    settings: dict[str, Any] = TASKS[task][0]
    width, hidden = settings["enc_dim"], settings["mlp_dim"]
    is_classifier = settings["output_layer"] == "softmax"
    tables = nn.ModuleList([nn.Embedding(USERS, width), nn.Embedding(FILMS, width)])
    activation = nn.ReLU() if settings["mlp_activation"] == "relu" else nn.Tanh()
    head = nn.Sequential(
        nn.Linear(4 * width, hidden), activation, nn.Linear(hidden, 2 if is_classifier else 1)
    )
    optimizer = torch.optim.Adam([*tables.parameters(), *head.parameters()], lr=1e-3, fused=True)
    sides = [torch.from_numpy(column) for column in records(task)]
    batches = list(zip(*(s.split(settings["mini_batch_size"]) for s in sides), strict=True))

    def epoch() -> float:
        for in0, in1, label in batches:
            a, b = tables[0](in0[:, 0]), tables[1](in1[:, 0])  # (B, D), (B, D)
            out = head(torch.cat([a * b, a, b, (a - b).abs()], dim=1))  # (B, K)
            if is_classifier:
                nn.functional.cross_entropy(out, label.long()).backward()
            else:
                nn.functional.mse_loss(out[:, 0], label).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return len(sides[2])

    return epoch


if __name__ == "__main__":
    main()
