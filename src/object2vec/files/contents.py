"""What a source holds, known by its first bytes: unpacked, as UTF-8, in blocks of whole lines."""

from __future__ import annotations

import codecs
import contextlib
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from object2vec.errors import DataError
from object2vec.files.sources import Source, unreadable

try:
    from lzma import LZMAError
except ImportError:  # a Python without it
    LZMAError = OSError  # type: ignore[misc, assignment]

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK_BYTES = 4 << 20  # measured: larger blocks parse slower on two cores, smaller ones too
UTF8_MARK = b"\xef\xbb\xbf"
HEAD_BYTES = 512  # that tell what a stream is; a tar archive says so behind the name of a file

_PIECE_BYTES = 256 << 10
_DAMAGED = (OSError, EOFError, ValueError, ImportError, zlib.error, LZMAError)

# How the kinds of files begin, in an order in which no one hides another.
_PACKED: dict[str, re.Pattern[bytes]] = {
    "gzip": re.compile(rb"\x1f\x8b"),  # RFC 1952
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),  # RFC 8878, 3.1.1 and 3.1.2
    "bz2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
}
_ENCODINGS: dict[str, re.Pattern[bytes]] = {
    "utf-32": re.compile(rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff"),
    "utf-16": re.compile(rb"\xff\xfe|\xfe\xff"),
    "utf-32-le": re.compile(rb"[{\[]\x00\x00\x00"),
    "utf-32-be": re.compile(rb"\x00\x00\x00[{\[]"),
    "utf-16-le": re.compile(rb"[{\[]\x00"),
    "utf-16-be": re.compile(rb"\x00[{\[]"),
}
_FOREIGN: dict[str, re.Pattern[bytes]] = {
    "a zip archive": re.compile(rb"PK(\x03\x04|\x05\x06)"),
    "a 7z archive": re.compile(rb"7z\xbc\xaf"),
    "a rar archive": re.compile(rb"Rar!\x1a"),
    "a tar archive": re.compile(rb"(?s:.{257})ustar"),
    "an lz4 archive": re.compile(rb"\x04\x22\x4d\x18"),
    "an archive of compress": re.compile(rb"\x1f\x9d"),
    "a Parquet file": re.compile(rb"PAR1\x15"),
    "an Arrow file": re.compile(rb"ARROW1\x00|\xff\xff\xff\xff"),
    "an Avro file": re.compile(rb"Obj\x01"),
    "a RecordIO file": re.compile(rb"\x0a\x23\xd7\xce"),
    "a numpy array": re.compile(rb"\x93NUMPY"),
    "an HDF5 file": re.compile(rb"\x89HDF"),
    "an SQLite database": re.compile(rb"SQLite format 3\x00"),
    "a pickle": re.compile(rb"\x80[\x02-\x05][\x95}\]c(]"),
    "an Office document": re.compile(rb"\xd0\xcf\x11\xe0"),
    "a PDF": re.compile(rb"%PDF-\d"),
}


@dataclass(frozen=True)
class Block:
    """Whole lines of a source, and the number of the first one, counted from 1."""

    data: bytes
    first_line: int


def read_blocks(source: Source, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the content of `source`, decompressed, in blocks of whole lines.

    Parameters
    ----------
    source : Source
    block_bytes : int, default 4 MiB
        Size of a block; only a line that is longer makes a larger one.

    Raises
    ------
    DataError
        If the source cannot be read, is a damaged or truncated archive, or no text.

    Notes
    -----
    What a file is, its first bytes say, whatever its name does: gzip, zstd, bzip2 and xz are
    unpacked, all their members, and UTF-16 and UTF-32 become UTF-8. A byte order mark is skipped,
    and the last line need not end.
    """
    import numpy as np

    line = 1
    parts: list[bytes] = []  # of a line that has not ended yet
    for chunk in read_text(source, block_bytes):
        end = chunk.rfind(b"\n") + 1
        if end:
            data = b"".join([*parts, memoryview(chunk)[:end]])
            yield Block(data, line)
            # NumPy counts what is frequent several times as fast as bytes do.
            line += int(np.count_nonzero(np.frombuffer(data, np.uint8) == ord("\n")))
            parts = []
        parts.append(chunk[end:])
    if any(parts):
        yield Block(b"".join(parts), line)


def line_bounds(data: bytes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the lines of a text begin and end, without carriage returns at their ends.

    Parameters
    ----------
    data : bytes
        At least one.

    Returns
    -------
    starts, ends : int64 array (lines,)
    """
    import numpy as np

    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))  # (lines,)
    if raw[-1] != ord("\n"):
        ends = np.append(ends, len(raw))
    starts = np.concatenate([[0], ends[:-1] + 1])
    return starts, ends - ((ends > starts) & (raw[ends - 1] == ord("\r")))


