"""The demo: find a word by its definition, learned from WordNet in about a minute.

The task is in `wordnet.py`, the baseline in `tfidf.py`. Validation chooses the epoch; test is
looked at once, for the figures printed.
"""

from __future__ import annotations

import json
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
from object2vec.examples.wordnet import NEGATIVES, DefinitionTask, read_wordnet, words

if TYPE_CHECKING:
    from object2vec.model import Object2Vec
    from object2vec.reporting import LogFormat

HYPERPARAMETERS: dict[str, Any] = {
    "enc0_network": "pooled_embedding",
    "enc0_max_seq_len": 10,
    "enc0_token_embedding_dim": 200,
    "enc1_network": "pooled_embedding",
    "enc1_max_seq_len": 1000,
    "enc1_token_embedding_dim": 200,
    "tied_token_embedding_weight": True,
    "token_embedding_storage_type": "row_sparse",
    "enc_dim": 200,
    "comparator_list": "hadamard",
    "mlp_layers": 0,
    "dropout": 0.4,
    "negative_sampling_rate": NEGATIVES,
    "mini_batch_size": 2048,
    "learning_rate": 0.03,
    "epochs": 3,
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
    _print(judgement(model, task), retrieval(model, task), discoveries(model, task))
    _print(farewell(model, out))


def _print(*sections: Sequence[str]) -> None:
    import typer

    for section in sections:
        typer.echo("\n".join([*section, ""]))


def learn(task: DefinitionTask, log_format: LogFormat | None) -> Object2Vec:
    """Return a model trained on the task, with the vocabulary inside."""
    from object2vec.model import Object2Vec
    from object2vec.reporting.reporters import reporter

    files_of_both: dict[str, Any] = {f"enc{side}_vocab_file": "vocabulary.json" for side in (0, 1)}
    sizes: dict[str, Any] = {f"enc{side}_vocab_size": task.vocab_size for side in (0, 1)}
    model = Object2Vec(**HYPERPARAMETERS, **sizes, **files_of_both)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocabulary.json")
        path.write_text(json.dumps(task.vocabulary), encoding="utf-8")
        return model.fit(
            task.training_pairs(np.random.default_rng(1)),
            validation=task.held_out_pairs(task.validation),
            test=task.held_out_pairs(task.test),
            auxiliary=folder,
            reporters=[reporter(log_format)],
        )


def known_vectors(model: Object2Vec, task: DefinitionTask) -> Floats:
    """Return a vector for each candidate: of the word, plus of the text of its definitions.

    Returns
    -------
    array of shape (N, D)
    """
    word, text = model.encode(in0=task.words), model.encode(in1=task.documents)  # (N, D)
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
    ]


def judgement(model: Object2Vec, task: DefinitionTask) -> list[str]:
    """Return how well the model tells right pairs of held-out definitions from wrong ones."""
    share = 1 / (1 + NEGATIVES)
    guess = {
        "cross_entropy": -share * np.log(share) - (1 - share) * np.log(1 - share),
        "accuracy": 1 - share,
    }
    found = model.facts.metrics
    table = [("always the same answer", guess)]
    table += [(f"object2vec, {name}", found[name]) for name in ("validation", "test")]
    return [
        f"Is this the definition of that word? One right pair to {NEGATIVES} wrong ones.",
        f"{'':36}{'accuracy':>10}{'cross-entropy':>15}",
        *(f"  {name:34}{m['accuracy']:10.1%}{m['cross_entropy']:15.3f}" for name, m in table),
    ]


def retrieval(model: Object2Vec, task: DefinitionTask) -> list[str]:
    """Return at which rank the words of test definitions are found, beside baselines."""
    query, target = model.encode(in1=task.queries(task.test)), task.targets(task.test)
    alone = ranks(query, model.encode(in0=task.words), target)  # (n,)
    together = ranks(query, known_vectors(model, task), target)  # (n,)
    theirs = tfidf_ranks(task.documents, task.queries(task.test), target, task.vocab_size)  # (n,)
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
    of_texts = model.encode(in1=[task.ids(words(text)) for text in DEFINITIONS])  # (t, D)
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


def farewell(model: Object2Vec, out: Path) -> list[str]:
    """Return where the model lies and what to try next."""
    path = shlex.quote(str(out))
    vocabulary = model.vocabularies[0] or {}
    word = next((word for word in WORDS if word in vocabulary), next(iter(vocabulary)))
    return [
        f"The model lies in {out}. Try:",
        f"  object2vec info {path}",
        f"  echo '{{\"in0\": [{vocabulary[word]}]}}' | object2vec encode {path} --side in0",
        f'The second prints the vector of "{word}"; vocab0.json there has every word\'s id.',
    ]
