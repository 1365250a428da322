"""Which artists a listener will play: recall@20 and NDCG@20 on lastfm, of the preset topn.

The preset makes histories of the plays by itself (``--pairs history``), so the command is::

    object2vec train --train plays.tsv --in0 user --in1 artist --preset topn --out model

A listener is then encoded by name alone; artists that the listener has played already are left out.
Settings were chosen on the valid part with models of the train part; the test part is looked at
once, with models of train and valid, as with the peers (`benchmarks/peers/topn.py`).

The data: https://github.com/gusye1234/LightGCN-PyTorch (lastfm). `--data` names the folder that
holds the folder interactions_lastfm_lightgcn; `--part valid` measures what settings were chosen by,
`--set` changes one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import Recorder, ending, parser, save, summary, table
from benchmarks.peers.topn import figures_of, parts
from benchmarks.splits import PROTOCOLS
from object2vec import Object2Vec

ROWS: dict[str, dict[str, Any]] = {
    "preset topn": {},
    # The length of an artist's vector says how much is known of it; the rate is right for the 300
    # updates that these plays make.
    "preset topn, lengths learned": {
        "normalize": "in0",
        "token_init": "xavier",
        "learning_rate": 0.0025,
    },
    "preset topn, names without histories": {"pairs": "none"},
}
Ints = NDArray[np.int64]


def main() -> None:
    """Train with each seed, measure, print and write the results."""
    options = parser(__doc__ or "", "../shared/data")
    options.set_defaults(seeds=3)
    options.add_argument("--part", choices=("test", "valid"), default="test")
    options.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    options.add_argument("--rows", nargs="*", default=list(ROWS), choices=list(ROWS))
    given = options.parse_args()
    known, wanted, shape = parts(given.data, given.part == "valid")
    changed = dict(setting.split("=", 1) for setting in given.set)
    if given.quick:
        changed["epochs"] = "1"
    rows = {}
    for name in given.rows:
        runs = [
            _run(known, wanted, shape, {**ROWS[name], **changed, "seed": seed}, given.threads)
            for seed in range(1 if given.quick else given.seeds)
        ]
        rows[name] = {each: summary([run[each] for run in runs]) for each in runs[0]}
        table(("", *rows[name]), [(name, *(each["mean"] for each in rows[name].values()))])
    if not given.quick:
        name = "topn" if given.part == "test" else "topn_valid"
        protocol = PROTOCOLS["topn"] if given.part == "test" else "the valid part, without train's"
        save(name, {"protocol": protocol, "settings": changed, "rows": rows}, given)


def _run(
    known: Ints, wanted: Ints, shape: tuple[int, int], given: Mapping[str, Any], threads: int
) -> dict[str, float]:
    """Return the figures of one model, and the seconds that its training took."""
    plays = {"user": [f"user {u}" for u, _ in known], "artist": [f"artist {a}" for _, a in known]}
    recorder, started = Recorder(), time.perf_counter()
    model = Object2Vec(in0="user", in1="artist", preset="topn", threads=threads, **given)
    model.fit(plays, reporters=[recorder])
    seconds = time.perf_counter() - started
    print(ending(recorder.history), flush=True)
    return {**figures_of(_scores(model, known, shape), known, wanted), "seconds": seconds}


def _scores(model: Object2Vec, known: Ints, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return the similarity of each user and artist; artists of no play are the last."""
    users, artists = np.unique(known[:, 0]), np.unique(known[:, 1])
    normalize = model.config.normalize if model.config.output_layer == "ranking" else "none"
    in0 = model.encode(in0={"user": [f"user {u}" for u in users]})
    in1 = model.encode(in1={"artist": [f"artist {a}" for a in artists]})
    if normalize in ("both", "in0"):
        in0 /= np.maximum(np.linalg.norm(in0, axis=1, keepdims=True), 1e-12)
    if normalize in ("both", "in1"):
        in1 /= np.maximum(np.linalg.norm(in1, axis=1, keepdims=True), 1e-12)
    scores = np.full(shape, -1e9, np.float32)
    scores[np.ix_(users, artists)] = in0 @ in1.T
    return scores


if __name__ == "__main__":
    main()
