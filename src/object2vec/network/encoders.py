"""The three encoder families: token sequences in, embeddings of width `enc_dim` out.

Sequences travel as one flat run of tokens with offsets, and every encoder's work follows the number
of tokens: pooling sums over segments, the convolutions run over the flat run with a gap of zeros
between neighbours, the LSTM over packed time steps or small groups of rows of about equal length.
Neither padding nor the other rows of a batch can change a row's embedding.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor, nn

from object2vec.config import EncoderConfig
from object2vec.devices import on_device
from object2vec.kernels.base import Kernel
from object2vec.network.dropout import Dropout
from object2vec.network.recurrence import grouped_states, packed_states
from object2vec.network.tokens import TokenTable
from object2vec.objects.ragged import PADDING, Ragged


class Encoder(nn.Module, ABC):
    """Base of the encoders.

    Parameters
    ----------
    config : EncoderConfig
    enc_dim : int
        Width D of the embedding.
    dropout : float
        Probability of dropping a number, wherever the family drops.
    mask_padding : bool
        Whether id 0 is padding.
    """

    def __init__(
        self, config: EncoderConfig, enc_dim: int, dropout: float, mask_padding: bool
    ) -> None:
        super().__init__()
        self.config = config
        self.enc_dim = enc_dim
        self.mask_padding = mask_padding
        self.dropout = Dropout(dropout)

    def forward(self, table: TokenTable, sequences: Ragged) -> Tensor:
        """Return the embedding of each sequence, (B, D); zeros for one without tokens."""
        if self.mask_padding:
            sequences = self.without_padding(sequences)
        if len(sequences.values) == 0:
            return table.weight.new_zeros(len(sequences), self.enc_dim)
        return self.encode(table, sequences)

    def without_padding(self, sequences: Ragged) -> Ragged:
        """Return `sequences` without the padding that this family need not see."""
        return sequences.trimmed(PADDING)

    @abstractmethod
    def encode(self, table: TokenTable, sequences: Ragged) -> Tensor:
        """Return the embeddings (B, D) of sequences of which at least one has a token."""

    def embed(self, table: TokenTable, ids: Tensor) -> Tensor:
        """Return the token vectors (n, E), zeros where an id is padding."""
        vectors = table.rows(ids)  # (n, E)
        if not self.mask_padding:
            return vectors
        return vectors * (ids != PADDING)[:, None]


class PooledEmbedding(Encoder):
    """The mean of the token vectors, without projection: D is the width of the table.

    With a `pool_exponent` below 1 it grows with the number of tokens, up to their sum at 0.
    """

    def without_padding(self, sequences: Ragged) -> Ragged:
        """Return `sequences` without id 0, which must not count in the mean either."""
        return sequences.without(PADDING)

    def encode(self, table: TokenTable, sequences: Ragged) -> Tensor:
        """Return the mean of each sequence's token vectors, (B, D)."""
        pooled = table.pool(*_tensors(sequences, table.weight.device))  # (B, D)
        if not (growth := 1.0 - self.config.pool_exponent):
            return pooled
        sizes = on_device(sequences.powers(growth), pooled.device)  # (B,)
        return pooled * sizes[:, None]


