"""From a file of texts to a file of vectors, by one command each, beside model2vec.

Lines of 5 to 25 words by Zipf's law, a vocabulary of 30,000 words, width 256. Each rival is a
process that opens its model, reads the file, cuts its lines into words and writes their mean
vectors to a .npy file: ``object2vec encode --lines``, and a script of model2vec, whose model is
made of our vocabulary and vectors, so that both must write the same. Start-up counts; a second
race, over a thousand lines, is hardly anything else. Ours waits until the vectors are on the disk,
the rival leaves them in the system's cache.

No data needed; `--texts` names a file of lines to take instead. Needs model2vec.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import save, speed_parser
from benchmarks.race import Work, race, show

VOCABULARY, WIDTH, SHORTEST, LONGEST = 30_000, 256, 5, 25
LINES = {"many": 300_000, "few": 1_000}
SETTINGS: dict[str, Any] = {
    "enc_dim": WIDTH,
    "epochs": 1,
    "mlp_dim": 4,
    "mini_batch_size": 100,
    "output_layer": "mean_squared_error",
}


def main() -> None:
    """Let both encode many lines, then few."""
    options = speed_parser(__doc__)
    options.add_argument("--texts", type=Path, help="lines of text")
    options.add_argument("--peer", nargs=3, type=Path, help="be model2vec: model, texts, vectors")
    given = options.parse_args()
    if given.peer:
        model2vec(*given.peer)
        return
    results: list[dict[str, Any]] = []
    agreeing = 1.0
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        words = _words()
        _write_models(words, work)
        for size, lines in LINES.items():
            texts = work / f"{size}.txt"
            count = _write_texts(words, lines, given.texts, texts)
            raced = race(_lanes(work, texts, given.threads), given.rounds)
            results += [{"lines": count, "of": of, **figures} for of, figures in raced.items()]
            agreeing = min(agreeing, _agreeing(work, texts))
    show("lines/s", results, "lines")
    save(
        "encoding_text",
        {
            "vocabulary": VOCABULARY,
            "width": WIDTH,
            "texts": "generated" if not given.texts else given.texts.name,
            "vectors_that_agree": agreeing,
            "results": results,
        },
        given,
    )


def _lanes(
    work: Path, texts: Path, threads: int
) -> dict[str, tuple[Callable[..., Work], tuple[Any, ...]]]:
    """Return who takes turns, by name."""
    ours = [
        sys.executable,
        "-m",
        "object2vec",
        "encode",
        str(work / "model"),
        "--side",
        "in0",
        "--lines",
        str(texts),
        "--format",
        "npy",
        "--out",
    ]
    peer = [sys.executable, "-m", "benchmarks.encoding_text", "--threads", str(threads), "--peer"]
    own, other = (_out(work, texts, name) for name in ("object2vec", "model2vec"))
    lanes = {"object2vec encode": (command, ([*ours, str(own)], own, threads))}
    if (work / "peer").exists():
        words = [*peer, str(work / "peer"), str(texts), str(other)]
        lanes["model2vec"] = (command, (words, other, threads))
    return lanes


def _out(work: Path, texts: Path, name: str) -> Path:
    return work / f"{texts.stem}-{name}.npy"


def command(words: list[str], out: Path, threads: int) -> Work:
    """Return a function that runs a process and counts the vectors that it wrote."""
    counts = dict.fromkeys(("NUMBA_NUM_THREADS", "RAYON_NUM_THREADS"), str(threads))
    environment = os.environ | counts
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as if installed

    def encode() -> float:
        out.unlink(missing_ok=True)
        subprocess.run(words, check=True, capture_output=True, env=environment)
        return len(np.load(out, mmap_mode="r"))

    return encode


def _words() -> list[str]:
    """Return words that differ, short ones first."""
    draw = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    found: set[str] = set()
    while len(found) < VOCABULARY:
        found.add("".join(draw.choice(letters, int(draw.integers(2, 12)))))
    return sorted(found, key=lambda word: (len(word), word))


def _write_models(words: list[str], work: Path) -> None:
    """Train for a moment, what was learned does not matter; the rival gets the same vectors."""
    from object2vec import Object2Vec

    rows = [" ".join(words[i : i + 10]) for i in range(0, len(words), 10)]
    table = {
        "text": rows,
        "kind": [f"k{i % 7}" for i in range(len(rows))],
        "worth": [i % 5 for i in range(len(rows))],
    }
    first = "text:text(min_count=1, unseen=skip)"
    settings = SETTINGS | {"enc_dim": WIDTH, "enc0_max_seq_len": 512}
    model = Object2Vec(in0=first, in1="kind:token", label="worth", **settings).fit(table)
    model.save(work / "model")
    try:
        from model2vec import StaticModel
    except ImportError:
        return
    vectors = np.concatenate([np.zeros((1, WIDTH), np.float32), model.encode(in0=words)])
    StaticModel(vectors, _tokenizer(words)).save_pretrained(work / "peer")


def _tokenizer(words: list[str]) -> Any:
    """Return a tokenizer that cuts text as ours does, at least text of ASCII."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    rows = {"[UNK]": 0} | {word: row for row, word in enumerate(words, 1)}
    tokenizer = Tokenizer(models.WordLevel(rows, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def _write_texts(words: list[str], lines: int, given: Path | None, path: Path) -> int:
    """Write so many lines of sentences, or those of a file up to as many; return their number."""
    if given is not None:
        with given.open(encoding="utf-8") as file:
            taken = [line for line, _ in zip(file, range(lines), strict=False)]
        path.write_text("".join(taken), encoding="utf-8")
        return len(taken)
    draw = np.random.default_rng(lines)
    upto = np.cumsum(1 / np.arange(1, len(words) + 1))
    lengths = draw.integers(SHORTEST, LONGEST + 1, lines)
    ids = np.searchsorted(upto / upto[-1], draw.random(lengths.sum())).tolist()
    taken, first = [], 0
    for length in lengths.tolist():
        text = " ".join([words[i] for i in ids[first : first + length]])
        taken.append(f"{text.capitalize()}.\n")
        first += length
    path.write_text("".join(taken), encoding="utf-8")
    return lines


def _agreeing(work: Path, texts: Path) -> float:
    """Return the share of lines for which both wrote the same vector."""
    own, other = (_out(work, texts, name) for name in ("object2vec", "model2vec"))
    if not other.exists():
        return 1.0
    first, second = np.load(own, mmap_mode="r"), np.load(other, mmap_mode="r")
    return float(np.isclose(first, second, atol=1e-6).all(1).mean())


def model2vec(folder: Path, texts: Path, out: Path) -> None:
    """Encode the lines of a file by model2vec."""
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(folder)
    lines = texts.read_text(encoding="utf-8").splitlines()
    np.save(out, model.encode(lines))


if __name__ == "__main__":
    main()
