"""Sequences encoded per second by a pooled encoder, in memory and by the command line.

Sequences of 15 tokens, a vocabulary of 30,000, width 256.

memory
    `Object2Vec.encode` with ids as (values, offsets), beside a bare torch.nn.EmbeddingBag over the
    same flat ids: no checks, no batches, no answer to put together.
files
    From a file to a .npy file, each in a process of its own, start-up included: `object2vec encode`
    from JSON Lines of ids, beside sentence-transformers' StaticEmbedding and model2vec from lines
    of text with as many words. Text has to be cut into tokens and ids have not; that is part of
    what is compared: how long a user waits for vectors.

No data needed; `files` needs sentence-transformers and model2vec.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser
from benchmarks.race import Work, race, show

VOCABULARY, WIDTH, TOKENS = 30_000, 256, 15
ROWS = {"memory": 500_000, "files": 600_000}


def main() -> None:
    """Run the parts that are asked for."""
    options = speed_parser(__doc__)
    options.add_argument("--part", choices=tuple(ROWS), action="append")
    options.add_argument("--peer", nargs=2, help="be this rival in this folder: for `files`")
    given = options.parse_args()
    if given.peer:
        name, folder = given.peer
        PEERS[name](Path(folder), given.threads)
        return
    for part in given.part or tuple(ROWS):
        with tempfile.TemporaryDirectory() as folder:
            raced = race(globals()[f"_{part}"](Path(folder), given.threads), given.rounds)
        results = [{"of": name, **figures} for name, figures in raced.items()]
        show("sequences/s", results)
        save(
            f"encoding_{part}",
            {
                "vocabulary": VOCABULARY,
                "width": WIDTH,
                "tokens": TOKENS,
                "rows": ROWS[part],
                "results": results,
            },
            given,
        )


def _memory(folder: Path, threads: int) -> dict[str, Any]:
    model = pooled_model(folder)
    return {"object2vec": (ours, (model, threads)), "EmbeddingBag": (bag, (threads,))}


def _files(folder: Path, threads: int) -> dict[str, Any]:
    model, ids = pooled_model(folder), _ids(ROWS["files"]).tolist()
    lines = "".join(f'{{"in0": {row}}}\n' for row in ids)
    (folder / "in0.jsonl").write_text(lines, encoding="utf-8")
    texts = "".join(" ".join(f"w{i}" for i in row) + "\n" for row in ids)
    (folder / "texts.txt").write_text(texts, encoding="utf-8")
    vectors = np.random.default_rng(0).normal(size=(VOCABULARY, WIDTH)).astype(np.float32)
    np.save(folder / "vectors.npy", vectors)
    ours = [
        "object2vec",
        "encode",
        str(model),
        "--side",
        "in0",
        str(folder / "in0.jsonl"),
        "--format",
        "npy",
        "--out",
        str(folder / "out.npy"),
    ]
    peer = ["benchmarks.encoding", "--threads", str(threads), "--peer"]
    commands = {"object2vec encode": ours} | {name: [*peer, name, str(folder)] for name in PEERS}
    return {name: (command, (words, folder)) for name, words in commands.items()}


def pooled_model(folder: Path) -> Path:
    """Train for a moment; what was learned does not matter here."""
    from object2vec import Object2Vec

    records = [{"in0": [i], "in1": [i], "label": i % 2} for i in range(1, 65)]
    model = Object2Vec(
        enc0_network="pooled_embedding",
        enc0_max_seq_len=100,
        enc0_vocab_size=VOCABULARY,
        enc_dim=WIDTH,
        epochs=1,
        seed=0,
    )
    model.fit(records).save(folder / "model")
    return folder / "model"


def _ids(rows: int) -> np.ndarray:
    """Return ids by Zipf's law, (rows, TOKENS)."""
    share = 1 / np.arange(1, VOCABULARY)
    upto = np.cumsum(share / share.sum())
    drawn = np.searchsorted(upto, np.random.default_rng(0).random((rows, TOKENS)))
    return (np.minimum(drawn, VOCABULARY - 2) + 1).astype(np.int32)


def _flat(rows: int) -> tuple[np.ndarray, np.ndarray]:
    return _ids(rows).ravel(), np.arange(0, rows * TOKENS + 1, TOKENS)


def ours(path: Path, threads: int, device: str = "cpu") -> Work:
    """Return a function that encodes ids in memory."""
    from object2vec import Object2Vec
    from object2vec.devices import set_threads

    model = Object2Vec.load(path, device=device)
    set_threads(threads)
    columns = _flat(ROWS["memory"])

    def encode() -> float:
        return len(model.encode(in0=columns))

    return encode


def bag(threads: int, device: str = "cpu") -> Work:
    """Return the same by a bare EmbeddingBag."""
    import torch

    torch.set_num_threads(threads)
    module = torch.nn.EmbeddingBag(VOCABULARY, WIDTH, mode="mean", include_last_offset=True)
    module.to(device)
    ids, offsets = (torch.from_numpy(column) for column in _flat(ROWS["memory"]))
    ids = ids.long()

    def encode() -> float:
        with torch.inference_mode():
            return len(module(ids.to(device), offsets.to(device)).cpu().numpy())

    return encode


def command(words: list[str], folder: Path) -> Work:
    """Return a function that runs a module as a process and counts its vectors."""

    def encode() -> float:
        (folder / "out.npy").unlink(missing_ok=True)
        subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
        return len(np.load(folder / "out.npy", mmap_mode="r"))

    return encode


def _tokenizer() -> Any:
    """Return a tokenizer whose words are w0, w1, ..."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {f"w{i}": i for i in range(VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def sentence_transformers(folder: Path, threads: int) -> None:
    """Encode the texts by sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import StaticEmbedding

    torch.set_num_threads(threads)
    module = StaticEmbedding(_tokenizer(), embedding_weights=np.load(folder / "vectors.npy"))
    model = SentenceTransformer(modules=[module], device="cpu")
    texts = (folder / "texts.txt").read_text(encoding="utf-8").splitlines()
    np.save(folder / "out.npy", model.encode(texts, batch_size=1024, show_progress_bar=False))


def model2vec(folder: Path, threads: int) -> None:
    """Encode the texts by model2vec."""
    from model2vec import StaticModel

    model = StaticModel(np.load(folder / "vectors.npy"), _tokenizer(), config={})
    texts = (folder / "texts.txt").read_text(encoding="utf-8").splitlines()
    np.save(folder / "out.npy", model.encode(texts))


PEERS = {"sentence-transformers": sentence_transformers, "model2vec": model2vec}


if __name__ == "__main__":
    main()
