"""Bytes of a request to instances, and predictions to bytes: SageMaker's two forms, no HTTP.

Requests are ``{"instances": [...]}`` or one instance per line; a bare list and a bare instance are
taken too. An instance with ``in0`` and ``in1`` asks for scores, one with either for its embedding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain, compress
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.config.table import MAX_SEQ_LEN
from object2vec.errors import RequestError, problem
from object2vec.inference.inputs import NOTHING, Omissions, UnknownIds, intakes
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.objects.ragged import MAX_ID, Ragged

Floats = NDArray[np.float32]


_UNMARKED = {"", "*/*", "application/octet-stream"}  # what clients send who name no type
_NEITHER, _IN0, _IN1, _PAIR = range(4)  # kind of an instance: the sum of its keys' values
_BODY_RULE = 'must be {"instances": [...]}, a list of instances or one instance'
_INSTANCE_RULE = 'must be an object with a list of ids "in0", "in1" or both'
_INSTANCE_CURE = "Give both for scores, one for its embedding."
_PART_NUMBERS = 1 << 16  # numbers that are rendered at once, a few milliseconds
_NUMPY = orjson.OPT_SERIALIZE_NUMPY
_LINE = _NUMPY | orjson.OPT_APPEND_NEWLINE
_dumps = orjson.dumps


@dataclass(frozen=True)
class Form:
    """How a request is written and its response shall be.

    Parameters
    ----------
    reads, writes : {"application/json", "application/jsonlines"}
    max_seq_lens : pair of int or None
        Tokens of in0 and in1 to read; None for the numbers of training.
    """

    reads: str
    writes: str
    max_seq_lens: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Instances of one kind, their sequences as they are encoded.

    Parameters
    ----------
    in0, in1 : Ragged of length n, or None
        Both for pairs; one of them to be embedded.
    """

    in0: Ragged | None
    in1: Ragged | None

    def __len__(self) -> int:
        column = self.in1 if self.in0 is None else self.in0
        assert column is not None, "our bug: a group has neither in0 nor in1"
        return len(column)

    def sides(self) -> list[tuple[int, Ragged]]:
        """Return the sides that are there, one or both, with their sequences."""
        columns = enumerate((self.in0, self.in1))
        return [(side, column) for side, column in columns if column is not None]

    @property
    def key(self) -> str:
        """What its predictions are called: ``scores`` or ``embeddings``."""
        return "embeddings" if self.in0 is None or self.in1 is None else "scores"

    @property
    def tokens(self) -> int:
        """Ids of all instances, both sides together."""
        return sum(len(column.values) for _, column in self.sides())

    def lengths(self) -> list[int]:
        """Return the number of ids of each instance, both sides together."""
        first, *others = (column.lengths for _, column in self.sides())
        lengths: list[int] = sum(others, first).tolist()
        return lengths

    def slice(self, start: int, stop: int) -> Group:
        """Return the instances from `start` to before `stop`."""
        in0 = None if self.in0 is None else self.in0.slice(start, stop)
        return Group(in0, None if self.in1 is None else self.in1.slice(start, stop))


@dataclass(frozen=True, slots=True)
class Request:
    """The instances of a request by kind.

    Parameters
    ----------
    groups : list of Group
        None of them empty.
    positions : list of list of int, or None
        Which instances of the request each group holds; None for a single group in order.
    omissions : pair of Omissions
        What was left out of in0 and of in1.
    """

    groups: list[Group]
    positions: list[list[int]] | None = None
    omissions: tuple[Omissions, Omissions] = (NOTHING, NOTHING)

    def __len__(self) -> int:
        return sum(map(len, self.groups))


