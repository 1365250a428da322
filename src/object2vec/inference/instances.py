"""Bytes of a request to instances, and answers to bytes: SageMaker's two forms, no HTTP.

Requests are ``{"instances": [...]}`` or one instance per line; a bare list and a bare instance are
taken too. An instance with ``in0`` and ``in1`` asks for scores, one with either for its embedding.
Ids are checked against the vocabulary while they are parsed, by the parser itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.errors import RequestError, problem

Floats = NDArray[np.float32]
JSON, JSON_LINES = "application/json", "application/jsonlines"
Rows = list[list[int]]

MAX_SEQ_LEN = 5000  # AWS's range of infer_max_seqlens

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
    """How a request is written and its answer shall be.

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
    """Instances of one kind.

    Parameters
    ----------
    in0, in1 : list of list of int, or None
        Both of one length for pairs; one of them to be embedded.
    """

    in0: Rows | None
    in1: Rows | None

    def __len__(self) -> int:
        rows = self.in0 if self.in0 is not None else self.in1
        assert rows is not None
        return len(rows)

    @property
    def key(self) -> str:
        """What its answers are called: ``scores`` or ``embeddings``."""
        return "embeddings" if self.in0 is None or self.in1 is None else "scores"

    def lengths(self) -> list[int]:
        """Return the number of ids of each instance, both sides together."""
        if self.in0 is None or self.in1 is None:
            return [*map(len, self.in0 or self.in1 or ())]
        return [len(a) + len(b) for a, b in zip(self.in0, self.in1, strict=True)]

    def slice(self, start: int, stop: int) -> Group:
        """Return the instances from `start` to before `stop`."""
        in0 = None if self.in0 is None else self.in0[start:stop]
        return Group(in0, None if self.in1 is None else self.in1[start:stop])


