"""The network: score = head(comparator(encoder0(in0), encoder1(in1))).

Dimension letters used all over the library: B records of a batch, P distinct sequences encoded for
it, n tokens, T time steps, V0 V1 vocabulary sizes, E token embedding, F filters, D `enc_dim`, C
comparator width, H `mlp_dim`, K outputs.
"""

from __future__ import annotations

import copy
import math
from functools import partial

import torch
from torch import Tensor, nn

from object2vec.config import Config
from object2vec.devices import large_zeros, on_device
from object2vec.kernels.base import Kernel
from object2vec.kernels.comparator import compare
from object2vec.network.dropout import Dropout
from object2vec.network.encoders import ENCODERS, Encoder, PooledEmbedding
from object2vec.network.head import Head, Odds, ScaledTotal, Total
from object2vec.network.tokens import TokenTable
from object2vec.objectives import Encoded, Objective, Pairing, RightCandidates, Rivals, objective_of
from object2vec.objects.ragged import Ragged
from object2vec.pairs.batches import Batch
from object2vec.pairs.block_pairing import BlockPairing
from object2vec.pairs.candidates import Targets

_TINY = 1e-12  # length below which an embedding has no direction


class Network(nn.Module):
    """Two encoders, or one for both sides, a comparator and a head.

    Parameters
    ----------
    config : Config
    kernel : Kernel
        What reads and updates the token tables.
    """

    def __init__(self, config: Config, kernel: Kernel) -> None:
        super().__init__()
        self.config = config
        self.tokens = nn.ModuleList(_tables(config, kernel))
        self.encoders = nn.ModuleList(
            ENCODERS[encoder.network](encoder, config.enc_dim, config.dropout, config.mask_padding)
            for encoder in (config.encoders[:1] if config.shared_encoder else config.encoders)
        )
        self.dropout = Dropout(config.dropout)
        self.objective = objective_of(config)
        self.head = _head(config, self.objective, kernel)

    def forward(self, in0: Ragged, in1: Ragged, pairing: Pairing | None = None) -> Tensor:
        """Return the logits (B, K) of pairs.

        Parameters
        ----------
        in0, in1 : Ragged of length P
            Sequences; each is encoded once, and whole.
        pairing : Pairing, optional
            Which embeddings make each of the B records; row i with row i by default.
        """
        return self.score(self.encode(0, in0), self.encode(1, in1), pairing)

    def score(self, a: Tensor, b: Tensor, pairing: Pairing | None = None) -> Tensor:
        """Return the logits (B, K) of pairs of embeddings.

        Parameters
        ----------
        a, b : Tensor of shape (P, D)
            Embeddings of in0 and in1, from `encode`.
        pairing : Pairing, optional
            Which embeddings make each of the B records; row i with row i by default.
        """
        a, b = self.comparable(0, a), self.comparable(1, b)  # (P, D)
        with self._precision():
            logits: Tensor = self.head(self._compare(a, b, pairing))  # (B, K)
        return logits.float()

    def comparable(self, side: int, embeddings: Tensor) -> Tensor:
        """Return embeddings (P, D) as they are compared: of length 1 where the objective says so.

        One of zeros stays so.
        """
        if self.objective.normalized[side]:
            embeddings = embeddings / embeddings.norm(dim=1, keepdim=True).clamp(min=_TINY)
        if side == 0 and isinstance(self.head, Odds):
            return self.head.query(embeddings)
        return embeddings

    def product(self, x: Tensor, weight: Tensor) -> Tensor:
        """Return ``x @ weight.T`` of float32 tensors, the same for any number of threads."""
        product: Tensor = self.table(0).kernel.linear(x, weight, None, "linear")
        return product

    def encoded(self, batch: Batch) -> Encoded:
        """Return a batch with the embeddings of both sides, as an objective sees it."""
        a, b = self._both_sides(batch)  # (P, D), (P, D)
        pairing, rivals, contrast, candidates = batch.pairing, None, None, None
        if self.objective.is_in_batch or isinstance(pairing, Targets):
            assert isinstance(self.head, ScaledTotal)
            a, b = self.comparable(0, a), self.comparable(1, b)  # (P, D), (Q, D)
            softmax = self.head.scale(), self.product
            if isinstance(pairing, Targets):  # each record is set against all candidates
                at = on_device(pairing.rows0, a.device), on_device(pairing.rows1, a.device)
                candidates = RightCandidates(*at, *softmax)
            else:
                rivals = Rivals(batch.excluded, batch.log_q, *softmax)
        if isinstance(pairing, BlockPairing):
            rate, offset = self.config.negative_sampling_rate, self.objective.offset
            contrast = partial(self.table(0).kernel.contrast, a, b, pairing, rate, offset)
        given = pairing, batch.label, self.score, batch.weight, self.training
        return Encoded(a, b, *given, rivals, contrast, candidates)

    def _both_sides(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the embeddings (P, D) of in0 and those of in1; one encoder makes them at once."""
        if not self.config.shared_encoder:
            return self.encode(0, batch.in0), self.encode(1, batch.in1)
        both = self.encode(0, Ragged.concatenate([batch.in0, batch.in1]))  # (2 P, D)
        return both[: len(batch.in0)], both[len(batch.in0) :]

    def _compare(self, a: Tensor, b: Tensor, pairing: Pairing | None) -> Tensor:
        """Return the comparator's vectors (B, C) of embeddings (P, D), which get their dropout."""
        parts = self.config.comparator_list
        if pairing is None:
            return compare(self._drop(0, a), self._drop(1, b), parts)  # (B, C)
        rows0 = on_device(pairing.rows0, a.device)  # (B,)
        rows1 = on_device(pairing.rows1, b.device)  # (B,)
        if not (self.training and self.config.dropout):
            return self.table(0).kernel.compare(a, b, rows0, rows1, parts)  # (B, C)
        # Indexing with [] is the same, but its backward pass sorts and takes 100 times as long.
        a, b = a.index_select(0, rows0), b.index_select(0, rows1)  # (B, D), (B, D)
        return compare(self._drop(0, a), self._drop(1, b), parts)  # (B, C)

    def _precision(self) -> torch.autocast:
        """Return the context in which matrix products have the configured precision."""
        return torch.autocast(
            self.table(0).weight.device.type,
            dtype=torch.bfloat16,
            enabled=self.config.precision == "bfloat16",
        )

    def encode(self, side: int, sequences: Ragged) -> Tensor:
        """Return the embeddings (P, D) of sequences of one side, before dropout."""
        encoder, table = self.encoder(side), self.table(side)
        with self._precision():
            embeddings: Tensor = encoder(table, sequences)
        return embeddings.float()

    def _drop(self, side: int, embeddings: Tensor) -> Tensor:
        """Return pooled embeddings with dropout; the other families have theirs between layers."""
        # Dropped after re-pairing, so that each record of a batch has a mask of its own.
        is_pooled = isinstance(self.encoder(side), PooledEmbedding)
        dropped: Tensor = self.dropout(embeddings) if is_pooled else embeddings
        return dropped

    def encoder(self, side: int) -> Encoder:
        """Return the encoder of one side, which both may share."""
        encoder = self.encoders[-1 if side else 0]
        assert isinstance(encoder, Encoder)
        return encoder

    def tables(self) -> list[TokenTable]:
        """Return the token tables: one when tied, else one for each side."""
        return [table for table in self.tokens if isinstance(table, TokenTable)]

    def table(self, side: int) -> TokenTable:
        """Return the token table that one side reads."""
        return self.tables()[-1 if side else 0]

    @torch.no_grad()
    def center(self, means: Tensor) -> None:
        """Let predictions begin at these numbers.

        Parameters
        ----------
        means : Tensor of shape (K,), or (V1,) where each token of in1 has a bias
            For each output, or each token of in1.
        """
        if isinstance(self.head, Head):
            self.head.output.bias.copy_(means)
            return
        rows = torch.arange(len(means), device=means.device)
        vectors = self.table(1).read(rows)  # (V1, D)
        vectors[:, -1] = means
        self.table(1).write(rows, vectors)

    def scores(self, logits: Tensor) -> Tensor:
        """Return what a user sees of logits, (B, K)."""
        return self.objective.scores(logits)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator) -> None:
        """Draw the initial weights: Xavier-uniform everywhere, token tables included; zero biases.

        AWS's initialiser is not documented. With this one, MXNet's default Xavier (Glorot & Bengio
        2010), the training losses of AWS's published MovieLens log are met to the second digit in
        every epoch (benchmarks/results/movielens_rating.json). With ``token_init=unit`` the vectors
        of tokens are normal, of length 1 on average, however many tokens there are.
        """
        tables = [table.weight for table in self.tables()]
        is_unit = self.config.token_init == "unit"
        for table in tables if is_unit else ():
            table.normal_(0.0, 1.0 / math.sqrt(table.shape[1]), generator=generator)
        for tensor in [*(() if is_unit else tables), *self.parameters()]:
            if is_bias(tensor):
                tensor.zero_()
            else:
                fan_out, fan_in = tensor.shape[0], tensor[0].numel()
                bound = math.sqrt(6.0 / (fan_in + fan_out))
                tensor.uniform_(-bound, bound, generator=generator)