@lru_cache(maxsize=256)
def negotiate(content_type: str, accept: str, default_accept: str | None = None) -> Form:
    """Return the form that the headers of a request ask for.

    Parameters
    ----------
    content_type, accept : str
        The headers; "" for one that is missing.
    default_accept : str, optional
        Form of the response if `accept` leaves it open; that of the request by default.

    Raises
    ------
    RequestError
        415 for a content type other than JSON or JSON Lines, 406 if neither is accepted, 400 for a
        wrong ``infer_max_seqlens``.
    """
    media, parameters = _media(content_type)
    reads = JSON if media in _UNMARKED else media
    charset = parameters.get("charset", "utf-8").lower()
    if reads not in (JSON, JSON_LINES) or charset not in ("utf-8", "utf8", "us-ascii"):
        raise RequestError.at(
            "Content-Type",
            f"must be {JSON} or {JSON_LINES} in UTF-8",
            content_type,
            "Convert the body.",
            status=415,
        )
    lens = parameters.get("infer_max_seqlens")
    return Form(
        reads,
        _accepted(accept, default_accept or reads),
        None if lens is None else _max_seq_lens(lens),
    )


def _media(header: str) -> tuple[str, dict[str, str]]:
    """Return media type and parameters of a header, names in lower case."""
    media, *rest = header.split(";")
    pairs = (part.partition("=") for part in rest)
    return media.strip().lower(), {
        name.strip().lower(): value.strip().strip('"') for name, _, value in pairs
    }


def _max_seq_lens(text: str) -> tuple[int, int]:
    """Parse ``<len0>,<len1>``; one number is both."""
    parts = [part.strip() for part in text.split(",")]
    numbers = [int(part) for part in parts if part.isascii() and part.isdigit() and len(part) < 5]
    if (
        len(numbers) != len(parts)
        or len(parts) > 2
        or not all(1 <= number <= MAX_SEQ_LEN for number in numbers)
    ):
        raise RequestError.at(
            "infer_max_seqlens",
            f"must be one or two integers in [1, {MAX_SEQ_LEN}]",
            text,
            "Write infer_max_seqlens=<in0's>,<in1's>.",
        )
    return numbers[0], numbers[-1]


def _accepted(accept: str, default: str) -> str:
    """Return the form of the response: the most wanted one, `default` where the client is open."""
    if not accept.strip():
        return default
    wanted: dict[str, float] = {}
    for part in accept.split(","):
        media, parameters = _media(part)
        try:
            quality = float(parameters.get("q", 1))
        except ValueError:
            quality = 0.0
        names = (default,) if media in ("*/*", "application/*", "application/octet-stream") else ()
        for name in names or (media,):
            if name in (JSON, JSON_LINES) and quality > 0:
                wanted[name] = max(quality, wanted.get(name, 0.0))
    if not wanted:
        raise RequestError.at(
            "Accept",
            f"must allow {JSON} or {JSON_LINES}",
            accept,
            "Accept one of them.",
            status=406,
        )
    return max(wanted, key=lambda name: (wanted[name], name == default))


