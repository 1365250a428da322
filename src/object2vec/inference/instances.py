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
from itertools import compress
from operator import add
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson
from msgspec import UNSET, Meta, UnsetType
from numpy.typing import NDArray

from object2vec.config import Config
from object2vec.config.table import MAX_SEQ_LEN
from object2vec.errors import RequestError, problem
from object2vec.files.json import JsonObject
from object2vec.inference.inputs import NOTHING, Omissions, Rows, UnknownIds, intakes
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
    in0, in1 : list of list of int, length n, or None
        Both for pairs; one of them to be embedded. They stay lists until a batch is made of them,
        so that what arrays cost is paid once a batch and not once a request.
    """

    in0: Rows | None
    in1: Rows | None

    def __len__(self) -> int:
        rows = self.in1 if self.in0 is None else self.in0
        assert rows is not None, "our bug: a group has neither in0 nor in1"
        return len(rows)

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
        must, cure = f"must be {JSON} or {JSON_LINES} in UTF-8", "Convert the body."
        raise RequestError.at("Content-Type", must, content_type, cure, status=415)
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
        must = f"must be one or two integers in [1, {MAX_SEQ_LEN}]"
        cure = "Write infer_max_seqlens=<in0's>,<in1's>."
        raise RequestError.at("infer_max_seqlens", must, text, cure)
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
        must, cure = f"must allow {JSON} or {JSON_LINES}", "Accept one of them."
        raise RequestError.at("Accept", must, accept, cure, status=406)
    return max(wanted, key=lambda name: (wanted[name], name == default))


class Reader:
    """Reads request bodies for one model.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        self._intakes = intakes(config)
        self._decoders = _decoders([MAX_ID, MAX_ID])
        self._known_decoders = _decoders([intake.vocab_size - 1 for intake in self._intakes])

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
        is_json = form.reads == JSON
        texts = [body] if is_json else [line for line in body.split(b"\n") if line.strip()]
        documents, are_known = self._decode_all(texts, form.reads)
        instances = _listed(documents[0]) if is_json else documents
        kinds = [(i.in0 is not UNSET) + 2 * (i.in1 is not UNSET) for i in instances]
        keys = len(kinds) - kinds.count(_NEITHER) + kinds.count(_PAIR)
        is_bare = bool(instances) and instances is not documents and instances[0] is documents[0]
        is_wrapped = is_json and not is_bare and instances is not documents[0]
        if body.count(b":") != keys + is_wrapped:  # or else each key was read, and none twice
            _check_keys(body, texts, kinds, is_json=is_json)
        limits = form.max_seq_lens or (None, None)
        if not are_known:
            self._check_ids(instances, limits, "" if is_bare else "instances[{}].")
        return self._grouped(instances, kinds, limits)

    def _decode_all(self, texts: list[bytes], reads: str) -> tuple[list[Any], bool]:
        """Return what JSON texts hold, and whether the parser has seen that all ids are known."""
        try:
            return [*map(self._known_decoders[reads].decode, texts)], True
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # an error, or ids beyond the length, which may be any
        paths = [""] if reads == JSON else [f"[{i}]" for i in range(len(texts))]
        decoder = self._decoders[reads]
        return [self._decode(decoder, *each) for each in zip(texts, paths, strict=True)], False

    def _decode(self, decoder: msgspec.json.Decoder[Any], text: bytes, at: str) -> Any:
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
        self, instances: Sequence[Any], kinds: list[int], limits: Sequence[int | None]
    ) -> Request:
        """Return instances by kind, as they are encoded."""
        present = set(kinds)
        if _NEITHER in present:
            where = f"instances[{kinds.index(_NEITHER)}]"
            raise RequestError.at(where, _INSTANCE_RULE, "neither key", _INSTANCE_CURE)
        if len(present) == 1:
            group, omissions = self._group(instances, kinds[0], limits)
            return Request([group], None, omissions)
        groups, positions, omissions = [], [], (NOTHING, NOTHING)
        for kind in sorted(present):
            chosen = [k == kind for k in kinds]
            group, (omitted0, omitted1) = self._group([*compress(instances, chosen)], kind, limits)
            groups.append(group)
            positions.append([*compress(range(len(kinds)), chosen)])
            omissions = omissions[0] + omitted0, omissions[1] + omitted1
        return Request(groups, positions or None, omissions)

    def _group(
        self, instances: Sequence[Any], kind: int, limits: Sequence[int | None]
    ) -> tuple[Group, tuple[Omissions, Omissions]]:
        """Return instances of one kind as they are encoded, and what was left out of each side."""
        in0, in1, omitted0, omitted1 = None, None, NOTHING, NOTHING
        if kind & _IN0:
            in0, omitted0 = self._intakes[0].accept_known([i.in0 for i in instances], limits[0])
        if kind & _IN1:
            in1, omitted1 = self._intakes[1].accept_known([i.in1 for i in instances], limits[1])
        return Group(in0, in1), (omitted0, omitted1)

    def _check_ids(
        self, instances: Sequence[Any], limits: Sequence[int | None], prefix: str
    ) -> None:
        """Reject ids that are read and not known; `prefix` names an instance by its position."""
        for side, name in enumerate(("in0", "in1")):
            given = [getattr(instance, name) for instance in instances]
            rows = Ragged.of_lists([[] if ids is UNSET else ids for ids in given])
            try:
                self._intakes[side].accept(rows, str, limits[side])
            except UnknownIds as err:
                path = f"{prefix.format(err.row)}{name}[{err.position}]"
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


def _decoders(largest: Sequence[int]) -> dict[str, msgspec.json.Decoder[Any]]:
    """Return parsers of a JSON body and of a line, for ids up to the largest of each side."""
    fields: list[tuple[str, Any, Any]] = [
        (f"in{side}", list[Annotated[int, Meta(ge=0, le=most)]] | UnsetType, UNSET)
        for side, most in enumerate(largest)
    ]
    instance: Any = msgspec.defstruct("Instance", fields, gc=False)
    many = ("instances", list[instance] | UnsetType, UNSET)
    whole: Any = msgspec.defstruct("Whole", [many, *fields])
    as_json = msgspec.json.Decoder(whole | list[instance])
    return {JSON: as_json, JSON_LINES: msgspec.json.Decoder(instance)}


def _listed(document: Any) -> list[Any]:
    """Return the instances of a JSON body."""
    if isinstance(document, list):
        return document
    if document.instances is not UNSET:
        listed: list[Any] = document.instances
        return listed
    if document.in0 is not UNSET or document.in1 is not UNSET:
        return [document]
    raise RequestError.at("body", _BODY_RULE, "an object without them", _INSTANCE_CURE)


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
        if isinstance(documents[0], JsonObject):
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
    """Return a JSON text with objects as `JsonObject` and numbers as they are written."""
    whole = text.decode("utf-8", "replace")
    return json.loads(whole, object_pairs_hook=JsonObject, parse_int=str, parse_float=str)


def _check_once(where: str, found: JsonObject, names: Sequence[str]) -> None:
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
