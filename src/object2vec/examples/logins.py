"""Logins that never happened: who logged in from which address, over some days.

A world of providers owns ranges of addresses. An account lives with one of them, works behind
another, carries a telephone and travels now and then (docs/ipinsights.md describes all of it). The
same seed gives the same logins, and nothing is done account by account.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

_COUNTRIES = 24
_BLOCK_BITS = 20  # a provider owns a /12
_SPECIAL = (10, 100, 127, 169, 172, 192, 198, 203)  # /8 blocks of which a part is not public
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the golden ratio in 64 bits


class _Kind(NamedTuple):
    """What providers of one kind own: how many there are, and ranges of ``2**bits`` addresses."""

    providers: int
    ranges: int
    bits: int


_HOME = _Kind(96, 24, 13)  # a region of a provider has a pool, a /19
_WORK = _Kind(48, 60, 5)  # companies behind a /27
_MOBILE = _Kind(48, 4, 15)  # gateways of a carrier, a /17
_SHARED = _Kind(24, 24, 10)  # hotels, airports, private networks, a /22
_NETWORKS, _GATEWAYS = 16, 8  # a mobile range sends from so many of its /24s, addresses of each
_WORK_GATEWAYS = 3  # addresses that a company sends from
_LEASES = np.array([1.0, 5.0, 400.0])  # days until a home gets another address
_LEASE_SHARES = (0.05, 0.15, 0.8)


@dataclass(frozen=True, eq=False)
class Logins:
    """Logins in the order of their days.

    Parameters
    ----------
    accounts : int64 array (n,)
        Number of the account, from 0.
    addresses : uint32 array (n,)
    days : int64 array (n,)
        Day of the login, from 0.
    """

    accounts: Integers
    addresses: NDArray[np.uint32]
    days: Integers

    def __len__(self) -> int:
        return len(self.accounts)

    def take(self, rows: Any) -> Logins:
        """Return these logins: int array (m,), bool array (n,) or slice."""
        return Logins(self.accounts[rows], self.addresses[rows], self.days[rows])

    def names(self) -> list[str]:
        """Return the names of the accounts, ``user_17``."""
        return [f"user_{account}" for account in self.accounts.tolist()]

    def dotted(self) -> list[str]:
        """Return the addresses in decimal-dot notation."""
        return dotted(self.addresses)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write ``account,address`` lines without a header, as IP Insights reads them."""
        lines = map("{},{}\n".format, self.names(), self.dotted())
        Path(path).write_text("".join(lines), encoding="utf-8")


def generate_logins(accounts: int = 10_000, days: int = 10, seed: int = 0) -> Logins:
    """Return the logins of so many accounts, about 60 each in ten days.

    Parameters
    ----------
    accounts, days : int
        At least 1.
    seed : int
        The same one gives the same logins.
    """
    draw = np.random.default_rng(seed)
    world = _World(draw)
    habits = _Habits(draw, world, accounts, days)
    counts = np.clip(draw.lognormal(np.log(4.0 * days), 0.9, accounts), 2, 80 * days)  # (a,)
    account = np.repeat(np.arange(accounts), counts.astype(np.int64))  # (n,)
    day = draw.integers(days, size=len(account))  # (n,)
    order = np.argsort(day, kind="stable")
    account, day = account[order], day[order]
    return Logins(account, habits.addresses(draw, account, day), day)


def inject(logins: Logins, share: float, seed: int, near: bool = False) -> Logins:
    """Return logins of an attacker: accounts of `logins`, addresses that say nothing of them.

    Parameters
    ----------
    logins : Logins
        At least one.
    share : float
        How many, as a share of `logins`; at least one.
    seed : int
    near : bool, default False
        Draw the address from the same /16 as the login of another record, which is harder to find,
        instead of from all addresses.
    """
    draw = np.random.default_rng((seed, 1))
    count = max(1, round(share * len(logins)))
    accounts = draw.choice(np.unique(logins.accounts), count)  # (m,)
    addresses = draw.integers(1 << 32, size=count, dtype=np.uint32)  # (m,)
    if near:
        other = logins.addresses[draw.integers(len(logins), size=count)]  # (m,)
        addresses = (other & np.uint32(0xFFFF0000)) | (addresses & np.uint32(0xFFFF))
    return Logins(accounts, addresses, np.full(count, logins.days.max()))


def dotted(addresses: NDArray[np.uint32]) -> list[str]:
    """Return addresses (n,) in decimal-dot notation.

    >>> dotted(np.array([3232235777], np.uint32))
    ['192.168.1.1']
    """
    octets = addresses.astype(">u4").view(np.uint8).reshape(-1, 4)  # (n, 4)
    return list(map("{}.{}.{}.{}".format, *octets.T.tolist()))


