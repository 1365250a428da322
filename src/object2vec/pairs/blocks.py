"""Batches of whole stretches of text: all pairs of the words in them, and noise for each stretch.

Words near each other share their contexts. A batch of pairs would have the same rows again and
again; a block of text has each of its words once, and all its pairs meet the same drawn words,
which are encoded once, too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from object2vec.compiled import Programs
from object2vec.objects.ragged import Ragged, Rows, mixed, run_indices
from object2vec.pairs.batches import Batch
from object2vec.pairs.block_pairing import BlockPairing
from object2vec.pairs.dataset import Pairs
from object2vec.pairs.made import MadePairs
from object2vec.pairs.makers.draws import KEPT, NOISE, Draws

_WORDS = 256  # of a block, about
_MEASURED = 64  # blocks that tell how many pairs one has
compiled_programs = Programs("object2vec.pairs.programs", "object2vec.pairs", "Windows are laid")


class TextBlocks:
    """The words of all documents in blocks.

    Parameters
    ----------
    pairs : MadePairs
        Made by `windows`.
    keep : float32 array (V,)
        The chance of each word to be kept.
    window : int
        Words before and behind a word that may be its context, at the most.
    noise : int
        Words drawn for each block.
    exponent : float
        They are drawn by their frequency to this power.
    """

    def __init__(
        self,
        pairs: MadePairs,
        keep: NDArray[np.float32],
        window: int,
        noise: int,
        exponent: float,
    ) -> None:
        self._column: Ragged = pairs.collections.rows.columns["in0"]
        self._keep, self._window, self._noise = keep, window, noise
        self._cuts = text_cuts(self._column.offsets, _WORDS)  # (G + 1,)
        counts = np.bincount(self._column.values).astype(np.float64)  # (V,)
        self._drawn_below = np.cumsum(np.where(counts > 0, counts**exponent, 0.0))  # (V,)
        sample = np.unique(np.linspace(0, len(self) - 1, _MEASURED, dtype=np.int64))
        self.mean_pairs = max(1.0, len(self.batch(pairs, sample)) / len(sample))

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def batch(self, pairs: Pairs, blocks: Rows) -> Batch:
        """Return the batch of these blocks, int64 (G,), and their noise."""
        assert isinstance(pairs, MadePairs), "our bug: only those that are made have blocks"
        draws = pairs.draws
        pairing, words = self._windows(draws, blocks.astype(np.int64))
        each = blocks[:, None] * self._noise + np.arange(self._noise)  # (G, K)
        chances = draws.uniform(NOISE, each.ravel()) * self._drawn_below[-1]  # (G * K,)
        noise = np.searchsorted(self._drawn_below, chances, side="right").astype(np.int32)
        label = np.broadcast_to(np.float32(1), len(pairing.partners))  # (P,)
        columns = {
            "in0": Ragged.singles(words),
            "in1": Ragged.singles(np.concatenate([words, noise])),
        }
        return Batch({**columns, "label": label}, pairing)

    def _windows(self, draws: Draws, blocks: Rows) -> tuple[BlockPairing, NDArray[np.int32]]:
        """Return the pairs of some blocks, and their words, (T,)."""
        text = self._column.offsets, self._column.values, self._keep
        lay = plain_windows if compiled_programs() is None else _compiled_windows
        words, rows = lay(blocks, self._cuts, *text, draws.bits(KEPT)[0], self._window)
        return BlockPairing(*rows, self._noise), words


def text_cuts(offsets: NDArray[np.int64], words: int) -> NDArray[np.int64]:
    """Return where texts are divided into blocks of about so many words, (G + 1,).

    Blocks end with a document, unless that is so long that it is divided itself.

    Parameters
    ----------
    offsets : int64 array (n + 1,)
        Of documents, of which the last one ends where all do.
    words : int

    Examples
    --------
    >>> text_cuts(np.array([0, 3, 5, 9, 30]), 5).tolist()
    [0, 5, 10, 15, 20, 25, 30]
    """
    marks = np.arange(words, offsets[-1], words)  # (m,)
    ends = offsets[np.searchsorted(offsets, marks)]  # (m,) of the documents in which they are
    cuts = np.where(ends < marks + words, ends, marks)
    return np.unique(np.concatenate([[0], cuts, offsets[-1:]]))


Laid = tuple[NDArray[np.int32], tuple[NDArray[Any], NDArray[Any], NDArray[Any]]]


def plain_windows(
    blocks: Rows,
    cuts: NDArray[np.int64],
    offsets: NDArray[np.int64],
    values: NDArray[np.int32],
    keep: NDArray[np.float32],
    key: np.uint64,
    window: int,
) -> Laid:
    """Return the words of blocks that are kept, and their pairs.

    Parameters
    ----------
    blocks : int64 array (G,)
    cuts : int64 array
        Block g is what stands from ``cuts[g]`` to before ``cuts[g + 1]`` in all texts.
    offsets, values : array
        The texts.
    keep : float32 array (V,)
        The chance of each word to be kept.
    key : uint64
        What is drawn for a position is made of both.
    window : int

    Returns
    -------
    words : int32 array (T,)
    rows : tuple of array
        Bounds, starts and partners, as `BlockPairing` has them.
    """
    sizes = cuts[blocks + 1] - cuts[blocks]  # (G,)
    positions, _ = run_indices(cuts[blocks], sizes)  # (n,)
    drawn = mixed(key ^ positions.astype(np.uint64))
    chance = (drawn >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    kept = chance < keep[values[positions]]
    positions, drawn = positions[kept], drawn[kept]  # (T,)
    low = (drawn & np.uint64(0xFFFFFFFF)) * np.uint64(window) >> np.uint64(32)
    reach = 1 + low.astype(np.int64)
    block = np.repeat(np.arange(len(blocks)), sizes)[kept]
    text = np.searchsorted(offsets, positions, side="right")
    shifts = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])  # (2 W,)
    other = np.arange(len(positions))[:, None] + shifts  # (T, 2 W)
    inside = (other >= 0) & (other < len(positions)) & (abs(shifts) <= reach[:, None])
    there = np.where(inside, other, 0)
    inside &= (block[there] == block[:, None]) & (text[there] == text[:, None])
    starts = np.concatenate([[0], np.cumsum(inside.sum(1))])
    bounds = np.concatenate([[0], np.cumsum(np.bincount(block, minlength=len(blocks)))])
    return values[positions], (bounds, starts, other[inside].astype(np.int32))


def _compiled_windows(blocks: Rows, cuts: NDArray[np.int64], *text: Any) -> Laid:
    """Return the same by compiled code."""
    *of_text, key, window = text
    size = int((cuts[blocks + 1] - cuts[blocks]).sum())
    words, partners = np.empty(size, np.int32), np.empty(size * 2 * window, np.int32)
    reach, starts, bounds = (
        np.empty(size, np.int64),
        np.empty(size + 1, np.int64),
        np.empty(len(blocks) + 1, np.int64),
    )
    t = compiled_programs().windows(
        blocks, cuts, *of_text, key, window, words, reach, starts, partners, bounds
    )
    return words[:t], (bounds, starts[: t + 1], partners[: starts[t]])
