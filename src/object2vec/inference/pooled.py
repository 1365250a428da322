"""A pooled encoder of a saved model, without PyTorch.

The embedding of a pooled encoder is the mean of some rows of its token table: NumPy holds them, one
compiled loop reads them, and a command is done before PyTorch would have been imported. The vectors
are those of `object2vec.model.Object2Vec.encode` on a CPU, to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from object2vec.artifact import WEIGHTS, open_model, read_config
from object2vec.config import Config
from object2vec.files.remote import PathLike
from object2vec.files.tensors import read_array
from object2vec.objects.ragged import Ragged

_PADDING = 0


@dataclass(frozen=True)
class PooledEncoder:
    """One side of a model.

    Parameters
    ----------
    config : Config
    side : {0, 1}
    weight : float32 array (V, D)
        The token table.
    """

    config: Config
    side: int
    weight: NDArray[np.float32]

    def encode(self, sequences: Ragged) -> NDArray[np.float32]:
        """Return the embeddings of n sequences whose ids are in the table, (n, D).

        Parameters
        ----------
        sequences : Ragged of length n
            Cut to what the encoder reads in training; zeros come of one without tokens.
        """
        from object2vec.kernels.cpu.lookup import mean_rows

        sequences = sequences.truncated(self.config.encoders[self.side].max_seq_len)
        if self.config.mask_padding:
            sequences = sequences.without(_PADDING)
        embeddings = np.empty((len(sequences), self.weight.shape[1]), np.float32)  # (n, D)
        mean_rows(self.weight, sequences.values, sequences.offsets, embeddings)
        return embeddings


def open_pooled(path: PathLike, side: int, device: str | None = None) -> PooledEncoder | None:
    """Return one side of a saved model if that needs no PyTorch.

    Parameters
    ----------
    path : path or URL
        Of a model folder or a ``model.tar.gz``.
    side : {0, 1}
    device : str, optional
        As in training by default. A lookup is not worth a way to a GPU: only who names one gets it.

    Returns
    -------
    PooledEncoder or None
        None for another family of encoder or device, and without the compiled kernels.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged or of a later version.
    """
    with open_model(path) as folder:
        _, config = read_config(folder)
        encoder = config.encoders[side]
        is_elsewhere = (device or config.device) not in ("auto", "cpu")
        is_pooled = encoder.network == "pooled_embedding"
        if not is_pooled or is_elsewhere or config.kernel == "reference" or not _is_compiled():
            return None
        table = 0 if config.tied_token_embedding_weight else side
        shape = (encoder.vocab_size, config.enc_dim)
        weight = read_array(folder / WEIGHTS, f"tokens.{table}.weight", shape)
    return PooledEncoder(config, side, weight)


def _is_compiled() -> bool:
    """Return whether the compiled lookup is there."""
    try:
        import object2vec.kernels.cpu.lookup  # noqa: F401
    except ImportError:
        return False
    return True
