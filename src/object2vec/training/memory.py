"""How much memory a network needs while it trains, found out before any of it is asked for."""

from __future__ import annotations

from object2vec.config import Config
from object2vec.devices import find_device, memory_bytes
from object2vec.errors import ConfigError
from object2vec.kernels.rules import RULES

_FLOAT_BYTES = 4
_WORTH_TELLING = 64 << 20  # bytes; every machine has that much


def needed_bytes(config: Config) -> tuple[int, int]:
    """Return the bytes of the token tables, and of the optimizer's state and averages for them.

    The rest of a network is small beside them, or does not depend on the data.
    """
    sides = config.table_encoders
    partners = [other.vocab_size for other in reversed(config.encoders)]
    rows = [
        side.vocab_size + (others if side.partners else 0)
        for side, others in zip(sides, partners, strict=False)
    ]
    sizes = [
        (count * side.token_embedding_dim * _FLOAT_BYTES, side.is_frozen)
        for count, side in zip(rows, sides, strict=True)
    ]
    trained = sum(size for size, is_frozen in sizes if not is_frozen)
    copies = len(RULES[config.optimizer].state_names) + (config.weight_averaging > 0)
    return sum(size for size, _ in sizes), trained * copies


def checked_memory(config: Config) -> str:
    """Return what training needs for the token tables, in words; "" if that is little.

    Raises
    ------
    ConfigError
        If the device has less.
    """
    tables, state = needed_bytes(config)
    device = find_device(config.device)
    available = memory_bytes(device)
    text = f"{_text(tables)} of token tables and {_text(state)} of optimizer state"
    if available is not None and tables + state > available:
        cure = (
            "Choose a smaller enc_dim, optimizer=sgd, which keeps no state, or give the largest "
            "field max_size, min_count or fewer buckets."
        )
        must = f"must fit into the {_text(available)} of memory that {device} has"
        raise ConfigError.at("token tables", must, text, cure)
    return f"training needs {text}" if tables + state >= _WORTH_TELLING else ""


def _text(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB" if size >= 2**30 else f"{size / 2**20:,.1f} MiB"