def _head(config: Config, objective: Objective, kernel: Kernel) -> nn.Module:
    """Return what makes the logits of a comparator's vectors."""
    if objective.head == "layers":
        return Head(config, objective.width, kernel)
    if objective.head == "sum":
        return Total()
    head = Odds if objective.head == "odds" else ScaledTotal
    return head(config.ranking_scale, config.learn_ranking_scale)


def _tables(config: Config, kernel: Kernel) -> list[TokenTable]:
    """Return one table for both sides when tied, else one for each."""
    return [
        TokenTable(
            side.vocab_size,
            side.token_embedding_dim,
            kernel,
            config.token_embedding_storage_type,
            side.is_frozen,
        )
        for side in config.table_encoders
    ]


def materialize(network: Network) -> None:
    """Give a network that was built on the meta device memory on the CPU, zeros.

    `torch.nn.Module.to_empty` does so, too, in small pages and after importing a third of a
    second's worth of modules.
    """
    network._apply(  # type: ignore[no-untyped-call]
        lambda tensor: large_zeros(tensor.shape)
    )


def new_network(config: Config, kernel: Kernel) -> Network:
    """Return a network on the CPU with its initial weights, which follow the seed alone."""
    with torch.device("meta"):  # PyTorch's own initial weights would draw from global state
        network = Network(config, kernel)
    materialize(network)
    network.initialize(torch.Generator().manual_seed(config.seed))
    return network


