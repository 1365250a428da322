"""How well hcnn and bilstm learn whether a sentence follows from another, beside plain PyTorch.

Counterfactually revised SNLI: 8,330 pairs to train on, 1,000 to stop by, 2,000 to report. Each pair
is there in several minimally edited versions with different labels, so that neither sentence alone
tells, and words that come often with a label do not either; a guess is right in a third. Both
sentences are encoded apart, all vectors start as GloVe's (6B, 50 numbers).

object2vec
    The preset `nli`, with hcnn and with bilstm, from the table as it is:
    ``object2vec train --train nli.tsv --in0 sentence1:text --in1 sentence2:text --label gold_label
    --preset nli --vectors glove.txt --out model``.
bilstm-max
    InferSent's network (Conneau et al. 2017) in plain PyTorch: one BiLSTM for both sentences, the
    maximum over time, ``[u, v, |u - v|, u * v]`` and a hidden layer. Its settings were chosen on
    the dev part as ours were (benchmarks/LOG.md).

The data: https://github.com/acmi-lab/counterfactually-augmented-data (NLI/all_combined) and
https://nlp.stanford.edu/projects/glove (6B, 50 numbers). `--data` names the folder that holds the
folders snli_counterfactual and glove_6b_50d.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from benchmarks import splits
from benchmarks.common import Recorder, ending, parser, save, summary, table

GLOVE = "glove_6b_50d/glove.6B.50d.top50k.txt.gz"
COLUMNS = ("sentence1", "sentence2", "gold_label")
NETWORKS = ("hcnn", "bilstm")
WORD = re.compile(r"\w+")
PEER = {"width": 256, "hidden": 256, "dropout": 0.3, "rate": 0.001, "batch": 64, "epochs": 10}

Rows = Sequence[Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train each network with each seed, and report what the best epoch by dev does on test."""
    options = parser(__doc__, "../shared/data")
    options.set_defaults(seeds=3)
    given = options.parse_args(arguments)
    parts = splits.nli(given.data)
    glove = given.data / GLOVE
    runs: list[dict[str, Any]] = []
    lanes: dict[str, Callable[[int], dict[str, Any]]] = {
        f"object2vec {network}": lambda seed, network=network: ours(  # type: ignore[misc]
            parts, glove, seed, given, network
        )
        for network in NETWORKS
    }
    lanes["bilstm-max, PyTorch"] = lambda seed: peer(parts, read_glove(glove), seed, given)
    for name, run in lanes.items():
        for seed in range(given.seeds):
            runs.append({"of": name, "seed": seed} | run(seed))
            print(runs[-1], flush=True)
    results = [
        {"of": name} | {part: summary([run[part] for run in runs if run["of"] == name])
                        for part in ("dev", "test", "total_s")}
        for name in lanes
    ]  # fmt: skip
    rows = [[r["of"], r["dev"]["mean"], r["test"]["mean"], r["total_s"]["mean"]] for r in results]
    table(["network", "accuracy dev", "test", "seconds"], rows)
    pairs = {name: len(getattr(parts, name)) for name in ("train", "dev", "test")}
    save("nli", {"protocol": splits.PROTOCOLS["nli"], "pairs": pairs, "results": results,
                 "peer": PEER, "runs": runs}, given)  # fmt: skip


def ours(
    parts: splits.Split[Any], glove: Path, seed: int, given: Any, network: str
) -> dict[str, Any]:
    """Train the preset with one of the networks."""
    from object2vec import Object2Vec

    tables = {name: {column: [row[column] for row in getattr(parts, name)] for column in COLUMNS}
              for name in ("train", "dev", "test")}  # fmt: skip
    quick = {"epochs": 1, "enc_dim": 16} if given.quick else {}
    recorder = Recorder()
    model = Object2Vec(
        in0="sentence1:text", in1="sentence2:text", label="gold_label", preset="nli",
        vectors=glove, enc0_network=network, seed=seed, threads=given.threads, **quick,
    )  # fmt: skip
    model.fit(tables["train"], validation=tables["dev"], reporters=[recorder])
    accuracy = {name: model.evaluate(tables[name])["accuracy"] for name in ("dev", "test")}
    return accuracy | ending(recorder.history)