class Reader:
    """Reads request bodies for one model.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        ids = list[Annotated[int, Meta(ge=0, le=MAX_ID)]] | UnsetType
        fields: list[tuple[str, Any, Any]] = [("in0", ids, UNSET), ("in1", ids, UNSET)]
        instance: Any = msgspec.defstruct("Instance", fields, gc=False)
        many = ("instances", list[instance] | UnsetType, UNSET)
        whole: Any = msgspec.defstruct("Whole", [many, *fields])
        self._json = msgspec.json.Decoder(whole | list[instance])
        self._line = msgspec.json.Decoder(instance)
        self._intakes = intakes(config)

    def read(self, body: bytes, form: Form) -> Request | None:
        """Return the instances of a body; None for an empty one.

        Parameters
        ----------
        body : bytes
        form : Form
            Made by `negotiate`.

        Raises
        ------
        RequestError
            400 with the position in the body and the rule that is broken there.
        """
        if not body or body.isspace():
            return None
        prefix = "instances[{}]."
        if form.reads == JSON_LINES:
            texts = [line for line in body.split(b"\n") if line.strip()]
            instances = [self._decode(self._line, text, f"[{i}]") for i, text in enumerate(texts)]
        else:
            texts, document = [body], self._decode(self._json, body)
            instances = _listed(document)
            if instances and instances[0] is document:
                prefix = ""
        kinds = [(i.in0 is not UNSET) + 2 * (i.in1 is not UNSET) for i in instances]
        _check_keys(body, texts, kinds, is_json=form.reads == JSON)
        return self._grouped(instances, kinds, form.max_seq_lens or (None, None), prefix)

    def _decode(self, decoder: msgspec.json.Decoder[Any], text: bytes, at: str = "") -> Any:
        """Return the instance or document of a JSON text; `at` is its path in the request."""
        where = f"instances{at}" if at else "body"
        try:
            return decoder.decode(text)
        except msgspec.ValidationError as err:
            raise RequestError(self._explain(str(err), text, at)) from None
        except RecursionError:
            raise RequestError(f"{where}: must not nest so deep. {_INSTANCE_CURE}") from None
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            raise RequestError(_malformed(where, err)) from None

    def _grouped(
        self, instances: Sequence[Any], kinds: list[int], limits: Sequence[int | None], prefix: str
    ) -> Request:
        """Return instances by kind, as they are encoded; `prefix` names one by its position."""
        present = set(kinds)
        if _NEITHER in present:
            where = f"instances[{kinds.index(_NEITHER)}]"
            raise RequestError.at(where, _INSTANCE_RULE, "neither key", _INSTANCE_CURE)
        groups, positions, omissions = [], [], [NOTHING, NOTHING]
        for kind in sorted(present):
            chosen = [k == kind for k in kinds]
            indices = [*compress(range(len(kinds)), chosen)]
            columns: list[Ragged | None] = [None, None]
            for side in (0, 1):
                if kind & (1 << side):
                    rows = [getattr(i, f"in{side}") for i in compress(instances, chosen)]
                    column, omitted = self._accept(side, rows, limits[side], prefix, indices)
                    columns[side] = column
                    if omitted:
                        omissions[side] += omitted
            groups.append(Group(*columns))
            positions.append(indices)
        both = omissions[0], omissions[1]
        return Request(groups, positions if len(groups) > 1 else None, both)

    def _accept(
        self, side: int, rows: list[list[int]], limit: int | None, prefix: str, indices: list[int]
    ) -> tuple[Ragged, Omissions]:
        """Return one side of some instances as it is encoded, and what was left out."""
        ends = accumulate(map(len, rows), initial=0)
        offsets = np.fromiter(ends, np.int64, len(rows) + 1)  # (n + 1,)
        values = np.fromiter(chain.from_iterable(rows), np.int32, int(offsets[-1]))  # (n_tokens,)
        try:
            return self._intakes[side].accept(Ragged(values, offsets), str, limit)
        except UnknownIds as err:
            path = f"{prefix.format(indices[err.row])}in{side}[{err.position}]"
            raise RequestError(self._unknown_id(path, side, err.token)) from None

    def _unknown_id(self, where: str, side: int, got: object) -> str:
        must = f"must be an integer in [0, {self._intakes[side].vocab_size})"
        return problem(where, must, got, "Use the ids of training.")

    def _explain(self, words: str, text: bytes, at: str) -> str:
        """Return our message for one of msgspec, which reads "<rule> - at `$<path>`"."""
        _, _, found = words.rpartition(" - at `$")
        found = found.rstrip("`") if "`$" in words else ""
        try:
            got = _value_at(found, text)
        except ValueError as err:
            return _malformed(f"instances{at}" if at else "body", err)
        except RecursionError:
            got = "deep nesting"
        except (LookupError, TypeError):
            got = "a key given twice"
        path = at + found
        where = path.removeprefix(".") if path.startswith(".") else f"instances{path}"
        tail = re.search(r"in([01])(\[\d+\])?$", path)
        if tail and tail[2]:
            return self._unknown_id(where, int(tail[1]), got)
        if tail:
            return problem(where, "must be a list of ids", got, "Write [1, 2, 3].")
        if path and not path.endswith("instances"):
            return problem(where, _INSTANCE_RULE, got, _INSTANCE_CURE)
        if path:
            return problem(where, "must be a list of instances", got, 'Write [{"in0": [1]}].')
        return problem("body", _BODY_RULE, got, _INSTANCE_CURE)


def _listed(document: Any) -> list[Any]:
    """Return the instances of a JSON body."""
    if isinstance(document, list):
        return document
    if document.instances is not UNSET:
        return list(document.instances)
    if document.in0 is not UNSET or document.in1 is not UNSET:
        return [document]
    raise RequestError.at("body", _BODY_RULE, "an object without them", _INSTANCE_CURE)


class _Object(list[tuple[str, Any]]):
    """A JSON object as it is written: keys in order, also those given twice."""


def _check_keys(body: bytes, texts: Sequence[bytes], kinds: list[int], *, is_json: bool) -> None:
    """Reject a key given twice, of which the parser keeps the last one in silence.

    As many keys in the bytes as values in the instances: then none was lost. Where that does not
    hold, or an escape may hide a key, all objects are looked at.
    """
    pairs = kinds.count(_PAIR)
    if (
        b"\\" not in body
        and body.count(b'"in0"') == kinds.count(_IN0) + pairs
        and body.count(b'"in1"') == kinds.count(_IN1) + pairs
        and body.count(b'"instances"') <= 1
    ):
        return
    try:
        documents = [_loads(text) for text in texts]
    except RecursionError:
        raise RequestError("body: must not nest so deep. " + _INSTANCE_CURE) from None
    if is_json:
        if isinstance(documents[0], _Object):
            _check_once("body", documents[0], ("instances", "in0", "in1"))
            keys = dict(documents[0])
            if "instances" in keys and keys.keys() & {"in0", "in1"}:
                raise RequestError.at("body", _BODY_RULE, "instances and ids", _INSTANCE_CURE)
            documents = keys.get("instances", [])
        else:
            documents = documents[0]
    for index, instance in enumerate(documents):
        _check_once(f"instances[{index}]", instance, ("in0", "in1"))


def _loads(text: bytes) -> Any:
    """Return a JSON text with objects as `_Object` and numbers as they are written."""
    return json.loads(
        text.decode("utf-8", "replace"), object_pairs_hook=_Object, parse_int=str, parse_float=str
    )


def _check_once(where: str, found: _Object, names: Sequence[str]) -> None:
    keys = [key for key, _ in found]
    for name in names:
        if keys.count(name) > 1:
            must = f'must have the key "{name}" once'
            raise RequestError.at(where, must, "it twice", "Remove one of them.")


def _value_at(path: str, text: bytes) -> Any:
    """Return the value that a path of msgspec names."""
    value: Any = msgspec.json.decode(text)
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value


def _malformed(where: str, err: Exception) -> str:
    return f"{where}: must be well-formed JSON; {err}. Check how it is serialised."


def render(request: Request, predictions: Sequence[Floats], writes: str) -> Iterator[bytes]:
    """Yield the response to a request as JSON or JSON Lines, a large one in parts.

    Parameters
    ----------
    request : Request
    predictions : sequence of float32 array (n, D) or (n, K)
        One array for each group of the request, a row for each instance; finite numbers.
    writes : {"application/json", "application/jsonlines"}

    Notes
    -----
    Every number is the shortest one that reads back as the same float32.
    """
    ordered = _in_order(request, predictions)
    width = max((rows.shape[1] for rows in predictions), default=1)
    size = max(1, _PART_NUMBERS // width)
    if writes == JSON_LINES:
        for start in range(0, len(ordered), size):
            yield b"".join(_dumps(p, option=_LINE) for p in ordered[start : start + size])
        return
    if len(ordered) <= size:
        yield _dumps({"predictions": ordered}, option=_NUMPY)
        return
    lead = b'{"predictions":['
    for start in range(0, len(ordered), size):
        yield lead + _dumps(ordered[start : start + size], option=_NUMPY)[1:-1]
        lead = b","
    yield b"]}"


def _in_order(request: Request, predictions: Sequence[Floats]) -> list[dict[str, Floats]]:
    """Return the prediction for each instance, in the order of the request."""
    if request.positions is None:
        return [
            {group.key: row}
            for group, rows in zip(request.groups, predictions, strict=True)
            for row in rows
        ]
    ordered: list[dict[str, Floats]] = [{}] * len(request)
    for group, positions, rows in zip(request.groups, request.positions, predictions, strict=True):
        for position, row in zip(positions, rows, strict=True):
            ordered[position] = {group.key: row}
    return ordered
