"""A GPU: training, encoding, and how much of its memory's speed the token tables reach.

training
    The step of `training.py` (AWS's speed setting) on the GPU: ours with its Triton kernel and with
    plain PyTorch's operations (``kernel=reference``), beside the same network in plain PyTorch,
    sparse and dense. Ours makes its batches inside the measured time, on the CPU; the rivals' are
    ready, in pinned memory.
sequences
    The quick sizes of `sequences.py`, beside plain padded PyTorch, whose convolutions and LSTM
    round factors to 10 bits there (TF32), as it comes; ours computes in float32.
encoding
    `Object2Vec.encode` of ids in memory to an array in memory. Pooled: `encoding.py`'s sequences,
    beside EmbeddingBag on the same GPU. hcnn and bilstm: sentences of `sequences.py`, width 512,
    beside ours on all cores of the machine's CPU.
memory
    What a lookup of records and an update of their rows move, over the time that they take, beside
    a copy within the GPU's memory: of a batch of the training task and of 16 at once, with its ids
    by Zipf's law (250,000 rows) and with ids drawn evenly from 3 million rows. Counted is what has
    to be moved at least: each row that is read once, each number that changes read and written
    once, each gradient once.

The GPU machine may have a copy of the files alone: `--commit` says of which commit.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import encoding, sequences, training
from benchmarks.common import save, speed_parser, table
from benchmarks.race import Work, race, show
from object2vec.compiled.cores import available_cores

PARTS = ("memory", "training", "sequences", "encoding")
BATCHES = 24  # a round: what a CPU does in a second takes a GPU milliseconds
SENTENCES = 4_096
COPIED, REPEATS, WARM_UPS = 1 << 32, 50, 5  # bytes; times that something is done


def main() -> None:
    """Run the parts that are asked for."""
    options = speed_parser(__doc__, threads=None)
    options.add_argument("--part", choices=PARTS, action="append")
    options.add_argument("--commit", help="of these files, where they are no repository")
    given = options.parse_args()
    import torch

    given.threads = available_cores()
    result: dict[str, Any] = {"device": torch.cuda.get_device_name(), "batches": BATCHES}
    if given.commit:
        result["commit"] = given.commit
    for part in given.part or PARTS:
        result[part] = globals()[f"_{part}"](given)
        save("gpu", result, given, versions=("object2vec", "torch", "triton", "numpy", "numba"))


def _training(given: Any) -> list[dict[str, Any]]:
    """Return the figures of ours and both rivals on each setting."""
    results = []
    for rate, precision in ((0, "float32"), (3, "float32"), (0, "bfloat16")):
        task = {"vocabulary": 250_000, "negatives": rate, "precision": precision}
        made = task | {"batches": BATCHES}
        plain = made | {"kernel": "reference"}
        raced = race(
            {
                "object2vec": (training.ours, (made, given.threads, "cuda")),
                "object2vec, reference": (training.ours, (plain, given.threads, "cuda")),
                "PyTorch, sparse": (training.rival, (made, given.threads, True, "cuda")),
                "PyTorch, dense": (training.rival, (made, given.threads, False, "cuda")),
            },
            given.rounds,
        )
        results += [{"of": name, **task, **figures} for name, figures in raced.items()]
    show("records/s", results, "negatives", "precision")
    return results


def _sequences(given: Any) -> list[dict[str, Any]]:
    """Return the figures of hcnn and bilstm beside padded ones."""
    results = []
    for encoder in sequences.LAYERS:
        raced = race(
            {
                "object2vec": (
                    sequences.ours,
                    (encoder, "quick", "float32", given.threads, "cuda", 8),
                ),
                "PyTorch, padded": (sequences.rival, (encoder, "quick", given.threads, "cuda", 8)),
            },
            given.rounds,
        )
        results += [{"of": name, "encoder": encoder, **figures} for name, figures in raced.items()]
    show("pairs/s", results, "encoder")
    return results


def _encoding(given: Any) -> list[dict[str, Any]]:
    """Return sequences encoded per second by each encoder."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        model = encoding.pooled_model(Path(folder))
        rivals: dict[str, Any] = {
            "pooled_embedding": {
                "object2vec": (encoding.ours, (model, given.threads, "cuda")),
                "EmbeddingBag": (encoding.bag, (given.threads, "cuda")),
            }
        }
        for encoder in sequences.LAYERS:
            rivals[encoder] = {
                "object2vec": (encode_sentences, (encoder, "cuda")),
                "object2vec, CPU": (encode_sentences, (encoder, "cpu")),
            }
        for encoder, lanes in rivals.items():
            raced = race(lanes, given.rounds)
            results += [{"of": name, "encoder": encoder, **each} for name, each in raced.items()]
    show("sequences/s", results, "encoder")
    return results