@dataclass(frozen=True, slots=True)
class Request:
    """The instances of a request by kind.

    Parameters
    ----------
    groups : list of Group
        None of them empty.
    places : list of list of int, or None
        Where each group's instances stand in the request; None for a single group in order.
    """

    groups: list[Group]
    places: list[list[int]] | None = None

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
        Form of the answer if `accept` leaves it open; that of the request by default.

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
    """Return the form of the answer: the most wanted one, `default` where the client is open."""
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
        sides = [encoder.vocab_size for encoder in config.encoders]
        fields: list[tuple[str, Any, Any]] = [
            (f"in{side}", list[Annotated[int, Meta(ge=0, lt=size)]] | UnsetType, UNSET)
            for side, size in enumerate(sides)
        ]
        instance: Any = msgspec.defstruct("Instance", fields, gc=False)
        many = ("instances", list[instance] | UnsetType, UNSET)
        whole: Any = msgspec.defstruct("Whole", [many, *fields])
        self._json = msgspec.json.Decoder(whole | list[instance])
        self._lines = msgspec.json.Decoder(instance)
        self._vocab_sizes = sides
        self._max_seq_lens = tuple(encoder.max_seq_len for encoder in config.encoders)

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
            400 with the place in the body and the rule that is broken there.
        """
        if not body or body.isspace():
            return None
        try:
            if form.reads == JSON_LINES:
                instances = self._lines.decode_lines(body)
            else:
                instances = _listed(self._json.decode(body))
        except msgspec.ValidationError as err:
            raise RequestError(self._explain(str(err), body, form)) from None
        except RecursionError:
            raise RequestError("body: must not nest so deep. " + _INSTANCE_CURE) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as err:
            raise RequestError(_malformed(err)) from None
        return self._grouped(instances, form.max_seq_lens or self._max_seq_lens)

    def _grouped(self, instances: Sequence[Any], limits: Sequence[int]) -> Request:
        """Return instances by kind, cut to what the encoders read."""
        kinds = [(i.in0 is not UNSET) + 2 * (i.in1 is not UNSET) for i in instances]
        present = set(kinds)
        if _NEITHER in present:
            where = f"instances[{kinds.index(_NEITHER)}]"
            raise RequestError.at(where, _INSTANCE_RULE, "neither key", _INSTANCE_CURE)
        if len(present) == 1:
            return Request([_group(instances, kinds[0], limits)])
        groups, places = [], []
        for kind in sorted(present):
            chosen = [k == kind for k in kinds]
            groups.append(_group(list(compress(instances, chosen)), kind, limits))
            places.append(list(compress(range(len(kinds)), chosen)))
        return Request(groups, places or None)

    def _explain(self, words: str, body: bytes, form: Form) -> str:
        """Return our message for one of msgspec, which reads "<rule> - at `$<path>`"."""
        _, _, path = words.rpartition(" - at `$")
        path = path.rstrip("`") if "`$" in words else ""
        try:
            got = _value_at(path, body, form)
        except ValueError as err:
            return _malformed(err)
        except RecursionError:
            got = "deep nesting"
        except (LookupError, TypeError):
            got = "a key given twice"
        where = path.removeprefix(".") if path.startswith(".") else f"instances{path}"
        tail = re.search(r"in([01])(\[\d+\])?$", path)
        if tail and tail[2]:
            limit = self._vocab_sizes[int(tail[1])]
            return problem(
                where, f"must be an integer in [0, {limit})", got, "Use the ids of training."
            )
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


def _group(instances: Sequence[Any], kind: int, limits: Sequence[int]) -> Group:
    """Return instances of one kind with their sequences cut to `limits`."""
    in0, in1 = None, None
    if kind & _IN0:
        in0 = [
            ids if len(ids) <= limits[0] else ids[: limits[0]]
            for ids in [instance.in0 for instance in instances]
        ]
    if kind & _IN1:
        in1 = [
            ids if len(ids) <= limits[1] else ids[: limits[1]]
            for ids in [instance.in1 for instance in instances]
        ]
    return Group(in0, in1)


def _value_at(path: str, body: bytes, form: Form) -> Any:
    """Return the value that a path of msgspec names."""
    decoder = msgspec.json.Decoder()
    lines = form.reads == JSON_LINES
    value: Any = decoder.decode_lines(body) if lines else decoder.decode(body)
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value


def _malformed(err: Exception) -> str:
    return f"body: must be well-formed JSON; {err}. Check how it is serialised."


def render(request: Request, answers: Sequence[Floats], writes: str) -> Iterator[bytes]:
    """Yield the answer to a request as JSON or JSON Lines, a large one in parts.

    Parameters
    ----------
    request : Request
    answers : sequence of float32 array (n, D) or (n, K)
        One array for each group of the request, a row for each instance; finite numbers.
    writes : {"application/json", "application/jsonlines"}

    Notes
    -----
    Every number is the shortest one that reads back as the same float32.
    """
    predictions = _in_order(request, answers)
    width = max((rows.shape[1] for rows in answers), default=1)
    size = max(1, _PART_NUMBERS // width)
    if writes == JSON_LINES:
        for start in range(0, len(predictions), size):
            lines = (_dumps(p, option=_LINE) for p in predictions[start : start + size])
            yield b"".join(lines)
        return
    if len(predictions) <= size:
        yield _dumps({"predictions": predictions}, option=_NUMPY)
        return
    lead = b'{"predictions":['
    for start in range(0, len(predictions), size):
        yield lead + _dumps(predictions[start : start + size], option=_NUMPY)[1:-1]
        lead = b","
    yield b"]}"


def _in_order(request: Request, answers: Sequence[Floats]) -> list[dict[str, Floats]]:
    """Return what is said of each instance, in the order of the request."""
    if request.places is None:
        return [
            {group.key: row}
            for group, rows in zip(request.groups, answers, strict=True)
            for row in rows
        ]
    predictions: list[dict[str, Floats]] = [{}] * len(request)
    for group, places, rows in zip(request.groups, request.places, answers, strict=True):
        for place, row in zip(places, rows, strict=True):
            predictions[place] = {group.key: row}
    return predictions