class HCNN(Encoder):
    """Hierarchical convolution: each layer's maximum over time is a part of the embedding.

    X_l = relu(conv_l(drop(X_{l-1}))), u_l = max over time of X_l, embedding = [u_1; ...; u_L]. Each
    layer has D // L filters, the last one takes the remainder. The structure is the hierarchical
    ConvNet of Conneau et al. 2017 (https://arxiv.org/abs/1705.02364, section 3.2.4).

    Notes
    -----
    AWS takes the maximum over padded positions too, so its embeddings depend a little on the padded
    length. Here positions outside the sequence are zero in every layer, and an embedding depends on
    its tokens alone.
    """

    def __init__(
        self, config: EncoderConfig, enc_dim: int, dropout: float, mask_padding: bool
    ) -> None:
        super().__init__(config, enc_dim, dropout, mask_padding)
        layers, width = config.layers, config.cnn_filter_width
        filters = [enc_dim // layers] * (layers - 1) + [enc_dim - enc_dim // layers * (layers - 1)]
        inputs = [config.token_embedding_dim, *filters[:-1]]
        self.convolutions = nn.ModuleList(
            Convolution(i, o, width) for i, o in zip(inputs, filters, strict=True)
        )
        self.gap = max(1, width // 2)

    def encode(self, table: TokenTable, sequences: Ragged) -> Tensor:
        """Return the maxima over time of every layer, side by side, (B, D)."""
        device = table.weight.device
        rows, starts = self._layout(sequences)  # (n,), (B + 1,)
        ids = on_device(sequences.values, device)  # (n,)
        index = on_device(rows, device)
        n_rows = int(starts[-1]) + self.gap
        x = table.weight.new_zeros(n_rows, table.weight.shape[1])  # (N, E)
        x = x.index_copy(0, index, self.embed(table, ids))
        mask = table.weight.new_zeros(n_rows, 1)  # (N, 1)
        mask[index] = 1.0 if not self.mask_padding else (ids != PADDING).float()[:, None]
        bounds = on_device(starts, device)
        maxima = []
        for depth, convolution in enumerate(self.convolutions):
            assert isinstance(convolution, Convolution)
            products = convolution(self.dropout(x) if depth else x, table.kernel)  # (N, w, F)
            x = table.kernel.sum_taps(products.float(), convolution.bias, mask)  # (N, F)
            maxima.append(table.kernel.segment_max(x[self.gap :], bounds - self.gap))  # (B, F)
        return torch.cat(maxima, dim=1)  # (B, D)

    def _layout(self, sequences: Ragged) -> tuple[np.ndarray, np.ndarray]:
        """Return the row of each token, (n,), and where each sequence and its gap begin, (B + 1,).

        A gap of zero rows stands before the first sequence and after each one. It is as wide as a
        filter reaches, so that no output at a token sees another sequence.
        """
        shift = self.gap * np.arange(1, len(sequences) + 1)  # (B,)
        rows = np.arange(len(sequences.values)) + np.repeat(shift, sequences.lengths)
        starts = sequences.offsets + self.gap * np.arange(1, len(sequences) + 2)
        return rows, starts


class Convolution(nn.Module):
    """The weights of a convolution over time, multiplied with all rows in one matrix product.

    Parameters
    ----------
    inputs, filters, width : int
        E, F and w. The weight has AWS's shape (F, E, w).
    """

    def __init__(self, inputs: int, filters: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(filters, inputs, width))
        self.bias = nn.Parameter(torch.zeros(filters))

    def forward(self, x: Tensor, kernel: Kernel) -> Tensor:
        """Return the product of each tap with each row (N, E): (N, w, F), not summed."""
        filters, inputs, width = self.weight.shape
        taps = self.weight.permute(2, 0, 1).reshape(width * filters, inputs)  # (w F, E)
        products = kernel.linear(x, taps, None, "linear")  # (N, w F)
        return products.view(len(x), width, filters)  # (N, w, F): axis 0 stays


class BiLSTM(Encoder):
    """Bidirectional LSTM layers of D / 2 units each way, then the maximum over time.

    AWS documents the family but not its pooling; the maximum over valid positions is that of
    Conneau et al. 2017 (https://arxiv.org/abs/1705.02364, section 3.2.2), whose design the rest of
    Object2Vec follows.
    """

    def __init__(
        self, config: EncoderConfig, enc_dim: int, dropout: float, mask_padding: bool
    ) -> None:
        super().__init__(config, enc_dim, dropout, mask_padding)
        inputs = [config.token_embedding_dim] + [enc_dim] * (config.layers - 1)
        self.lstms = nn.ModuleList(nn.LSTM(i, enc_dim // 2, bidirectional=True) for i in inputs)

    def encode(self, table: TokenTable, sequences: Ragged) -> Tensor:
        """Return the maximum over time of the last layer's states, (B, D)."""
        device = table.weight.device
        present = np.flatnonzero(sequences.lengths)  # (P,)
        kept = sequences.take(present) if len(present) < len(sequences) else sequences
        ids, offsets = _tensors(kept, device)  # (n,), (P + 1,)
        x = self.embed(table, ids)  # (n, E)
        states = packed_states if device.type == "cuda" else grouped_states
        with torch.autocast(device.type, enabled=False):  # its rounding adds up over the steps
            for depth, lstm in enumerate(self.lstms):
                assert isinstance(lstm, nn.LSTM)
                x = states(lstm, self.dropout(x) if depth else x, kept.lengths)  # (n, D)
        if self.mask_padding:
            x = x.masked_fill((ids == PADDING)[:, None], -math.inf)
        out = table.weight.new_zeros(len(sequences), self.enc_dim)  # (B, D)
        maxima = table.kernel.segment_max(x, offsets)  # (P, D)
        return out.index_copy(0, on_device(present, device), maxima)


def _tensors(sequences: Ragged, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the ids (n,) int32 and offsets (B + 1,) int64 of `sequences` on `device`."""
    return on_device(sequences.values, device), on_device(sequences.offsets, device)


ENCODERS: dict[str, type[Encoder]] = {
    "pooled_embedding": PooledEmbedding,
    "hcnn": HCNN,
    "bilstm": BiLSTM,
}
