"""A pooled encoder of a saved model, without PyTorch.

The embedding of a pooled encoder is the mean of some rows of its token table: NumPy holds them, one
compiled loop reads them, and a command is done before PyTorch would have been imported. The vectors
are those of `object2vec.model.Object2Vec.encode` on a CPU, to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from object2vec.artifact import WEIGHTS, read_config, read_schema
from object2vec.compiled import is_postponed, missing
from object2vec.config import Config
from object2vec.files.tensors import map_matrix
from object2vec.inference.inputs import diverged
from object2vec.objects.ragged import PADDING, Ragged

if TYPE_CHECKING:
    from object2vec.fields.schema import ObjectSchema


@dataclass(frozen=True, eq=False)
class PooledReader:
    """The pooled encoder of one side of a model.

    Parameters
    ----------
    config : Config
    tables : mapping of {0, 1} to float32 array (V, D)
        The token table of that side.
    schema : ObjectSchema or None
        What makes ids of values; None for a model that was trained on ids.
    """

    config: Config
    tables: Mapping[int, NDArray[np.float32]]
    schema: ObjectSchema | None = None

    def encode(self, side: int, sequences: Ragged) -> NDArray[np.float32]:
        """Return embeddings as `object2vec.inference.encoder.Encoder` says."""
        if self.config.mask_padding:
            sequences = sequences.without(PADDING)
        table = self.tables[side]  # (V, D)
        embeddings = np.empty((len(sequences), table.shape[1]), np.float32)  # (n, D)
        if is_postponed() or missing():
            _mean_rows(table, sequences, embeddings)
        else:
            from object2vec.kernels.cpu.loops.lookup import mean_rows

            mean_rows(len(sequences), table, sequences.values, sequences.offsets, embeddings)
        if growth := 1.0 - self.config.encoders[side].pool_exponent:
            embeddings *= sequences.powers(growth)[:, None]
        if not np.isfinite(embeddings).all():
            raise diverged("embeddings")
        return embeddings


def _mean_rows(table: NDArray[np.float32], sequences: Ragged, out: NDArray[np.float32]) -> None:
    """Do what `mean_rows` does, sum by sum, without compiled code."""
    out[:] = 0
    lengths = sequences.lengths  # (n,)
    longest_first = np.argsort(-lengths, kind="stable")  # (n,)
    sums, starts = out[longest_first], sequences.offsets[:-1][longest_first]  # (n, D), (n,)
    positions = np.arange(lengths.max(initial=0))
    n_longer = len(lengths) - np.searchsorted(np.sort(lengths), positions, "right")
    for position, count in enumerate(n_longer.tolist()):  # sequences that have a token there
        sums[:count] += table[sequences.values[starts[:count] + position]]
    scales = np.float32(1) / np.maximum(lengths, 1).astype(np.float32)  # (n,)
    out[longest_first] = sums * scales[longest_first, None]


def open_pooled(folder: Path, side: int, device: str | None = None) -> PooledReader | None:
    """Return one side of a saved model if that needs no PyTorch.

    Parameters
    ----------
    folder : Path
    side : {0, 1}
    device : str, optional
        As in training by default. A lookup is not worth a way to a GPU: only who names one gets it.

    Returns
    -------
    PooledReader or None
        None for another family of encoder or device, and without the compiled kernels.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged or of a later version.
    """
    document, config = read_config(folder)
    encoder = config.encoders[side]
    is_elsewhere = (device or config.device) not in ("auto", "cpu")
    is_pooled = encoder.network == "pooled_embedding"
    if not is_pooled or is_elsewhere or config.kernel == "reference":
        return None
    if not is_postponed() and missing():
        return None
    name = f"tokens.{0 if config.tied_token_embedding_weight else side}.weight"
    shape = (encoder.vocab_size, config.enc_dim)
    table = map_matrix(folder / WEIGHTS, name, shape)
    return PooledReader(config, {side: table}, read_schema(folder, document, config))
