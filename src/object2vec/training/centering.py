"""Where predictions begin: at what the training data say on average."""

from __future__ import annotations

import numpy as np
import torch

from object2vec.network.network import Network
from object2vec.objects.ragged import PADDING
from object2vec.pairs.dataset import Pairs
from object2vec.training.weights import document_counts, training_objects


def center(network: Network, pairs: Pairs) -> None:
    """Let predictions begin at the mean of training, where a network is configured to.

    Numbers begin at the mean label. Log odds of tokens of in1 begin, but for what vectors add, at
    ``ln((n + 1/2) / (N - n + 1/2))``, n of the N training objects of in1 having the token.

    Parameters
    ----------
    network : Network
        On its device, before its first step, knowing what tokens count.
    pairs : Pairs
        Those of training.
    """
    config, table = network.config, network.table(1)
    if config.output_bias != "mean":
        return
    if network.objective.head == "layers":
        facts = pairs.statistics["label"]
        network.center(torch.tensor([facts.total / facts.rows]))
        return
    counts, total = np.zeros(config.encoders[1].vocab_size, np.int64), 0  # (V1,)
    for _, column in training_objects(pairs):
        counts += document_counts(column, len(counts))
        total += len(column)
    odds = np.log((counts + 0.5) / (total - counts + 0.5)).astype(np.float32)  # (V1,)
    if config.mask_padding:
        odds[PADDING] = float(table.read(slice(PADDING, PADDING + 1))[0, -1])  # no candidate
    network.center(torch.from_numpy(odds).to(table.weight.device))