class _World:
    """Ranges of addresses by kind of provider and country."""

    def __init__(self, draw: np.random.Generator) -> None:
        blocks = np.arange(1 << 24, 224 << 24, 1 << _BLOCK_BITS)  # (b,) unicast /12 blocks
        blocks = draw.permutation(blocks[~np.isin(blocks >> 24, _SPECIAL)])
        self.home, blocks = _ranges(draw, _HOME, blocks)
        self.work, blocks = _ranges(draw, _WORK, blocks)
        self.mobile, blocks = _ranges(draw, _MOBILE, blocks)
        self.shared, blocks = _ranges(draw, _SHARED, blocks)


def _ranges(draw: np.random.Generator, kind: _Kind, blocks: Integers) -> tuple[Integers, Integers]:
    """Return the first address of each range by country, (countries, r), and the blocks left.

    Providers of a country follow one another in its row.
    """
    slots = 1 << (_BLOCK_BITS - kind.bits)
    chosen = draw.permuted(np.tile(np.arange(slots), (kind.providers, 1)), axis=1)
    firsts = blocks[: kind.providers, None] + (chosen[:, : kind.ranges] << kind.bits)  # (p, r)
    return firsts.reshape(_COUNTRIES, -1), blocks[kind.providers :]


class _Habits:
    """Where each account logs in from."""

    def __init__(self, draw: np.random.Generator, world: _World, accounts: int, days: int) -> None:
        self.world, size = world, accounts
        weights = 1 / np.arange(1, _COUNTRIES + 1)
        self.country = draw.choice(_COUNTRIES, size, p=weights / weights.sum())  # (a,)
        self.home = self._choose(draw, world.home, size)  # (2, a): before and after a move
        self.moves = np.where(draw.random(size) < 0.03, draw.integers(days, size=size), days)
        self.work = world.work[self.country, _popular(draw, world.work.shape[1], size)]  # (a,)
        self.mobile = self._choose(draw, world.mobile, size)  # (2, a): two regions of a carrier
        self.lease = draw.choice(_LEASES, size, p=_LEASE_SHARES)
        self.phase = draw.random(size)
        self.is_employed = draw.random(size) < 0.6
        self.p_mobile, self.p_work = draw.beta(2, 6, size), draw.beta(3, 5, size)
        self.starts = draw.integers(2 * days, size=size)  # of a trip: half of them never begin
        self.trip = draw.integers(1, 4, size=size) * (draw.random(size) < 0.4)  # days
        self.abroad = draw.choice(_COUNTRIES, size, p=weights / weights.sum())  # (a,)

    def _choose(self, draw: np.random.Generator, ranges: Integers, size: int) -> Integers:
        columns = draw.integers(ranges.shape[1], size=(2, size))  # (2, a)
        chosen: Integers = ranges[self.country, columns]
        return chosen

    def addresses(
        self, draw: np.random.Generator, account: Integers, day: Integers
    ) -> NDArray[np.uint32]:
        """Return the addresses (n,) of logins of accounts (n,) on days (n,)."""
        size = len(account)
        has_moved = (day >= self.moves[account]).astype(np.int64)  # (n,)
        lease = (day + self.phase[account] * self.lease[account]) // self.lease[account]  # (n,)
        at_home = self.home[has_moved, account] + _mixed(account, lease, has_moved) % (
            1 << _HOME.bits
        )
        region = draw.integers(2, size=size)  # (n,)
        carrier = self.mobile[region, account]  # (n,)
        network = _mixed(carrier, draw.integers(_NETWORKS, size=size)) % (1 << _MOBILE.bits - 8)
        gateway = _mixed(carrier, network, draw.integers(_GATEWAYS, size=size)) % 256
        on_mobile = carrier + (network << 8) + gateway
        gateway = _mixed(self.work[account], draw.integers(_WORK_GATEWAYS, size=size))
        at_work = self.work[account] + gateway % (1 << _WORK.bits)
        shared = self.world.shared
        hotel = shared[self.abroad[account], _popular(draw, shared.shape[1], size)]  # (n,)
        abroad = hotel + draw.integers(1 << _SHARED.bits, size=size)
        away = day - self.starts[account]  # (n,)
        is_away = (away >= 0) & (away < self.trip[account])
        chance = draw.random(size)
        p_mobile = self.p_mobile[account]
        p_work = np.where(self.is_employed[account], self.p_work[account], 0) * (1 - p_mobile)
        found = np.select(
            [is_away, chance < p_mobile, chance < p_mobile + p_work],
            [abroad, on_mobile, at_work],
            at_home,
        )
        return found.astype(np.uint32)


def _popular(draw: np.random.Generator, count: int, size: int) -> Integers:
    """Return numbers below `count`, (size,), low ones more often."""
    return (count * draw.random(size) ** 2).astype(np.int64)


def _mixed(*parts: NDArray[Any]) -> Integers:
    """Return a number that these parts decide and that looks random, from 0 to below 2**31."""
    mixed = np.zeros(np.broadcast(*parts).shape, np.uint64)
    for part in parts:
        mixed = (mixed + part.astype(np.uint64) + _GOLDEN) * _GOLDEN
        mixed ^= mixed >> np.uint64(29)
    return (mixed >> np.uint64(33)).astype(np.int64)
