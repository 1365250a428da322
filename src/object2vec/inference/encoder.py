"""A saved model opened to encode, in the way that suits one side of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from object2vec.artifact import load, open_model
from object2vec.config import Config
from object2vec.files.remote import PathLike
from object2vec.inference.pooled import open_pooled
from object2vec.objects.ragged import Ragged

if TYPE_CHECKING:
    from object2vec.fields.schema import ObjectSchema


class Encoder(Protocol):
    """Turns sequences into embeddings."""

    @property
    def config(self) -> Config:
        """The model's configuration."""

    @property
    def schema(self) -> ObjectSchema | None:
        """What makes ids of values; None for a model that was trained on ids."""

    def encode(self, side: int, sequences: Ragged) -> NDArray[np.float32]:
        """Return the embeddings of n sequences of one side, (n, D).

        Parameters
        ----------
        side : {0, 1}
        sequences : Ragged of length n
            As `object2vec.inference.inputs.Intake.accept` returns them. One without tokens is
            embedded as zeros.

        Raises
        ------
        ArtifactError
            If a number is NaN or infinite.
        """


def open_encoder(location: PathLike, side: int, device: str | None = None) -> Encoder:
    """Return a saved model that encodes one side; PyTorch is loaded only if that needs it.

    Parameters
    ----------
    location : path or URL
        Of a model folder or a ``model.tar.gz``; fetched once.
    side : {0, 1}
    device : str, optional
        As in training by default.

    Raises
    ------
    ArtifactError
        If a file is missing, damaged or of a later version.
    ConfigError
        If the device is not there.
    """
    with open_model(location) as folder:
        if (pooled := open_pooled(folder, side, device)) is not None:
            return pooled
        from object2vec.inference.engine import Engine

        return Engine(load(folder, device))
