"""The figures of AWS's MovieLens notebook, by the client with the shape of the SageMaker SDK.

Runs `examples/movie_recommendation.py` on the whole of MovieLens 100K: training jobs, endpoints and
requests as a notebook makes them. AWS's notebook shows a mean squared error of about 0.91 and an
accuracy of 0.704; a re-run of the real container gave 0.920 and 0.703. The targets are at most 0.93
and at least 0.70.

`--data` names the folder with ua.base, ua.test and u.item (packed with gzip or not).
"""

from __future__ import annotations

import sys

from benchmarks.common import ROOT, save, speed_parser, table

KEPT = ("baselines", "regression", "held out", "classification")


def main() -> None:
    """Run the tutorial and keep its figures."""
    options = speed_parser(__doc__, "../shared/data/movielens_100k", rounds=None, threads=None)
    given = options.parse_args()
    sys.path.insert(0, str(ROOT / "examples"))
    import movie_recommendation

    figures = movie_recommendation.main(["--data", str(given.data)])
    rows = [(part, name, value) for part in KEPT for name, value in figures[part].items()]
    table(("part", "figure", "value"), rows)
    save("tutorial", {part: figures[part] for part in KEPT}, given)


if __name__ == "__main__":
    main()