def encode_sentences(encoder: str, device: str) -> Work:
    """Return a function that encodes sentences by a network as it begins."""
    from object2vec.artifact import Artifact
    from object2vec.config import Config
    from object2vec.devices import find_device, set_threads
    from object2vec.inference.engine import Engine
    from object2vec.kernels import kernel_for
    from object2vec.network.network import new_network
    from object2vec.objects.ragged import Ragged

    set_threads(0)
    config, device = Config.build(sequences.settings(encoder, "wide")), find_device(device)
    network = new_network(config, kernel_for("auto", device)).to(device)
    engine = Engine(Artifact(config, network))
    column = Ragged.build(sequences.records(SENTENCES)[0])
    return lambda: len(engine.encode(0, column))


def _memory(given: Any) -> list[dict[str, Any]]:
    """Return bytes per second of a copy, a lookup and updates."""
    found = [{"of": "copy", "ids": "", "records": 0, "s": _copy_s(), "bytes": 2 * COPIED}]
    for spread in (None, 3_000_000):
        for batches in (1, 16):
            found += _of_table(spread, batches)
    for each in found:
        each["bytes_per_s"] = each["bytes"] / each["s"]
        each["share"] = each["bytes_per_s"] / found[0]["bytes_per_s"]
    table(
        ("of", "ids", "records", "ms", "GB/s", "of a copy"),
        [
            (r["of"], r["ids"], r["records"], r["s"] * 1e3, r["bytes_per_s"] / 1e9, r["share"])
            for r in found
        ],
    )
    return found


def _copy_s() -> float:
    """Return the time of a copy within the GPU's memory."""
    import torch

    source = torch.empty(COPIED // 4, device="cuda").normal_()
    target = torch.empty_like(source)
    return _seconds(lambda: target.copy_(source))


def _of_table(spread: int | None, batches: int) -> list[dict[str, Any]]:
    """Return the time and the bytes of a lookup of so many batches at once and of updates.

    Ids are those of the training task, or drawn evenly from so many rows.
    """
    import torch

    from object2vec.kernels import kernel_for
    from object2vec.kernels.base import Lookup, Tape
    from object2vec.kernels.rules import RULES, Parameter, Update

    batch, tokens, width = training.BATCH * batches, training.TOKENS, training.WIDTH
    rows = spread or 250_000
    if spread is None:
        ids = training.columns({"vocabulary": rows}, batch)[0].ravel()
    else:
        ids = np.random.default_rng(0).integers(1, rows, batch * tokens).astype(np.int32)
    there = torch.from_numpy(ids).cuda()
    offsets = torch.arange(0, batch * tokens + 1, tokens, device="cuda")
    weight = torch.randn(rows, width, device="cuda")
    lookup = Lookup(there, offsets, torch.randn(batch, width, device="cuda"))
    kernel, row_bytes = kernel_for("compiled", "cuda:0"), 4 * width
    distinct = len(np.unique(ids))
    found = [
        {
            "of": "lookup",
            "s": _seconds(lambda: kernel.pool(weight, lookup)),
            "bytes": ids.nbytes + (distinct + batch) * row_bytes,
        }
    ]
    for name in ("sgd", "adam"):
        rule = RULES[name](1e-3)
        parameter, update = Parameter.new(rule, weight), Update(rule, 1)
        seconds = _seconds(lambda p=parameter, u=update: kernel.update_rows(u, p, Tape([lookup])))
        moved = ids.nbytes + (2 * len(parameter.tensors()) * distinct + batch) * row_bytes
        found.append({"of": f"update, {name}", "s": seconds, "bytes": moved})
    facts = {"ids": "uniform" if spread else "Zipf", "records": batch, "distinct": distinct}
    return [{**facts, **each} for each in found]


def _seconds(work: Callable[[], object]) -> float:
    """Return the median time of some work on the GPU, after a few turns."""
    import torch

    times = []
    for _ in range(REPEATS + WARM_UPS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        work()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1e3)
    return statistics.median(times[WARM_UPS:])


if __name__ == "__main__":
    main()