def read_text(
    source: Source, size: int = BLOCK_BYTES, encoding: str | None = None
) -> Iterator[bytes]:
    """Yield about `size` bytes of plain UTF-8 text at a time, without the byte order mark.

    Parameters
    ----------
    source : Source
    size : int, default 4 MiB
    encoding : str, optional
        Of a text that does not begin with a byte order mark; UTF-8 by default.

    Raises
    ------
    DataError
        As `read_blocks`, or if the text is not in this encoding.
    """
    with _reading(source):
        with source.open() as raw:
            stream, head = _unpack(raw)
            yield from _texts(source.name, stream, head, size, encoding)


def read_unpacked(source: Source, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Yield the bytes of a source, decompressed, whatever they are.

    Raises
    ------
    DataError
        If the source cannot be read or is a damaged archive.
    """
    with _reading(source):
        with source.open() as raw:
            stream, head = _unpack(raw)
            yield head
            yield from iter(partial(stream.read, size), b"")


def is_packed(head: bytes) -> bool:
    """Return whether a file that begins so is compressed."""
    return _kind_of(head, _PACKED) is not None


@contextlib.contextmanager
def _reading(source: Source) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except _DAMAGED as err:
        raise unreadable(source.name, err) from err


def _unpack(raw: BinaryIO) -> tuple[BinaryIO, bytes]:
    """Return the rest and the beginning of what a stream holds, whatever it is packed with."""
    stream = (
        raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw))
    )
    head = stream.read(HEAD_BYTES)
    if codec := _kind_of(head, _PACKED):
        pieces = chain([head], iter(partial(stream.read, BLOCK_BYTES), b""))
        return _unpack(_unpacked(as_stream(pieces), codec))
    return stream, head


def _texts(
    name: str, stream: BinaryIO, head: bytes, size: int, encoding: str | None
) -> Iterator[bytes]:
    """Yield the text that begins with `head` and goes on in `stream`."""
    pieces = chain([head], iter(partial(stream.read, size), b""))
    if foreign := _kind_of(head, _FOREIGN):
        must = "must be text, plain or packed with gzip, zstd, bzip2 or xz"
        raise DataError.at(name, must, foreign, "Unpack or convert it.")
    elif shown := _kind_of(head, _ENCODINGS) or encoding:
        yield from _recoded(name, pieces, shown, is_given=shown == encoding)
    else:
        first = head + stream.read(max(0, size - len(head)))
        first = first.removeprefix(UTF8_MARK)
        yield from (first[at : at + size] for at in range(0, len(first), size))
        yield from iter(partial(stream.read, size), b"")


def _kind_of(head: bytes, kinds: Mapping[str, re.Pattern[bytes]]) -> str | None:
    """Return the kind of file that begins so."""
    return next((kind for kind, pattern in kinds.items() if pattern.match(head)), None)


def _recoded(
    name: str, pieces: Iterable[bytes], encoding: str, *, is_given: bool
) -> Iterator[bytes]:
    """Yield a text of another encoding in UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0
    try:
        for piece in chain(pieces, [b""]):
            pending = len(decoder.getstate()[0])
            yield decoder.decode(piece, final=not piece).encode()
            offset += len(piece)
    except UnicodeError as err:
        must, cure = f"must be {encoding.upper()} text, as it begins", "Convert it to UTF-8."
        if is_given:
            must, cure = f"must be {encoding.upper()} text", "Name its encoding, or convert it."
        got = str(err)
        if isinstance(err, UnicodeDecodeError):
            got = f"{err.reason} at byte {offset - pending + err.start}"
        raise DataError.at(name, must, got, cure) from err


def _unpacked(stream: BinaryIO, codec: str) -> BinaryIO:
    """Return a stream of what an archive holds; reading it raises `_DAMAGED` if it is not whole."""
    if codec == "zstd":
        import pyarrow as pa

        # Unlike Python's zstandard it sees a truncated archive.
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(stream, mode="r"), codec))
    return as_stream(_members(stream, codec))


def _members(stream: BinaryIO, codec: str) -> Iterator[bytes]:
    """Yield what the members of an archive hold; zeros may stand behind each."""
    data = stream.read(_PIECE_BYTES)
    while data:
        member = _decompressor(codec)
        while not member.eof:
            at_end = False
            if not data and getattr(member, "needs_input", True):
                data = stream.read(_PIECE_BYTES)
                at_end = not data
            text = member.decompress(data, _PIECE_BYTES)
            if at_end and not text:
                raise EOFError
            data = getattr(member, "unconsumed_tail", b"")  # zlib's; the others keep it inside
            yield text
        data = member.unused_data.lstrip(b"\0")
        while not data and (piece := stream.read(_PIECE_BYTES)):
            data = piece.lstrip(b"\0")


def _decompressor(codec: str) -> Any:
    """Return what decompresses one member."""
    if codec == "gzip":
        return zlib.decompressobj(wbits=31)
    import bz2
    import lzma

    return bz2.BZ2Decompressor() if codec == "bz2" else lzma.LZMADecompressor()


def as_stream(pieces: Iterable[bytes]) -> BinaryIO:
    """Return pieces of bytes as a binary file that can be read once."""
    return cast(BinaryIO, io.BufferedReader(_Pieces(iter(pieces))))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            if (piece := next(self._pieces, None)) is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
