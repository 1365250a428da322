"""What a request asks of a model: instances by kind, and who reads them out of a body.

An instance with ``in0`` and ``in1`` asks for scores, one with either for its embedding. What stands
for an object there is the model's affair: ids, as AWS has it (`id_reader`), or the values of a
table's columns (`value_reader`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from itertools import compress
from operator import add
from typing import Any, Protocol

import msgspec

from object2vec.errors import RequestError
from object2vec.files.json import JsonObject
from object2vec.inference.forms import Form
from object2vec.inference.inputs import UNREMARKABLE, Account, Rows

NEITHER, IN0, IN1, PAIR = range(4)  # kind of an instance: the sum of its keys' values
BODY_RULE = 'must be {"instances": [...]}, a list of instances or one instance'
INSTANCE_CURE = "Give both for scores, one for its embedding."


class Group(msgspec.Struct, frozen=True):  # made in a third of the time of a frozen dataclass
    """Instances of one kind, their sequences as they are encoded.

    Parameters
    ----------
    in0, in1 : list of list of int, length n, or None
        Both for pairs; one of them to be embedded. They stay lists until a batch is made of them,
        so that what arrays cost is paid once a batch and not once a request.
    remarks : sequence of mapping, length n, or None
        What a response says of each instance beside its numbers.
    name : str, optional
        What its predictions are called, if not by their `key`; a score is one number then.
    """

    in0: Rows | None
    in1: Rows | None
    remarks: Sequence[Mapping[str, Any]] | None = None
    name: str = ""

    def __len__(self) -> int:
        rows = self.in1 if self.in0 is None else self.in0
        assert rows is not None, "our bug: a group has neither in0 nor in1"
        return len(rows)

    @property
    def columns(self) -> dict[int, Rows]:
        """The sequences of each side that there is."""
        both = enumerate((self.in0, self.in1))
        return {side: rows for side, rows in both if rows is not None}

    @property
    def key(self) -> str:
        """What its predictions are called: ``scores`` or ``embeddings``."""
        return "embeddings" if self.in0 is None or self.in1 is None else "scores"

    @property
    def tokens(self) -> int:
        """Ids of all instances, both sides together."""
        return sum(map(len, self.in0 or ())) + sum(map(len, self.in1 or ()))

    def lengths(self) -> list[int]:
        """Return the number of ids of each instance, both sides together."""
        first, *others = [map(len, rows) for rows in (self.in0, self.in1) if rows is not None]
        return [*map(add, first, *others)] if others else [*first]

    def slice(self, start: int, stop: int) -> Group:
        """Return the instances from `start` to before `stop`."""
        in0 = None if self.in0 is None else self.in0[start:stop]
        return Group(in0, None if self.in1 is None else self.in1[start:stop])


class Request(msgspec.Struct, frozen=True):
    """The instances of a request by kind.

    Parameters
    ----------
    groups : list of Group
        None of them empty.
    positions : list of list of int, or None
        Which instances of the request each group holds, one of them perhaps in several groups;
        None for a single group in order.
    accounts : pair of Account
        What became of the objects of in0 and of in1.
    """

    groups: list[Group]
    positions: list[list[int]] | None = None
    accounts: tuple[Account, Account] = (UNREMARKABLE, UNREMARKABLE)

    def __len__(self) -> int:
        if self.positions is not None:
            return 1 + max(map(max, self.positions))
        return sum(map(len, self.groups))


class Reader(Protocol):
    """Reads the bodies of requests for one model.

    Attributes
    ----------
    readable : tuple of str
        The media types that it reads.
    quick_bytes : float
        Longer bodies take so long that a server reads them in another thread.
    """

    @property
    def quick_bytes(self) -> float:
        """The length of a body up to which it is read at once."""

    @property
    def readable(self) -> tuple[str, ...]:
        """The media types that it reads."""

    def read(self, body: bytes, form: Form) -> Request | None:
        """Return the instances of a body; None for an empty one.

        Parameters
        ----------
        body : bytes
        form : Form
            Made by `object2vec.inference.forms.negotiate` of what is `readable`.

        Raises
        ------
        RequestError
            400 with the position in the body and the rule that is broken there.
        """


def by_kind(
    kinds: Sequence[int], rule: str, make: Callable[[int, Sequence[bool] | None], Request]
) -> Request:
    """Return one request of what `make` makes of the instances of each kind.

    Parameters
    ----------
    kinds : sequence of int, length n
    rule : str
        What an instance must be, for the error about one without either key.
    make : callable
        Takes a kind and which instances are of it, None for all; returns them as one group.

    Raises
    ------
    RequestError
        400 if an instance has neither key.
    """
    present = set(kinds)
    if NEITHER in present:
        where = f"instances[{kinds.index(NEITHER)}]"
        raise RequestError.at(where, rule, "neither key", INSTANCE_CURE)
    if len(present) == 1:
        return make(kinds[0], None)
    parts, positions = [], []
    for kind in sorted(present):
        chosen = [k == kind for k in kinds]
        parts.append(make(kind, chosen))
        positions.append([*compress(range(len(kinds)), chosen)])
    groups = [group for part in parts for group in part.groups]
    first, second = (
        reduce(add, (part.accounts[side] for part in parts), UNREMARKABLE) for side in (0, 1)
    )
    return Request(groups, positions or None, (first, second))


def texts_of(body: bytes, *, is_json: bool) -> list[bytes]:
    """Return the texts of a body that are JSON: itself, or its lines."""
    return [body] if is_json else [line for line in body.split(b"\n") if line.strip()]


def malformed(where: str, err: Exception) -> RequestError:
    """Return the error of a text that is no JSON, or that nests too deep."""
    if isinstance(err, RecursionError):
        return RequestError(f"{where}: must not nest so deep. {INSTANCE_CURE}")
    return RequestError(f"{where}: must be well-formed JSON; {err}. Check how it is serialised.")


def check_once(where: str, found: JsonObject, names: Iterable[str]) -> None:
    """Reject a key given twice, of which a parser keeps the last one in silence."""
    keys = [key for key, _ in found]
    for name in names:
        if keys.count(name) > 1:
            must = f'must have the key "{name}" once'
            raise RequestError.at(where, must, "it twice", "Remove one of them.")
