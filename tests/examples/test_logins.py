from __future__ import annotations

import hashlib
import ipaddress
import re
import runpy
from functools import partial
from pathlib import Path

import numpy as np

from object2vec.examples import logins
from object2vec.examples.logins import dotted, generate_logins, inject


def seen(logins, later, bits):
    """Whether each later login's account had an address before that shares all but `bits` bits."""
    keys = [x.accounts << 32 | x.addresses.astype(np.int64) >> bits for x in (logins, later)]
    return np.isin(keys[1], keys[0])


def test_the_seed_decides_the_logins():
    first, same, other = (generate_logins(50, 4, seed) for seed in (1, 1, 2))
    assert first.addresses.tolist() == same.addresses.tolist()
    assert first.accounts.tolist() == same.accounts.tolist()
    assert first.addresses.tolist() != other.addresses.tolist()
    assert (np.diff(first.days) >= 0).all()
    assert set(first.days.tolist()) == set(range(4))
    assert set(first.accounts.tolist()) == set(range(50))


def test_a_habit_is_an_address_for_some_a_network_for_more_and_a_region_for_nearly_all():
    logins = generate_logins(2000, 10, seed=3)
    past, later = logins.take(logins.days < 7), logins.take(logins.days >= 7)
    known = np.isin(later.accounts, past.accounts)
    new = [1 - seen(past, later, bits)[known].mean() for bits in (0, 8, 16)]
    assert 0.25 < new[0] < 0.45
    assert 0.15 < new[1] < 0.3
    assert new[2] < 0.1


def test_nobody_logs_in_from_where_nobody_can():
    addresses = np.unique(generate_logins(2000, 10, seed=0).addresses)
    assert all(ipaddress.IPv4Address(int(a)).is_global for a in addresses[::50])
    assert len(np.unique(addresses >> 24)) > 50


def test_an_attacker_knows_accounts_and_no_addresses():
    logins = generate_logins(500, 3, seed=0)
    attack = inject(logins, 0.01, seed=5)
    assert len(attack) == round(len(logins) * 0.01)
    assert np.isin(attack.accounts, logins.accounts).all()
    assert not seen(logins, attack, 8).any()
    assert attack.addresses.tolist() == inject(logins, 0.01, seed=5).addresses.tolist()
    networks = np.unique(logins.addresses >> 16)
    assert np.isin(inject(logins, 0.01, seed=5, near=True).addresses >> 16, networks).all()
    assert not np.isin(attack.addresses >> 16, networks).all()


def test_the_file_has_no_header_and_reads_back(tmp_path):
    logins = generate_logins(3, 1, seed=0)
    logins.write(tmp_path / "logins.csv")
    lines = (tmp_path / "logins.csv").read_text().splitlines()
    assert len(lines) == len(logins)
    user, address = lines[-1].split(",")
    assert user == f"user_{logins.accounts[-1]}"
    assert int(ipaddress.IPv4Address(address)) == logins.addresses[-1]
    assert dotted(np.array([0, 2**32 - 1], np.uint32)) == ["0.0.0.0", "255.255.255.255"]


def test_the_example_finds_unusual_logins(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("OBJECT2VEC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    few = partial(generate_logins, accounts=200)
    monkeypatch.setattr(
        "object2vec.examples.logins.generate_logins", lambda accounts, **given: few(**given)
    )
    monkeypatch.setattr("sys.argv", ["unusual_logins.py"])
    runpy.run_path(str(Path(__file__).parents[2] / "examples" / "unusual_logins.py"))
    first, _, last = capsys.readouterr().out.splitlines()
    alarms = re.fullmatch(r"95% of the attacks are found at (.*)% false alarms", first)
    assert alarms is not None
    assert float(alarms[1]) < 20
    assert (Path(last.partition(": ")[2]) / "config.json").exists()


def test_most_travel_to_where_most_live():
    draw = np.random.default_rng(0)
    habits = logins._Habits(draw, logins._World(draw), 20_000, 10)
    weights = 1 / np.arange(1, logins._COUNTRIES + 1)
    for countries in (habits.country, habits.abroad):
        share = np.bincount(countries, minlength=logins._COUNTRIES) / len(countries)
        np.testing.assert_allclose(share, weights / weights.sum(), atol=0.01)


def digest(logins):
    parts = (logins.accounts, logins.addresses, logins.days)
    content = b"".join(np.asarray(part).astype("<i8").tobytes() for part in parts)
    return hashlib.sha256(content).hexdigest()[:16]


def test_the_logins_are_those_that_the_figures_were_measured_with():
    """Another digest: benchmarks/results/ipinsights*.json are of other logins, and due again."""
    logins = generate_logins(300, 12, seed=7)
    found = [
        digest(each)
        for each in (
            logins,
            inject(logins, 0.02, seed=3),
            inject(logins, 0.02, seed=3, near=True),
            inject(logins.take(slice(5)), 0.0, seed=0),
            generate_logins(1, 1),
            generate_logins(6000, 2, seed=1),  # some log in as often as one can
        )
    ]
    assert found == [
        "c3935794debad1d1",
        "2cf3a94b3bd1583a",
        "49587361f76801b0",
        "b5a30b1d7a600b18",
        "76da90a1d72d8ee9",
        "9008e2ad4bb43a32",
    ]
