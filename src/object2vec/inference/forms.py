"""How requests and responses are written: what their headers ask for, without HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from object2vec.config.table import MAX_SEQ_LEN
from object2vec.errors import RequestError
from object2vec.inference.payload import JSON, JSON_LINES

_UNMARKED = {"", "*/*", "application/octet-stream"}  # what clients send who name no type
WRITTEN = (JSON, JSON_LINES)


@dataclass(frozen=True)
class Form:
    """How a request is written and its response shall be.

    Parameters
    ----------
    reads : {"application/json", "application/jsonlines", "text/csv"}
    writes : {"application/json", "application/jsonlines"}
    max_seq_lens : pair of int or None
        Tokens of in0 and in1 to read; None for the numbers of training.
    header : {"present", "absent"} or None
        What a CSV says of its first line (RFC 4180); None if it says nothing.
    is_verbose : bool
        Whether the response shall have embeddings beside scores: IP Insights' ``verbose=True``.
    """

    reads: str
    writes: str
    max_seq_lens: tuple[int, int] | None = None
    header: str | None = None
    is_verbose: bool = False


@lru_cache(maxsize=256)
def negotiate(
    content_type: str,
    accept: str,
    default_accept: str | None = None,
    readable: tuple[str, ...] = WRITTEN,
) -> Form:
    """Return the form that the headers of a request ask for.

    Parameters
    ----------
    content_type, accept : str
        The headers; "" for one that is missing.
    default_accept : str, optional
        Form of the response if `accept` leaves it open; that of the request by default, and JSON
        for one that responses do not have.
    readable : tuple of str
        Media types that the model's `Reader` reads.

    Raises
    ------
    RequestError
        415 for a content type that is not read, 406 if neither JSON nor JSON Lines is accepted, 400
        for a wrong ``infer_max_seqlens``.
    """
    media, parameters = _media(content_type)
    reads = JSON if media in _UNMARKED else media
    charset = parameters.get("charset", "utf-8").lower()
    if reads not in readable or charset not in ("utf-8", "utf8", "us-ascii"):
        *others, last = readable
        must, cure = f"must be {', '.join(others)} or {last} in UTF-8", "Convert the body."
        raise RequestError.at("Content-Type", must, content_type, cure, status=415)
    lens = parameters.get("infer_max_seqlens")
    return Form(
        reads,
        _accepted(accept, default_accept or (reads if reads in WRITTEN else JSON)),
        None if lens is None else _max_seq_lens(lens),
        _header(parameters.get("header")),
        _is_verbose(accept),
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


def _header(text: str | None) -> str | None:
    if text is not None and text.lower() not in ("present", "absent"):
        cure = "Write header=present or header=absent, or leave it out."
        raise RequestError.at("header", "must be present or absent", text, cure)
    return text and text.lower()


def _is_verbose(accept: str) -> bool:
    return any(_media(part)[1].get("verbose", "").lower() == "true" for part in accept.split(","))


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
            if name in WRITTEN and quality > 0:
                wanted[name] = max(quality, wanted.get(name, 0.0))
    if not wanted:
        must, cure = f"must allow {JSON} or {JSON_LINES}", "Accept one of them."
        raise RequestError.at("Accept", must, accept, cure, status=406)
    return max(wanted, key=lambda name: (wanted[name], name == default))
