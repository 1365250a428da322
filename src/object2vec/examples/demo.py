"""The demo: find a word by its definition, learned from WordNet in about a minute.

The task is in `wordnet.py`, the baseline in `tfidf.py`. Validation chose the settings and chooses
the epoch; test is looked at once, for the figures printed.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from object2vec.artifact import check_target
from object2vec.evaluation.retrieval import nearest, ranks, retrieval_metrics
from object2vec.examples.tfidf import tfidf_ranks
from object2vec.examples.wordnet import DefinitionTask, read_wordnet

if TYPE_CHECKING:
    from object2vec.model import Object2Vec
    from object2vec.reporting import LogFormat

OVERRIDES: dict[str, Any] = {  # of the preset: short texts, and a minute of training
    "enc1_max_seq_len": 1000,  # a word with all of its definitions
    "enc_dim": 200,
    "token_dropout": 0.2,
    "mini_batch_size": 1024,
    "learning_rate": 0.01,
    "epochs": 2,
    "seed": 0,
    "threads": 1,  # threads that wait for each other are far slower on a busy machine
}
WORDS = ("dog", "physics", "happy", "run", "king", "water", "computer", "doctor", "red", "music")
DEFINITIONS = (
    "a large animal with a trunk",
    "a person who writes books",
    "a very cold season of the year",
    "a machine that flies",
    "to move quickly on foot",
    "feeling great sorrow",
)

_AT = (1, 10, 100)

Floats = NDArray[np.floating[Any]]


def run(
    out: Path | None = None, *, overwrite: bool = False, log_format: LogFormat | None = None
) -> None:
    """Train on WordNet, print what was learned, and leave the model in a folder.

    Parameters
    ----------
    out : Path, optional
        The model's folder; one in a new temporary folder by default.
    overwrite : bool, default False
        Whether an object2vec model that is there may be replaced.
    log_format : {"rich", "plain", "sagemaker", "json"}, optional
        How training is shown; live on a terminal, else as plain lines.

    Raises
    ------
    StorageError
        If `out` exists and may not be replaced, or cannot be written.
    """
    if out is not None:
        check_target(out, replace=overwrite)
    else:
        out = Path(tempfile.mkdtemp(prefix="object2vec-demo-")) / "model"
    task = DefinitionTask.draw(read_wordnet(), np.random.default_rng(0))
    _print(introduction(task))
    model = learn(task, log_format)
    model.save(out, overwrite=overwrite)
    _print(retrieval(model, task), discoveries(model, task), farewell(out))


def _print(*sections: Sequence[str]) -> None:
    import typer

    for section in sections:
        typer.echo("\n".join([*section, ""]))


def learn(task: DefinitionTask, log_format: LogFormat | None) -> Object2Vec:
    """Return a model of terms and definitions, trained on the task."""
    from object2vec.fields.declare import Text
    from object2vec.model import Object2Vec
    from object2vec.reporting.reporters import reporter

    model = Object2Vec(in0=Text("term"), in1=Text("definition"), preset="retrieval", **OVERRIDES)
    return model.fit(
        task.training_table(np.random.default_rng(1)),
        validation=task.held_out_table(task.validation),
        reporters=[reporter(log_format)],
    )


def known_vectors(model: Object2Vec, task: DefinitionTask) -> Floats:
    """Return a vector for each candidate: of the word, plus of the text of its definitions.

    Returns
    -------
    array of shape (N, D)
    """
    word, text = model.encode(in0=task.candidates), model.encode(in1=task.documents)  # (N, D)
    return _unit(word) + _unit(text)


def _unit(vectors: Floats) -> Floats:
    """Return vectors (n, D) of length one; a zero vector stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)  # (n, 1)
    unit: Floats = vectors / np.where(lengths > 0, lengths, 1)
    return unit


def introduction(task: DefinitionTask) -> list[str]:
    """Return what is about to happen."""
    texts, chosen, asked = len(task.wordnet.texts), len(task.validation), len(task.test)
    return [
        "object2vec demo: find a word by its definition",
        "",
        f"WordNet has {texts:,} definitions. {chosen:,} are held out to choose the epoch and",
        f"{asked:,} for the figures below; their words are known from other definitions.",
        "What is learned is which terms and definitions, both texts, belong together.",
    ]


def retrieval(model: Object2Vec, task: DefinitionTask) -> list[str]:
    """Return at which rank the words of test definitions are found, beside baselines."""
    asked, target = task.held_out_table(task.test)["definition"], task.targets(task.test)
    query = model.encode(in1=asked)  # (n, D)
    alone = ranks(query, model.encode(in0=task.candidates), target)  # (n,)
    together = ranks(query, known_vectors(model, task), target)  # (n,)
    documents, queries = (list(map(task.telling_words, x)) for x in (task.documents, asked))
    theirs = tfidf_ranks(documents, queries, target)  # (n,)
    count = len(task.candidates)
    chance = {f"hits@{k}": min(1, k / count) for k in _AT}
    table = [
        ("chance", chance | {"mean_rank": (count + 1) / 2, "median_rank": (count + 1) / 2}),
        ("TF-IDF, word and its definitions", _metrics(theirs)),
        ("object2vec, the word alone", _metrics(alone)),
        ("object2vec, word and definitions", _metrics(together)),
    ]
    return [
        f"Which of {count:,} words does an unseen definition define? {len(target):,} definitions.",
        f"{'':36}{'hits@1':>7}{'@10':>7}{'@100':>7}{'mean rank':>11}{'median':>8}",
        *(
            f"  {name:34}"
            + "".join(f"{m[f'hits@{k}']:7.1%}" for k in _AT)
            + f"{m['mean_rank']:11,.0f}{m['median_rank']:8,.0f}"
            for name, m in table
        ),
    ]


def _metrics(found: NDArray[np.int64]) -> dict[str, float]:
    return retrieval_metrics(found, at=_AT)


def discoveries(model: Object2Vec, task: DefinitionTask) -> list[str]:
    """Return the nearest words of some words and of some definitions."""
    vectors = known_vectors(model, task)  # (N, D)
    known = [word for word in WORDS if word in task.candidates]
    of_words = vectors[[task.candidates.index(word) for word in known]]  # (w, D)
    of_texts = model.encode(in1=DEFINITIONS)  # (t, D)
    lines = ["Nearest words"]
    for word, indices in zip(known, nearest(of_words, vectors, 7)[0], strict=True):
        others = [task.candidates[i] for i in indices if task.candidates[i] != word]
        lines.append(f"  {word:10}{_joined(others, 68)}")
    lines += ["", "The words that these definitions, written for the demo, are nearest to"]
    for text, indices in zip(DEFINITIONS, nearest(of_texts, vectors, 6)[0], strict=True):
        lines.append(f"  {text:32}{_joined([task.candidates[i] for i in indices], 46)}")
    return lines


def _joined(names: Sequence[str], width: int) -> str:
    """Return as many names, in their order, as fit."""
    text = ", ".join(names)
    return text if len(text) <= width else _joined(names[:-1], width)


def farewell(out: Path) -> list[str]:
    """Return where the model lies and what to try next."""
    path = shlex.quote(str(out))
    return [
        f"The model lies in {out}. Try:",
        f"  object2vec info {path}",
        f"  object2vec nearest {path} '{DEFINITIONS[0]}' --side in1 --of in0",
        f"  echo {WORDS[0]} | object2vec encode {path} --side in0 --lines",
    ]
