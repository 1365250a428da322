"""Addresses of networks: each of their prefixes is a token.

An address that training has not seen shares what the networks know that it belongs to.
"""

from __future__ import annotations

import ipaddress
import socket
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from object2vec.config.kinds import Integer
from object2vec.fields.base import ValueMistakes, option
from object2vec.fields.parts import Parts, PartsKind
from object2vec.fields.spans import Spans
from object2vec.fields.strings import compiled_programs, read_only
from object2vec.fields.values import Texts, encoding, texts
from object2vec.fields.vocabulary import Counts
from object2vec.fields.vocabulary_field import Tokenised
from object2vec.objects.ragged import offsets_of

if TYPE_CHECKING:
    import pyarrow as pa

Found = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@dataclass(frozen=True)
class _Addresses(PartsKind):
    """Addresses of `digits` digits that each say `bits_of_digit` bits."""

    is_single: ClassVar[bool] = True
    digits: ClassVar[int]
    rule: ClassVar[str]

    min_count: int = option(
        2, Integer(1, None), "how often training must see a prefix that gets a row of its own"
    )

    @abstractmethod
    def read(self, found: Texts) -> Found:
        """Return the digits of each text, (m, digits), and which are no addresses, (m,)."""

    def policy(self, n_different: int, n_rare: int) -> tuple[str, int]:
        """Prefixes that are not known are left out: shorter ones say what is known."""
        return "skip", 0

    def tokens(self, values: pa.Array) -> Tokenised:
        """Return each address as its digits."""
        found = self._texts(values)
        missing = found.starts == found.ends  # (m,)
        digits, wrong = self.read(found)  # (m, digits), (m,)
        wrong &= ~missing
        cure = "Fix it, or read the column as a token."
        if wrong.any() and (mistakes := found.mistakes(wrong, f"must be {self.rule}", cure)):
            raise ValueMistakes(mistakes)
        starts = np.flatnonzero(~missing) * self.digits
        offsets = offsets_of((~missing).astype(np.int64))
        spans = Spans(digits.ravel(), starts, starts + self.digits, offsets)
        return Tokenised(found, spans, missing)

    def _texts(self, values: pa.Array) -> Texts:
        return texts(values)

    def parts(self, data: NDArray[np.uint8], starts: Counts, ends: Counts) -> Parts:
        """Return the prefixes of each address, from the shortest to the whole."""
        sizes = np.arange(1, self.digits + 1)
        firsts = np.repeat(starts, self.digits)
        lasts = (starts[:, None] + sizes).ravel()  # address by address
        return Parts(Spans(data, firsts, lasts, np.arange(len(starts) + 1) * self.digits))


@dataclass(frozen=True)
class IPv4Kind(_Addresses):
    """An IPv4 address. Its networks of 1 to 32 bits are tokens: unseen ones share what is known."""

    name = "ipv4"
    digits: ClassVar[int] = 32
    rule: ClassVar[str] = "an IPv4 address such as 192.0.2.1"

    def read(self, found: Texts) -> Found:
        """Return the bits of addresses as characters."""
        bits = np.full((len(found.starts), 32), ord("0"), np.uint8)
        wrong = np.zeros(len(bits), np.bool_)
        if (programs := compiled_programs()) is not None:
            given = read_only(found.data, found.starts, found.ends)
            programs.read_ipv4(*given, bits, wrong)
            return bits, wrong
        packed, wrong = _packed(found, 4, _packed_ipv4)
        return np.unpackbits(packed, axis=1) + np.uint8(48), wrong

    def drawn(self, count: int, generator: np.random.Generator) -> Spans:
        """Return the bits of so many addresses, of which each is as likely as any other."""
        packed = np.frombuffer(generator.bytes(4 * count), np.uint8)
        bits = np.unpackbits(packed) + np.uint8(ord("0"))  # (32 * count,)
        offsets = np.arange(count + 1)
        starts = 32 * offsets[:-1]
        return Spans(bits, starts, starts + 32, offsets)

    def _texts(self, values: pa.Array) -> Texts:
        """Return addresses as text, numbers of 32 bits as the addresses that they are."""
        import pyarrow as pa

        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if not pa.types.is_integer(kind):
            return texts(values)
        is_encoded = pa.types.is_dictionary(values.type)
        numbers, indices = encoding(values if is_encoded else values.dictionary_encode())
        written = [
            str(ipaddress.IPv4Address(each)) if each in range(1 << 32) else str(each)
            for each in numbers.to_pylist()
        ]
        return replace(texts(pa.array(written, pa.string())), indices=indices)

    def shown(self, token: str) -> str:
        """Return a prefix as a network."""
        number = int(token.ljust(32, "0"), 2)
        return f"{ipaddress.IPv4Address(number)}/{len(token)}"


@dataclass(frozen=True)
class IPv6Kind(_Addresses):
    """An IPv6 address. Its networks of 4, 8 to 128 bits are tokens. IPv4 is in ::ffff:0:0/96."""

    name = "ipv6"
    digits: ClassVar[int] = 32
    rule: ClassVar[str] = "an IPv6 address such as 2001:db8::1"

    def read(self, found: Texts) -> Found:
        """Return the hexadecimal digits of addresses."""
        packed, wrong = _packed(found, 16, _packed_ipv6)
        halves = np.stack([packed >> 4, packed & 15], axis=2).reshape(-1, 32)  # (m, 32)
        return np.frombuffer(b"0123456789abcdef", np.uint8)[halves], wrong

    def shown(self, token: str) -> str:
        """Return a prefix as a network."""
        number = int(token.ljust(32, "0"), 16)
        return f"{ipaddress.IPv6Address(number)}/{4 * len(token)}"


def _packed(found: Texts, size: int, read: Callable[[str], bytes]) -> Found:
    """Return the bytes of addresses, (m, size), and which texts are no addresses, (m,)."""
    packed = bytearray()
    wrong = np.zeros(len(found.starts), np.bool_)
    for value, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
        try:
            packed += read(bytes(found.data[start:end]).decode())
        except (ValueError, OSError):
            packed += bytes(size)
            wrong[value] = True
    return np.frombuffer(packed, np.uint8).reshape(-1, size), wrong


def _packed_ipv4(text: str) -> bytes:
    return ipaddress.IPv4Address(text).packed


def _packed_ipv6(text: str) -> bytes:
    if ":" not in text:
        return bytes(10) + b"\xff\xff" + _packed_ipv4(text)
    return socket.inet_pton(socket.AF_INET6, text)
