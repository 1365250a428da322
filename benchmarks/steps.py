"""Training steps as `fit` makes them, without what surrounds them: the work of the speed races."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.race import Work


def training_steps(
    settings: Mapping[str, Any], in0: Any, in1: Any, label: Any, threads: int, device: str = "cpu"
) -> Work:
    """Return a function that trains on all records once and counts them.

    Parameters
    ----------
    settings : mapping
        Hyperparameters.
    in0, in1, label : columns as `Pairs.build` reads them
    threads : int
        As the hyperparameter has it.
    device : str, default "cpu"
        ``cpu`` or ``cuda``.
    """
    from object2vec.config import Config
    from object2vec.devices import set_threads
    from object2vec.kernels import kernel_for
    from object2vec.network.network import new_network
    from object2vec.objectives.metrics import Metrics
    from object2vec.pairs.batches import TrainingBatches
    from object2vec.pairs.dataset import Pairs
    from object2vec.reading.ahead import prefetch
    from object2vec.training.step import Step

    set_threads(threads)
    config = Config.build({"seed": 0, **settings})
    batches = TrainingBatches(Pairs.build(in0=in0, in1=in1, label=label), config)
    network = new_network(config, kernel_for(config.kernel, device))
    step = Step(network.to(device).train())

    def epoch() -> float:
        metrics = Metrics(step.network.objective)
        made = batches.epoch(0)
        for batch in made if device == "cpu" else prefetch(made):  # as the loop has it
            step(batch, metrics.update)
        wait_for(device)
        return batches.records

    return epoch


def wait_for(device: str) -> None:
    """Return when a device has done all that it was asked for; a CPU has at once."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize(device)
