"""Vectors that were trained elsewhere, for the tokens of a table."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from object2vec.config import Config, Note
from object2vec.fields.schema import ObjectSchema, Part
from object2vec.fields.vocabulary_field import VocabularyField
from object2vec.files.remote import PathLike
from object2vec.network.network import Network
from object2vec.network.tokens import TokenTable
from object2vec.objects.vectors import VectorFile, open_vectors
from object2vec.training.topics import check_room

Vectors = NDArray[np.float32]


@torch.no_grad()
def load_vectors(network: Network, schema: ObjectSchema, location: PathLike) -> list[Note]:
    """Give the tokens of a table the vectors that a file has for them.

    A word of the file is a token if the vocabulary reads it as that one token alone; of several
    words that are one token, the first counts. A table that is wider than the vectors has them in
    its first columns.

    Parameters
    ----------
    network : Network
        With initial weights, on the CPU.
    schema : ObjectSchema
    location : path or URL
        As `object2vec.objects.vectors.open_vectors` reads it.

    Returns
    -------
    list of Note
        What was found, by table.

    Raises
    ------
    ConfigError
        If a table has no room for the vectors, beside the topics of its tokens.
    DataError
        If the file is none of vectors.
    """
    config, file = network.config, open_vectors(location)
    words, name = file.words(), os.path.basename(str(location))
    notes = []
    for side, table in enumerate(network.tables()):
        check_room(config.topics, file.width, table, config, side)
        parts = [
            (part, part.fitted)
            for part in schema.vocabularies(side)
            if isinstance(part.fitted, VocabularyField)
        ]
        found = [_found(*each, words) for each in parts]
        rows = np.concatenate([each[0] for each in found] or [np.zeros(0, np.int64)])  # (m,)
        chosen = [words[i] for each in found for i in each[1].tolist()]
        if chosen:
            _put(table, file, rows, chosen, config)
        table.is_frozen = config.encoders[side].freeze_pretrained_embedding
        fields, seen = [fitted for _, fitted in parts], sum(each[2] for each in found)
        notes.append(_note(side, fields, len(rows), seen, name, table.is_frozen))
        if table.is_frozen and not schema.declared.holds_text(side):
            text = (
                f"in{side} holds no text, and its table is frozen: nothing is learned of its "
                f"tokens. Set enc{side}_freeze_pretrained_embedding=false if that is not meant."
            )
            notes.append(Note("warning", text))
    return notes


def _found(
    part: Part, fitted: VocabularyField, words: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return the rows of a table that words are, each once, which words, and how often seen."""
    import pyarrow as pa

    own = fitted.known_rows(pa.array(words, pa.string()))  # (words,)
    of_known = np.flatnonzero(own >= 0)
    rows, first = np.unique(own[of_known], return_index=True)  # the first word of each row
    seen = int(fitted.vocabulary.counts[rows].sum())
    return part.in_table(rows).astype(np.int64), of_known[first], seen


def _put(
    table: TokenTable,
    file: VectorFile,
    rows: NDArray[np.int64],
    words: Sequence[str],
    config: Config,
) -> None:
    """Write the vectors of words into rows of a table."""
    distinct = list(dict.fromkeys(words))
    order = {word: number for number, word in enumerate(distinct)}
    vectors = file.vectors(distinct)[[order[word] for word in words]]  # (m, width)
    vectors = prepared(vectors, table.weight.shape[1], config)
    table.weight[torch.from_numpy(rows), : file.width] = torch.from_numpy(vectors)


def prepared(vectors: Vectors, width: int, config: Config) -> Vectors:
    """Return vectors (m, E) as training begins with them, in a table of a width.

    They lose components where `remove_components` says so. With ``token_init=unit`` each of their
    numbers is as large as a random one, so that whole rows have length 1 on average.
    """
    if config.remove_components and len(vectors):
        vectors = without_components(vectors, config.remove_components)
    if config.token_init == "unit" and len(vectors):
        size = float(np.sqrt(np.square(vectors, dtype=np.float64).mean()))
        vectors = vectors / np.float32(max(size, 1e-12) * width**0.5)
    return vectors


def without_components(vectors: Vectors, count: int) -> Vectors:
    """Return vectors without their mean and their first so many principal components, (m, E).

    What all words have in common says nothing of any, and drowns the rest in a mean of words (Mu
    and Viswanath 2018, "All-but-the-Top", https://arxiv.org/abs/1702.01417).
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)  # (m, E)
    _, directions = np.linalg.eigh(centred.T @ centred)  # (E, E), the largest last
    first = directions[:, -count:]  # (E, count)
    return np.asarray(centred - centred @ first @ first.T, np.float32)


def _note(
    side: int, fields: Sequence[VocabularyField], found: int, seen: int, name: str, is_frozen: bool
) -> Note:
    """Return what was found for a table, in words."""
    known = sum(each.size - each.vocabulary.first for each in fields)
    total = sum(int(each.vocabulary.counts[each.vocabulary.first :].sum()) for each in fields)
    state = "frozen" if is_frozen else "trained further"
    text = (
        f"in{side}: {found:,} of {known:,} tokens have a vector in {name}, "
        f"{100 * seen / max(1, total):.1f} % of their occurrences; the others keep their random "
        f"one. The table is {state}."
    )
    return Note("info" if found else "warning", text)