def folded(network: Network) -> Network:
    """Return the network as it is used: what training learned of each token is in its vector.

    It is the same one if there is nothing to fold; else a new one with the same memory, and the one
    that was trained goes on reading the same embeddings.
    """
    tables = network.tables()
    if all(table.is_plain for table in tables):
        return network
    for table in tables:
        table.fold()
    with torch.device("meta"):
        used = Network(network.config, tables[0].kernel)
    weights, shapes = network.state_dict(), used.state_dict()
    kept = {name: weights[name][: len(shapes[name])] for name in shapes}  # without partners' rows
    used.load_state_dict(kept, assign=True)
    return used.eval()


def collapsed(network: Network, most_outputs: int) -> Network:
    """Return the network as it scores at the least cost: see `Head.collapsed`.

    It is the same one if there is nothing to collapse; else a new one with the same memory.
    """
    head = network.head.collapsed(most_outputs) if isinstance(network.head, Head) else network.head
    if head is network.head:
        return network
    used = copy.copy(network)
    used._modules = network._modules | {"head": head}
    return used


def is_bias(parameter: Tensor) -> bool:
    """Return whether a parameter is a bias: numbers for the outputs, none for the inputs."""
    return parameter.dim() == 1


def parameter_count(network: Network) -> int:
    """Return the number of trained numbers without the token tables, as AWS's log counts them."""
    return sum(parameter.numel() for parameter in network.parameters())


__all__ = [
    "Encoder",
    "Network",
    "collapsed",
    "folded",
    "is_bias",
    "materialize",
    "new_network",
    "parameter_count",
]
