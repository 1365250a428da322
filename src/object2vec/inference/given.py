"""Objects as Python gives them, ids or values of columns, to what the encoders take in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from object2vec.artifact import Artifact
from object2vec.config.table import HYPERPARAMETERS
from object2vec.errors import DataError
from object2vec.inference.inputs import take_ids
from object2vec.inference.values import take_values, value_intakes
from object2vec.objects.ragged import Ragged
from object2vec.objects.schema import SIDES, by_side
from object2vec.pairs.dataset import Pairs


def take_objects(
    artifact: Artifact,
    sides: Mapping[int, Any],
    max_seq_lens: Sequence[int] | None = None,
    table: Any = None,
) -> dict[int, Ragged]:
    """Return objects as a model encodes them, by side; log what is left out.

    Parameters
    ----------
    artifact : Artifact
    sides : mapping of {0, 1} to sequences of ids, or to anything that `as_table` takes
    max_seq_lens : pair of int, optional
        Tokens of in0 and in1 to read; those of training by default.
    table : anything that `Pairs.read` reads, or `open_table` opens, optional
        In place of `sides`: both in one table.

    Raises
    ------
    DataError
        If ids, values, columns or the numbers of tokens are wrong.
    """
    limits = (None, None) if max_seq_lens is None else _checked(max_seq_lens)
    if artifact.schema is not None:
        intakes = value_intakes(artifact.schema, artifact.config)
        return take_values(intakes, sides, table, limits)
    if table is not None:
        pairs = Pairs.read(table, default_label=0.0, name="predict")
        sides = by_side(pairs.columns)
    ids = {side: Ragged.build(given, SIDES[side]) for side, given in sides.items()}
    return take_ids(artifact.config, ids, limits, artifact.vocabularies)


def _checked(max_seq_lens: Sequence[int]) -> tuple[int, int]:
    """Return the numbers of tokens to read of in0 and in1 if they are two that training allows."""
    kind = HYPERPARAMETERS["enc0_max_seq_len"].kind
    try:
        first, second = map(kind.parse, max_seq_lens)
    except (TypeError, ValueError) as err:
        must = f"must be a pair, each of which {kind.rule}"
        cure = "Give one number for in0 and one for in1."
        raise DataError.at("max_seq_lens", must, max_seq_lens, cure) from err
    return first, second
