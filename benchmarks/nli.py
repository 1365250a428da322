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

`--dev` measures on dev and saves nothing, to choose settings: then `--set` changes some of ours,
`--peer` some of the peer's, and `--only` names what is trained.

The data: https://github.com/acmi-lab/counterfactually-augmented-data (NLI/all_combined) and
https://nlp.stanford.edu/projects/glove (6B, 50 numbers). `--data` names the folder that holds the
folders snli_counterfactual and glove_6b_50d.
"""

from __future__ import annotations

import gzip
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
NETWORKS: dict[str, dict[str, Any]] = {  # what is not as in the preset
    "hcnn": {
        "enc0_network": "hcnn",
        "enc1_network": "hcnn",
        "enc0_layers": 1,
        "enc1_layers": 1,
        "enc_dim": 1024,
        "mlp_dim": 512,
        "learning_rate": 0.002,
    },
    "bilstm": {},
}
WORD = re.compile(r"\w+")
PEER: dict[str, float] = {
    "width": 256,
    "hidden": 256,
    "dropout": 0.1,
    "token_dropout": 0,
    "rate": 0.004,
    "decay": 0,
    "batch": 64,
    "epochs": 12,
}

Rows = Sequence[Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train each network with each seed, and report what the best epoch by dev does on test."""
    options = parser(__doc__, "../shared/data")
    options.set_defaults(seeds=3)
    options.add_argument("--dev", action="store_true", help="measure on dev, and save nothing")
    options.add_argument("--only", action="append", choices=[*NETWORKS, "peer"])
    options.add_argument("--set", metavar="NAME=VALUE", action="append", default=[])
    options.add_argument("--peer", metavar="NAME=NUMBER", action="append", default=[])
    given = options.parse_args(arguments)
    parts, glove = splits.nli(given.data), given.data / GLOVE
    results: list[dict[str, Any]] = []
    measured = ("dev",) if given.dev else ("dev", "test")
    for name, run in _lanes(parts, glove, given).items():
        runs = []
        for seed in range(given.seeds):
            runs.append({"seed": seed} | run(seed))
            print(name, runs[-1], flush=True)
        figures = {each: summary([run[each] for run in runs]) for each in (*measured, "total_s")}
        results.append({"of": name, "settings": _settings(name), **figures, "runs": runs})
        if not given.dev:
            _save(results, parts, given)
    rows = [[r["of"], *(r[part]["mean"] for part in (*measured, "total_s"))] for r in results]
    table(["network", *(f"accuracy {part}" for part in measured), "seconds"], rows)


def _save(results: list[dict[str, Any]], parts: splits.Split[Any], given: Any) -> None:
    """Write results, beside those of what was not trained now."""
    path, made = given.results / "nli.json", {each["of"] for each in results}
    old = json.loads(path.read_text(encoding="utf-8"))["results"] if path.exists() else []
    kept = [each for each in old if each["of"] not in made]
    pairs = {name: len(getattr(parts, name)) for name in ("train", "dev", "test")}
    result = {"protocol": splits.PROTOCOLS["nli"], "pairs": pairs, "results": [*kept, *results]}
    save("nli", {"command": "python -m benchmarks.nli --data PATH/data"} | result, given)


def _settings(name: str) -> Mapping[str, Any]:
    """Return the settings of a row of the table."""
    return NETWORKS.get(name.removeprefix("object2vec "), PEER)


def _lanes(
    parts: splits.Split[Any], glove: Path, given: Any
) -> dict[str, Callable[[int], dict[str, Any]]]:
    """Return what trains with a seed and measures, by the names of the table."""
    changed = dict(each.split("=", 1) for each in given.set)
    peers = {name: float(value) for name, value in (each.split("=") for each in given.peer)}
    chosen = given.only or (*NETWORKS, "peer")
    lanes: dict[str, Callable[[int], dict[str, Any]]] = {
        f"object2vec {name}": partial(ours, parts, glove, given, NETWORKS[name] | changed)
        for name in NETWORKS
        if name in chosen
    }
    if "peer" in chosen:
        lanes["bilstm-max, PyTorch"] = partial(peer, parts, glove, given, PEER | peers)
    return lanes


