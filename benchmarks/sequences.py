"""Pairs per second of hcnn and bilstm, beside plain padded PyTorch in float32.

Sentence pairs with lengths like SNLI's (14 and 8 words on average, at most 82), a vocabulary of
43,533 words of width 300, two networks of the same kind, all comparators:

- ``quick``: the quick run of AWS's sentence-similarity notebook, batches of 8,192, enc_dim 16;
- ``wide``: batches of 64, enc_dim 512.

The rival has nn.Embedding, nn.Conv1d or nn.LSTM on batches that are padded to their own longest
sentence, masked maxima, and fused Adam. Both update the whole table, as AWS's default does; ours
makes its batches inside the measured time, the rival's are padded before.

No data needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser
from benchmarks.race import Work, race, show
from benchmarks.steps import training_steps, wait_for

VOCABULARY, WIDTH, LONGEST, HIDDEN, CLASSES = 43_533, 300, 82, 512, 3
LAYERS = {"hcnn": 4, "bilstm": 1}
SIZES = {"quick": (8192, 16, 1), "wide": (64, 512, 8)}  # batch, enc_dim, batches a round


def main() -> None:
    """Race every encoder at every size."""
    options = speed_parser(__doc__)
    options.add_argument("--precision", default="float32", help="of ours; the rival has float32")
    given = options.parse_args()
    results = []
    for encoder in LAYERS:
        for size in SIZES:
            raced = race(
                {
                    "object2vec": (ours, (encoder, size, given.precision, given.threads)),
                    "PyTorch, padded": (rival, (encoder, size, given.threads)),
                },
                given.rounds,
            )
            results += [
                {"of": name, "encoder": encoder, "size": size, **figures}
                for name, figures in raced.items()
            ]
    show("pairs/s", results, "encoder", "size")
    suffix = "" if given.precision == "float32" else f"_{given.precision}"
    save(f"sequences{suffix}", {"precision": given.precision, "results": results}, given)


def records(rows: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Return sentences of both sides as id arrays, and labels."""
    draw = np.random.default_rng(0)
    sides = []
    for mean in (14, 8):
        lengths = np.clip(draw.gamma(5.0, mean / 5.0, rows).round(), 1, LONGEST).astype(int)
        sides.append([draw.integers(1, VOCABULARY, n).astype(np.int32) for n in lengths])
    return sides[0], sides[1], draw.integers(0, CLASSES, rows).astype(np.float32)


def ours(
    encoder: str, size: str, precision: str, threads: int, device: str = "cpu", rounds: int = 1
) -> Work:
    """Return a function that trains on a few batches and counts their pairs."""
    batch_size, _, n_batches = SIZES[size]
    given = settings(encoder, size) | {"precision": precision}
    return training_steps(given, *records(batch_size * n_batches * rounds), threads, device)


def settings(encoder: str, size: str) -> dict[str, Any]:
    """Return the hyperparameters of an encoder at a size."""
    batch_size, enc_dim, _ = SIZES[size]
    return {
        "enc0_network": encoder,
        "enc0_max_seq_len": LONGEST,
        "enc0_vocab_size": VOCABULARY,
        "enc0_token_embedding_dim": WIDTH,
        "enc0_layers": LAYERS[encoder],
        "enc_dim": enc_dim,
        "mini_batch_size": batch_size,
        "mlp_dim": HIDDEN,
        "num_classes": CLASSES,
    }


def rival(encoder: str, size: str, threads: int, device: str = "cpu", rounds: int = 1) -> Work:
    """Return the same in plain PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    batch_size, enc_dim, n_batches = SIZES[size]
    sides = nn.ModuleList([_side(encoder, enc_dim) for _ in range(2)]).to(device)
    head = nn.Sequential(
        nn.Linear(4 * enc_dim, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, CLASSES)
    ).to(device)
    optimizer = torch.optim.Adam([*sides.parameters(), *head.parameters()], lr=4e-4, fused=True)
    in0, in1, label = records(batch_size * n_batches * rounds)
    batches = [
        (
            _padded(in0[at : at + batch_size]),
            _padded(in1[at : at + batch_size]),
            torch.from_numpy(label[at : at + batch_size]).long(),
        )
        for at in range(0, len(label), batch_size)
    ]
    if device != "cpu":
        batches = [tuple(part.pin_memory() for part in batch) for batch in batches]

    def epoch() -> float:
        for batch in batches:
            first, second, target = (part.to(device, non_blocking=True) for part in batch)
            a, b = sides[0](first), sides[1](second)  # (B, D), (B, D)
            logits = head(torch.cat([a * b, a, b, (a - b).abs()], dim=1))  # (B, K)
            nn.functional.cross_entropy(logits, target).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        wait_for(device)
        return len(label)

    return epoch


def _padded(rows: list[np.ndarray]) -> Any:
    """Return sentences as one tensor of ids (B, T), filled up with 0."""
    import torch

    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(r) for r in rows], batch_first=True)


def _side(encoder: str, enc_dim: int) -> Any:
    """Return an encoder with its token table in plain PyTorch."""
    import torch
    from torch import nn

    layers = LAYERS[encoder]

    class Side(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(VOCABULARY, WIDTH)
            if encoder == "bilstm":
                self.lstm = nn.LSTM(WIDTH, enc_dim // 2, batch_first=True, bidirectional=True)
                return
            filters = enc_dim // layers
            inputs = [WIDTH] + [filters] * (layers - 1)
            self.convolutions = nn.ModuleList(nn.Conv1d(i, filters, 3, padding=1) for i in inputs)

        def forward(self, ids: Any) -> Any:
            x, hidden = self.table(ids), (ids == 0)[:, :, None]  # (B, T, E), (B, T, 1)
            if encoder == "bilstm":
                return self.lstm(x)[0].masked_fill(hidden, -torch.inf).amax(1)  # (B, D)
            x, hidden = x.transpose(1, 2), hidden.transpose(1, 2)  # (B, E, T), (B, 1, T)
            maxima = []
            for convolution in self.convolutions:
                x = torch.relu(convolution(x)).masked_fill(hidden, 0.0)  # (B, F, T)
                maxima.append(x.amax(2))  # (B, F)
            return torch.cat(maxima, dim=1)  # (B, D)

    return Side()


if __name__ == "__main__":
    main()
