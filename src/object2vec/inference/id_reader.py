"""Bodies of requests whose objects are lists of ids, as AWS has them: parsed, checked, by kind.

Requests are ``{"instances": [...]}`` or one instance per line; a bare list and a bare instance are
taken too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import compress
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from object2vec.config import Config
from object2vec.errors import RequestError, problem
from object2vec.files.json import JsonObject
from object2vec.inference.forms import WRITTEN, Form
from object2vec.inference.inputs import UNREMARKABLE, Account, UnknownIds, Vocabularies, intakes
from object2vec.inference.instances import (
    BODY_RULE,
    IN0,
    IN1,
    INSTANCE_CURE,
    PAIR,
    Group,
    Request,
    by_kind,
    check_once,
    malformed,
    texts_of,
)
from object2vec.inference.payload import JSON, JSON_LINES
from object2vec.objects.ragged import MAX_ID, Ragged
from object2vec.objects.schema import SIDES

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_INSTANCE_RULE = 'must be an object with a list of ids "in0", "in1" or both'


class IdReader:
    """Reads bodies for a model of ids, see `object2vec.inference.instances.Reader`.

    Parameters
    ----------
    config : Config
    vocabularies : pair of mappings of str to int, optional
        The id of each token of a side, where the model has them.
    """

    readable = WRITTEN
    quick_bytes = math.inf

    def __init__(self, config: Config, vocabularies: Vocabularies = (None, None)) -> None:
        self._intakes = intakes(config, vocabularies)
        self._decoders = _decoders([MAX_ID, MAX_ID], float)
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
        texts = texts_of(body, is_json=is_json)
        try:  # the parser sees to it that all ids are known
            documents, are_known = [*map(self._known_decoders[form.reads].decode, texts)], True
        except _UNREADABLE:  # an error, or ids beyond the length, which may be any
            documents, are_known = self._decode_all(texts, form.reads), False
        instances = _listed(documents[0]) if is_json else documents
        kinds = [(i.in0 is not UNSET) + 2 * (i.in1 is not UNSET) for i in instances]
        keys = len(kinds) + kinds.count(PAIR)
        is_bare = bool(instances) and instances is not documents and instances[0] is documents[0]
        is_wrapped = is_json and not is_bare and instances is not documents[0]
        if body.count(b":") != keys + is_wrapped:  # or else each key was read, and none twice
            _check_keys(body, texts, kinds, is_json=is_json)
        limits = form.max_seq_lens or (None, None)
        if not are_known:
            prefix = "" if is_bare else "instances[{}]."
            self._settle_numbers(instances, prefix)
            self._check_ids(instances, limits, prefix)
        return by_kind(
            kinds,
            _INSTANCE_RULE,
            lambda kind, chosen: self._group(instances, kind, chosen, limits),
        )

    def _decode_all(self, texts: list[bytes], reads: str) -> list[Any]:
        """Return what JSON texts hold, whatever the ids."""
        paths = [""] if reads == JSON else [f"[{i}]" for i in range(len(texts))]
        decoder = self._decoders[reads]
        return [self._decode(decoder, *each) for each in zip(texts, paths, strict=True)]

    def _decode(self, decoder: msgspec.json.Decoder[Any], text: bytes, at: str) -> Any:
        """Return the instance or document of a JSON text; `at` is its path in the request."""
        where = f"instances{at}" if at else "body"
        try:
            return decoder.decode(text)
        except msgspec.ValidationError as err:
            raise RequestError(self._explain(str(err), text, at)) from None
        except _UNREADABLE as err:
            raise malformed(where, err) from None

    def _group(
        self,
        instances: Sequence[Any],
        kind: int,
        chosen: Sequence[bool] | None,
        limits: Sequence[int | None],
    ) -> Request:
        """Return instances of one kind as they are encoded, and what was left out of each side."""
        if chosen is not None:
            instances = [*compress(instances, chosen)]
        in0, in1, first, second = None, None, UNREMARKABLE, UNREMARKABLE
        if kind & IN0:
            in0, omitted = self._intakes[0].accept_known([i.in0 for i in instances], limits[0])
            first = Account.of(omitted)
        if kind & IN1:
            in1, omitted = self._intakes[1].accept_known([i.in1 for i in instances], limits[1])
            second = Account.of(omitted)
        return Request([Group(in0, in1)], None, (first, second))

    def _settle_numbers(self, instances: Sequence[Any], prefix: str) -> None:
        """Make ids of numbers that are written like 1.0, as AWS does; reject others than integers.

        Pandas writes a column of ids so as soon as one of them is missing. Ids without a row become
        padding.
        """
        for row, instance in enumerate(instances):
            for side, name in enumerate(SIDES):
                ids = getattr(instance, name)
                if ids is UNSET:
                    continue
                for position, each in enumerate(ids):
                    if type(each) is int:
                        continue
                    if not float(each).is_integer():
                        where = f"{prefix.format(row)}{name}[{position}]"
                        raise RequestError(self._unknown_id(where, side, each))
                    ids[position] = int(each)
                setattr(instance, name, self._intakes[side].pad_rowless(ids))

    def _check_ids(
        self, instances: Sequence[Any], limits: Sequence[int | None], prefix: str
    ) -> None:
        """Reject ids that are read and not known; `prefix` names an instance by its position."""
        for side, name in enumerate(SIDES):
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
            return str(malformed(f"instances{at}" if at else "body", err))
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
            return problem(where, _INSTANCE_RULE, got, INSTANCE_CURE)
        if path:
            return problem(where, "must be a list of instances", got, 'Write [{"in0": [1]}].')
        return problem("body", BODY_RULE, got, INSTANCE_CURE)


def _decoders(
    largest: Sequence[int], *other_kinds: type[float]
) -> dict[str, msgspec.json.Decoder[Any]]:
    """Return parsers of a JSON body and of a line, for ids up to the largest of each side.

    An id is an integer, or a number of the `other_kinds`.
    """
    fields: list[tuple[str, Any, Any]] = []
    for side, most in zip(SIDES, largest, strict=True):
        number: Any = Annotated[int, Meta(ge=0, le=most)]
        for kind in other_kinds:
            number |= Annotated[kind, Meta(ge=0, le=most)]
        fields.append((side, list[number] | UnsetType, UNSET))
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
    raise RequestError.at("body", BODY_RULE, "an object without them", INSTANCE_CURE)


def _check_keys(body: bytes, texts: Sequence[bytes], kinds: list[int], *, is_json: bool) -> None:
    """Reject a key given twice, of which the parser keeps the last one in silence.

    As many keys in the bytes as values in the instances: then none was lost. Where that does not
    hold, or an escape may hide a key, all objects are looked at.
    """
    pairs = kinds.count(PAIR)
    if (
        b"\\" not in body
        and body.count(b'"in0"') == kinds.count(IN0) + pairs
        and body.count(b'"in1"') == kinds.count(IN1) + pairs
        and body.count(b'"instances"') <= 1
    ):
        return
    try:
        documents = [_loads(text) for text in texts]
    except RecursionError as err:
        raise malformed("body", err) from None
    if is_json:
        if isinstance(documents[0], JsonObject):
            check_once("body", documents[0], ("instances", *SIDES))
            keys = dict(documents[0])
            if "instances" in keys and keys.keys() & set(SIDES):
                raise RequestError.at("body", BODY_RULE, "instances and ids", INSTANCE_CURE)
            documents = keys.get("instances", [])
        else:
            documents = documents[0]
    for index, instance in enumerate(documents):
        check_once(f"instances[{index}]", instance, SIDES)


def _loads(text: bytes) -> Any:
    """Return a JSON text with objects as `JsonObject`, and integers as texts of any length."""
    whole = text.decode("utf-8", "replace")
    return json.loads(whole, object_pairs_hook=JsonObject, parse_int=str)


def _value_at(path: str, text: bytes) -> Any:
    """Return the value that a path of msgspec names."""
    value: Any = msgspec.json.decode(text)
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        value = value[name] if name else value[int(index)]
    return value
