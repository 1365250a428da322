"""Logins from unusual addresses, beside the two tables that a site would keep otherwise.

Trains on the first days, then scores the later logins of known accounts and those of an attacker,
who knows accounts and no addresses: 1 % of the later logins, each from any address. A table says
whether the account has logged in from this address before, or from this /24. False alarms are the
share of real logins that is flagged when a share of the attacks is found; for a table that is every
login that it has not seen, however few attacks are to be found.

The logins are generated, a world for each seed (`object2vec.examples.logins`, docs/ipinsights.md);
`--logs` names a file of your own with lines `account,address,day`, days as numbers or as dates, of
which the last three tenths are kept for the test. `--near` lets the attacker sit in the same /16
as a login of anybody, which is harder.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import parser, save, summary, table
from object2vec import Object2Vec
from object2vec.config.presets import preset_of
from object2vec.evaluation import false_alarms, roc_auc
from object2vec.examples.logins import Logins, generate_logins, inject

ACCOUNTS, DAYS, TRAINING_DAYS = 10_000, 10, 7
SHARE = 0.01  # of logins that are the attacker's
RECALLS = (1.0, 0.99, 0.95)
SETTINGS: dict[str, Any] = dict(preset_of("detection").values)
QUICK = {"enc_dim": 8, "epochs": 2, "mini_batch_size": 300}


def main(argv: Sequence[str] | None = None) -> None:
    """Run every seed and print the mean of each figure."""
    options = parser(__doc__, "logins")
    options.set_defaults(seeds=3)
    options.add_argument("--logs", type=Path, help="your own log instead of generated ones")
    options.add_argument("--near", action="store_true", help="an attacker from known /16 networks")
    options.add_argument("--accounts", type=int, default=ACCOUNTS)
    options.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another hyperparameter"
    )
    given = options.parse_args(argv)
    settings = SETTINGS | (QUICK if given.quick else {}) | {"threads": given.threads}
    settings |= dict(each.split("=", 1) for each in given.set)
    runs = [_run(given, settings, seed) for seed in range(given.seeds)]
    names = list(runs[0]["figures"])
    results = {
        name: {
            figure: summary([run["figures"][name][figure] for run in runs])
            for figure in runs[0]["figures"][name]
        }
        for name in names
    }
    header = ("", "AUC", *(f"false alarms at {recall:.0%}" for recall in RECALLS))
    table(header, [(name, *(results[name][f]["mean"] for f in results[name])) for name in names])
    save(
        "ipinsights" + "_near" * given.near + "_logs" * bool(given.logs),
        {
            "settings": settings,
            "share_of_attacks": SHARE,
            "results": results,
            "runs": [run["facts"] for run in runs],
        },
        given,
    )


def _run(given: argparse.Namespace, settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return the figures of ours and of the tables for one seed."""
    accounts = 150 if given.quick else given.accounts
    if given.logs:
        logins, days = read(given.logs)
    else:
        logins, days = generate_logins(accounts, DAYS, seed), TRAINING_DAYS
    past, later = logins.take(logins.days < days), logins.take(logins.days >= days)
    later = later.take(np.isin(later.accounts, past.accounts))
    attack = inject(later, SHARE, seed, near=given.near)
    started = time.perf_counter()
    model = train(past, settings | {"seed": seed}, given.quick)
    train_s = time.perf_counter() - started
    started = time.perf_counter()
    scores = {"object2vec": (score(model, later), score(model, attack))}
    score_s = time.perf_counter() - started
    for name, bits in (("address seen before", 0), ("/24 seen before", 8)):
        scores[name] = (seen(past, later, bits), seen(past, attack, bits))
    facts = {
        "seed": seed,
        "training_logins": len(past),
        "test_logins": len(later),
        "attacks": len(attack),
        "accounts": len(np.unique(past.accounts)),
        "train_s": train_s,
        "logins_per_s": (len(later) + len(attack)) / score_s,
    }
    return {"figures": {name: _figures(*each) for name, each in scores.items()}, "facts": facts}


def read(path: Path) -> tuple[Logins, int]:
    """Return the logins of a file, and the first day that is kept for the test."""
    import pandas

    found = pandas.read_csv(path, header=None, names=["account", "address", "day"], dtype=str)
    days = pandas.to_numeric(found["day"], errors="coerce").to_numpy()
    if np.isnan(days).any():
        days = pandas.to_datetime(found["day"]).dt.floor("D").astype("int64").to_numpy()
    octets = found["address"].str.strip().str.split(".", expand=True).astype(np.uint32).to_numpy()
    addresses = (octets << np.array([24, 16, 8, 0], np.uint32)).sum(axis=1).astype(np.uint32)
    accounts, _ = pandas.factorize(found["account"])
    day = np.unique(days, return_inverse=True)[1]
    order = np.argsort(day, kind="stable")
    logins = Logins(accounts[order], addresses[order], day[order])
    return logins, int(np.quantile(logins.days, 0.7))


def train(past: Logins, settings: dict[str, Any], is_quick: bool = False) -> Object2Vec:
    """Return a model of the logins, read from the file that IP Insights would read."""
    entities = 2 * (int(past.accounts.max()) + 1)  # as AWS recommends
    in0 = f"account:token(max_size=0, buckets={entities})"
    model = Object2Vec(in0=in0, in1="address:ipv4", preset="detection", **settings)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "logins.csv")
        past.write(path)
        log_format = None if is_quick else "plain"
        return model.fit(path, columns=["account", "address"], log_format=log_format)


def score(model: Object2Vec, logins: Logins) -> NDArray[np.float32]:
    """Return the log odds of logins, (n,)."""
    return model.predict(in0=logins.names(), in1=logins.dotted())[:, 0]


def seen(past: Logins, later: Logins, bits: int) -> NDArray[np.float32]:
    """Return 1 for a login whose account had an address before that differs in `bits` bits."""
    before, now = (
        each.accounts << 32 | each.addresses.astype(np.int64) >> bits for each in (past, later)
    )
    return np.isin(now, before).astype(np.float32)


def _figures(real: NDArray[np.float32], attack: NDArray[np.float32]) -> dict[str, float]:
    is_real = np.repeat([True, False], [len(real), len(attack)])
    alarms = {f"false_alarms_at_{r:g}": false_alarms(real, attack, r) for r in RECALLS}
    return {"auc": roc_auc(np.concatenate([real, attack]), is_real), **alarms}


if __name__ == "__main__":
    main()