class BiLSTMMax(nn.Module):
    """InferSent's network."""

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        width, hidden = PEER["width"], PEER["hidden"]
        self.vectors = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.lstm = nn.LSTM(vectors.shape[1], int(width) // 2, bidirectional=True)
        self.drop = nn.Dropout(PEER["dropout"])
        self.head = nn.Sequential(
            self.drop, nn.Linear(4 * int(width), int(hidden)), nn.ReLU(),
            self.drop, nn.Linear(int(hidden), 3),
        )  # fmt: skip

    def forward(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Return the logits (B, 3)."""
        packed = pack_sequence([self.vectors(s) for s in first + second], enforce_sorted=False)
        states, _ = pad_packed_sequence(
            self.lstm(packed)[0], padding_value=-torch.inf
        )  # (T, 2B, D)
        u, v = states.amax(dim=0).chunk(2)  # (B, D), (B, D)
        logits: Tensor = self.head(torch.cat([u, v, (u - v).abs(), u * v], dim=1))
        return logits


def peer(parts: splits.Split[Any], glove: dict[str, Any], seed: int, given: Any) -> dict[str, Any]:
    """Train plain PyTorch; the best epoch by dev is reported."""
    import time

    torch.set_num_threads(given.threads)
    torch.manual_seed(seed)
    started, labels = time.monotonic(), sorted({row["gold_label"] for row in parts.train})
    read = {
        name: _columns(getattr(parts, name), glove, labels) for name in ("train", "dev", "test")
    }
    network = BiLSTMMax(torch.from_numpy(np.stack([*glove.values()])))
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, float(PEER["rate"]))
    best: dict[str, Any] = {"dev": 0.0}
    for epoch in range(1 if given.quick else int(PEER["epochs"])):
        network.train()
        for rows in torch.randperm(len(read["train"])).split(int(PEER["batch"])):
            first, second, label = _batch(read["train"], rows.tolist())
            loss = nn.functional.cross_entropy(network(first, second), label)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(trained, 5.0)
            optimizer.step()
        dev = _accuracy(network, read["dev"])
        if dev > best["dev"]:
            best = {"dev": dev, "test": _accuracy(network, read["test"]), "best_epoch": epoch}
    return best | {"total_s": time.monotonic() - started}


Encoded = list[tuple[Tensor, Tensor, int]]


def _columns(rows: Rows, glove: Mapping[str, Any], labels: list[str]) -> Encoded:
    numbers = {word: number for number, word in enumerate(glove)}

    def ids(text: str) -> Tensor:
        words = WORD.findall(text.lower())
        return torch.tensor([numbers[w] for w in words if w in numbers] or [0])

    return [(ids(r[COLUMNS[0]]), ids(r[COLUMNS[1]]), labels.index(r[COLUMNS[2]])) for r in rows]


def _batch(read: Encoded, rows: Sequence[int]) -> tuple[list[Tensor], list[Tensor], Tensor]:
    first, second, label = zip(*(read[row] for row in rows), strict=True)
    return list(first), list(second), torch.tensor(label)


@torch.no_grad()
def _accuracy(network: BiLSTMMax, read: Encoded) -> float:
    network.eval()
    right = 0
    for start in range(0, len(read), 500):
        first, second, label = _batch(read, range(start, min(start + 500, len(read))))
        right += int((network(first, second).argmax(dim=1) == label).sum())
    return right / len(read)


def read_glove(path: Path) -> dict[str, Any]:
    """Return the vectors of all words."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        split = (line.split(" ") for line in lines)
        return {word: np.array(numbers, np.float32) for word, *numbers in split}


if __name__ == "__main__":
    main()