def ours(
    parts: splits.Split[Any], glove: Path, given: Any, settings: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Train the preset with one of the networks."""
    from object2vec import Object2Vec

    tables = {
        name: {column: [row[column] for row in getattr(parts, name)] for column in COLUMNS}
        for name in ("train", "dev", "test")
    }
    quick = {"epochs": 1, "enc_dim": 16} if given.quick else {}
    recorder = Recorder()
    model = Object2Vec(
        in0="sentence1:text",
        in1="sentence2:text",
        label="gold_label",
        preset="nli",
        vectors=glove,
        seed=seed,
        threads=given.threads,
        **{**settings, **quick},
    )
    model.fit(tables["train"], reporters=[recorder])
    parts_of = ("dev",) if given.dev else ("dev", "test")
    accuracy = {name: model.evaluate(tables[name])["accuracy"] for name in parts_of}
    return accuracy | ending(recorder.history)


class BiLSTMMax(nn.Module):
    """InferSent's network."""

    def __init__(self, vectors: Tensor, settings: Mapping[str, float]) -> None:
        super().__init__()
        width, hidden = int(settings["width"]), int(settings["hidden"])
        self.token_dropout = settings["token_dropout"]
        self.vectors = nn.Embedding.from_pretrained(vectors, freeze=True)
        self.lstm = nn.LSTM(vectors.shape[1], width // 2, bidirectional=True)
        self.drop = nn.Dropout(settings["dropout"])
        self.head = nn.Sequential(
            self.drop,
            nn.Linear(4 * width, hidden),
            nn.ReLU(),
            self.drop,
            nn.Linear(hidden, 3),
        )

    def forward(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Return the logits (B, 3)."""
        read = [self.vectors(self._left(ids)) for ids in first + second]
        packed = pack_sequence(read, enforce_sorted=False)
        states, _ = pad_packed_sequence(
            self.lstm(packed)[0], padding_value=-torch.inf
        )  # (T, 2B, D)
        u, v = states.amax(dim=0).chunk(2)  # (B, D), (B, D)
        logits: Tensor = self.head(torch.cat([u, v, (u - v).abs(), u * v], dim=1))
        return logits

    def _left(self, ids: Tensor) -> Tensor:
        """Return the ids (n,) that training does not leave out."""
        if not (self.training and self.token_dropout):
            return ids
        kept = ids[torch.rand(len(ids)) >= self.token_dropout]
        return kept if len(kept) else ids[:1]


def peer(
    parts: splits.Split[Any], path: Path, given: Any, settings: Mapping[str, float], seed: int
) -> dict[str, Any]:
    """Train plain PyTorch; the best epoch by dev is reported."""
    torch.set_num_threads(given.threads)
    torch.manual_seed(seed)
    started, labels = time.monotonic(), sorted({row["gold_label"] for row in parts.train})
    glove = read_glove(path)
    measured = ("dev",) if given.dev else ("dev", "test")
    read = {name: _columns(getattr(parts, name), glove, labels) for name in ("train", *measured)}
    network = BiLSTMMax(torch.from_numpy(np.stack([*glove.values()])), settings)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, settings["rate"], weight_decay=settings["decay"])
    best: dict[str, Any] = {"dev": 0.0}
    epochs, size = 1 if given.quick else int(settings["epochs"]), int(settings["batch"])
    steps = epochs * -(-len(read["train"]) // size)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    for epoch in range(epochs):
        _train_epoch(network, falling, read["train"], size)
        dev = _accuracy(network, read["dev"])
        if dev > best["dev"]:
            best = {"best_epoch": epoch} | {n: _accuracy(network, read[n]) for n in measured}
    return best | {"total_s": time.monotonic() - started}


Encoded = list[tuple[Tensor, Tensor, int]]


def _train_epoch(network: BiLSTMMax, falling: Any, read: Encoded, size: int) -> None:
    """Train on all records once; the learning rate falls with each step."""
    network.train()
    for rows in _alike(read, size):
        first, second, label = _batch(read, rows)
        loss = nn.functional.cross_entropy(network(first, second), label)
        falling.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        falling.optimizer.step()
        falling.step()


def _alike(read: Encoded, size: int) -> list[list[int]]:
    """Return batches of random rows, each of pairs of about one length, in random order."""
    longest = torch.tensor([max(len(first), len(second)) for first, second, _ in read])
    order = (longest + 4 * torch.rand(len(read))).argsort().tolist()
    batches = [order[start : start + size] for start in range(0, len(order), size)]
    return [batches[i] for i in torch.randperm(len(batches)).tolist()]


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
