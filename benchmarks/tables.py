"""Write the figures of results/*.json into the tables of the README and the documentation.

A table stands between ``<!-- figures: NAME -->`` and ``<!-- end -->``; NAME is a function here.
With ``--check`` nothing is written and the exit code says whether every table is up to date.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import results_page

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PAGES = ("README.md", "benchmarks/README.md", "docs/ipinsights.md", "docs/results.md")


def main() -> int:
    """Write or check every page; return the exit code."""
    is_check = "--check" in sys.argv[1:]
    stale = []
    for name in PAGES:
        page = ROOT / name
        text = page.read_text(encoding="utf-8")
        fresh = filled(text)
        if fresh != text:
            stale.append(name)
            if not is_check:
                page.write_text(fresh, encoding="utf-8")
    print("\n".join(f"{name}: {'stale' if is_check else 'written'}" for name in stale))
    return 1 if is_check and stale else 0


def filled(text: str) -> str:
    """Return a page with every table made anew; one that was never measured stays empty."""

    def made(found: re.Match[str]) -> str:
        with contextlib.suppress(FileNotFoundError):
            return found[1] + TABLES[found[2]]() + found[3]
        return found[1] + found[3]

    pattern = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return pattern.sub(made, text)


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = [list(header)]
    lines += [["---"] * len(lines[0]), *([str(cell) for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _race(name: str, unit: str, *keys: str) -> str:
    """Return the table of a race; `keys` name the settings that stand first."""
    rows = [
        (
            *(_plain(r[key]) for key in keys),
            r["of"],
            f"{r['per_s']:,.0f}",
            f"{r['ours_is_times']:.2f}",
            " to ".join(f"{ratio:.2f}" for ratio in r["ratio_spread"]),
            f"{r['peak_memory_mib']:,.0f}",
        )
        for r in _result(name)["results"]
    ]
    return _table((*keys, "of", unit, "ours is x", "in rounds", "peak MiB"), rows)


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def training() -> str:
    """Return the gist of the next table."""
    rows = [
        (r["negatives"], r["of"], f"{r['per_s']:,.0f}", f"{r['ours_is_times']:.1f}")
        for r in _result("training_peers")["results"]
        if r["precision"] == "float32" and not r["of"].endswith("kept")
    ]
    return _table(("negatives", "of", "records/s", "object2vec is x"), rows)


def training_peers() -> str:
    """Return records per second of a training step beside plain PyTorch."""
    return _race("training_peers", "records/s", "negatives", "precision")


def training_vocabulary() -> str:
    """Return the same at few and at many rows."""
    return _race("training_vocabulary", "records/s", "vocabulary")


def training_threads() -> str:
    """Return the same with one thread and two."""
    return _race("training_threads", "records/s")


def whole() -> str:
    """Return records per second of whole trainings beside their steps."""
    rows = [
        (
            r["task"],
            round(r["epochs"]),
            *(f"{r[key]:,.0f}" for key in ("steps", "log", "command")),
            f"{r['seconds']:.1f}",
        )
        for r in _result("whole")["results"]
    ]
    header = ("task", "epochs", "steps alone", "by the log", "whole command", "seconds")
    return _table(header, rows)


def epoch_end() -> str:
    """Return records per second of trainings with few and many rows."""
    rows = [
        (
            f"{r['rows']:,}",
            "each epoch" if r["checkpoints"] else "none",
            f"{r['records_per_s']:,.0f}",
            f"{r['of_few_rows']:.2f}",
            f"{r['cpu_s']:.1f}",
            f"{r['start_s']:.1f}",
            f"{r['save_s']:.1f}",
        )
        for r in _result("epoch_end")["results"]
    ]
    return _table(
        (
            "rows",
            "checkpoints",
            "records/s",
            "of few rows'",
            "seconds of CPUs",
            "start, s",
            "saving, s",
        ),
        rows,
    )


def neighbours() -> str:
    """Return records per second beside busy processes, by the number of threads."""
    rows = [
        (
            r["task"],
            r["neighbours"],
            *(f"{rate:,.0f}" for rate in r["per_s"].values()),
            f"{r['of_better']:.2f}",
        )
        for r in _result("neighbours")["results"]
    ]
    return _table(
        ("task", "busy neighbours", "as it comes", "1 thread", "2 threads", "of the better"), rows
    )


def table_fbgemm() -> str:
    """Return lookup and update of a table beside FBGEMM."""
    return _race("table_fbgemm", "sequences/s", "rule")


def table_memory() -> str:
    """Return the share of an update's time that its bytes need."""
    rows = [
        (
            r["rule"],
            f"{r['batch_s'] * 1e3:.1f}",
            f"{r['memory_bytes'] / 1e9:.3f}",
            f"{r['touched_bytes'] / 1e9:.3f}",
            f"{r['bandwidth_bytes_per_s'] / 1e9:.1f}",
            f"{r['memory_share']:.0%}",
            f"{r['touched_share']:.0%}",
        )
        for r in _result("table_memory")["results"]
    ]
    return _table(
        (
            "rule",
            "ms a batch",
            "GB from memory",
            "GB touched",
            "GB/s of memory",
            "share of its time",
            "share, touched",
        ),
        rows,
    )


def precision() -> str:
    """Return the accuracy of both precisions."""
    rows = [
        (
            r["task"],
            r["precision"],
            len(r["runs"]),
            f"{r['accuracy']['mean']:.3f}",
            f"{r['accuracy']['min']:.3f} to {r['accuracy']['max']:.3f}",
        )
        for task in ("liked", "inference")
        for r in _result(f"precision_{task}")["results"]
    ]
    return _table(("task", "precision", "seeds", "accuracy", "from to"), rows)


def sequences_bfloat16() -> str:
    """Return pairs per second of hcnn and bilstm in bfloat16."""
    return _race("sequences_bfloat16", "pairs/s", "encoder", "size")


def movielens_speed() -> str:
    """Return pairs per second of MovieLens' steps."""
    return _race("movielens_speed", "pairs/s", "task")


def gpu_training() -> str:
    """Return records per second of training steps on a GPU."""
    return _gpu("training", "records/s", "negatives", "precision")


def gpu_sequences() -> str:
    """Return pairs per second of hcnn and bilstm on a GPU."""
    return _gpu("sequences", "pairs/s", "encoder")


def gpu_encoding() -> str:
    """Return sequences encoded per second on a GPU."""
    return _gpu("encoding", "sequences/s", "encoder")


def gpu_memory() -> str:
    """Return how fast lookups and updates move bytes on a GPU."""
    rows = [
        (
            r["of"],
            r["ids"],
            f"{r['records']:,}" if r["records"] else "",
            f"{r['s'] * 1e3:.2f}",
            f"{r['bytes_per_s'] / 1e9:,.0f}",
            f"{r['share']:.0%}",
        )
        for r in _result("gpu")["memory"]
    ]
    return _table(("of", "ids", "records", "ms", "GB/s", "of a copy"), rows)


def _gpu(part: str, unit: str, *keys: str) -> str:
    """Return the table of a race on a GPU."""
    rows = [
        (
            *(_plain(r[key]) for key in keys),
            r["of"],
            f"{r['per_s']:,.0f}",
            f"{r['ours_is_times']:.2f}",
            " to ".join(f"{ratio:.2f}" for ratio in r["ratio_spread"]),
        )
        for r in _result("gpu")[part]
    ]
    return _table((*keys, "of", unit, "ours is x", "in rounds"), rows)


def sequences() -> str:
    """Return pairs per second of hcnn and bilstm."""
    return _race("sequences", "pairs/s", "encoder", "size")


def encoding_memory() -> str:
    """Return sequences encoded per second in memory."""
    return _race("encoding_memory", "sequences/s")


def encoding_files() -> str:
    """Return sequences encoded per second by the command line."""
    return _race("encoding_files", "sequences/s")


def encoding_text() -> str:
    """Return lines of text encoded per second by the command line."""
    return _race("encoding_text", "lines/s", "lines")


def reading() -> str:
    """Return rows read per second."""
    return _race("reading", "rows/s")


def table_reading() -> str:
    """Return rows of tables per second that become ids."""
    return _race("table_reading", "rows/s", "columns")


def words() -> str:
    """Return speed and quality of word vectors."""
    rows = [
        (r["of"], f"{r['words_per_s']:,.0f}", f"{r['hits@10']:.1%}", f"{r['mrr']:.3f}")
        for r in _result("words")["results"]
    ]
    return _table(("of", "words/s", "synonym among the nearest 10", "mean reciprocal rank"), rows)


def documents_time() -> str:
    """Return the time to the quality of retrieval that StarSpace is quoted with."""
    result = _result("documents_time")
    star = result["starspace"]
    rows = [(f"object2vec, {r['epochs']} epochs", r) for r in result["runs"]]
    rows.append(("StarSpace, quoted", star))
    return _table(
        ("of", "seconds", "hits@1", "hits@10", "mean rank"),
        [
            (
                name,
                f"{r['seconds']:.0f}",
                f"{r['hits@1']:.1%}",
                f"{r['hits@10']:.1%}",
                f"{r['mean_rank']:.0f}",
            )
            for name, r in rows
        ],
    )


def startup() -> str:
    """Return the time to begin."""
    rows = [
        (r["of"], f"{r['median_s']:.2f}", f"{min(r['rounds_s']):.2f}", f"{max(r['rounds_s']):.2f}")
        for r in _result("startup")["results"]
    ]
    return _table(("what", "median s", "fastest", "slowest"), rows)


def sagemaker_local() -> str:
    """Return what a job takes by the local service and by the command."""
    seconds = _result("sagemaker_local")["seconds"]
    rows = [
        (r["of"], f"{r['median_s']:.2f}", f"{min(r['rounds_s']):.2f}", f"{max(r['rounds_s']):.2f}")
        for r in seconds
    ]
    return _table(("what", "median s", "fastest", "slowest"), rows)


def sagemaker_latency() -> str:
    """Return what a request takes on the ways to an endpoint."""
    rows = [
        (r["of"], f"{r['p50_ms']:.2f}", f"{r['over_alone_ms']:+.2f}")
        for r in _result("sagemaker_local")["latency"]
    ]
    return _table(("invoke_endpoint", "p50 ms", "beside the server alone"), rows)


def tuning() -> str:
    """Return what tuning finds beside fixed values."""
    rows = [(r["of"], f"{r['dev']:.4f}", f"{r['test']:.4f}") for r in _result("tuning")["against"]]
    return _table(("squared error of", "dev", "ua.test"), rows)


def warm_start() -> str:
    """Return how many trials a study needs with and without parents."""
    rows = [
        (r["start"], f"{r['median']:g}", min(r["trials"]), max(r["trials"]))
        for r in _result("tuning_warm_start")["starts"]
    ]
    return _table(("start", "trials, median", "fewest", "most"), rows)


def memory() -> str:
    """Return the memory that training needs."""
    rows = [
        (
            f"{r['data_bytes'] / 1e6:,.0f}",
            f"{r['pairs']:,}",
            f"{r['peak_bytes'] / 1e6:,.0f}",
            f"{r['of_allowance']:.0%}",
            f"{r['seconds']:.0f}",
        )
        for r in _result("memory")["runs"]
    ]
    return _table(("data MB", "pairs", "peak MB", "of the allowance", "seconds"), rows)


def serving() -> str:
    """Return requests per second beside a bare echo and FastAPI."""
    rows = [
        (
            kind,
            name,
            f"{f['requests_per_s']:,.0f}",
            f"{f['p50_ms']:.1f}",
            f"{f['p99_ms']:.1f}",
            f"{f['share_of_echo']:.0%}",
        )
        for kind, servers in _result("serving")["measured"].items()
        for name, f in servers.items()
    ]
    return _table(("answers", "server", "requests/s", "p50 ms", "p99 ms", "of the echo"), rows)


def overload() -> str:
    """Return what a server does at twice its capacity."""
    r = _result("serving")["overload"]
    answered = ", ".join(f"{count:,} of {status}" for status, count in r["statuses"].items())
    row = (
        f"{r['capacity_per_s']:,.0f}",
        f"{r['offered_per_s']:,.0f}",
        f"{r['seconds']:.0f}",
        answered,
        f"{r['accepted_p99_ms']:.0f}",
        f"{r['memory_growth_mib']:+.1f}",
    )
    return _table(
        (
            "answers/s at most",
            "requests/s sent",
            "seconds",
            "answers",
            "p99 ms of those accepted",
            "memory, MiB from the first quarter to the end",
        ),
        [row],
    )


def tutorial() -> str:
    """Return the figures of the MovieLens notebook by the client."""
    r = _result("tutorial")
    rows = [
        (
            "rating: mean squared error",
            f"{r['regression']['mean squared error']:.3f}",
            "about 0.91 in the notebook, 0.920 in a re-run of the container",
        ),
        (
            "liked or not: accuracy",
            f"{r['classification']['accuracy']:.3f}",
            "0.704 in the notebook, 0.703 in a re-run of the container",
        ),
        (
            "rating, on ratings that nothing has seen",
            f"{r['held out']['mean squared error']:.3f}",
            "not measured there",
        ),
    ]
    return _table(("figure", "here", "on AWS"), rows)


def movielens() -> str:
    """Return what MovieLens gives with AWS's settings and with ours, beside what others publish."""
    rows: list[tuple[str, str, str]] = []
    rating = _result("movielens_rating")["best_validation_mse"]
    rows.append(("rating, AWS's settings: validation MSE", _spread(rating), "0.92 in AWS's log"))
    if (RESULTS / "movielens_like.json").exists():
        like = _result("movielens_like")["validation_accuracy"]
        rows.append(("liked or not, AWS's settings: accuracy", _spread(like), "0.703 in AWS's log"))
    if (RESULTS / "movielens_ours.json").exists():
        ours = _result("movielens_ours")["test_mse"]
        quoted = "Surprise: SVD 0.907, SVD++ 0.874"
        rows.append(("rating, settings of our own: test MSE", _spread(ours), quoted))
    return _table(("task", "mean (smallest to largest)", "beside"), rows)


def cold_start() -> str:
    """Return how well unseen users and films are ranked, beside what knows nothing of them."""
    rows = [
        (
            part,
            of,
            *(_seeds(found[name], ".3f") for name in ("NDCG@10", "recall@20", "MRR")),
            _seeds(found["mean rank"], ".0f"),
        )
        for part, rankings in _result("cold_start")["results"].items()
        for of, found in rankings.items()
    ]
    return _table(("unseen", "ranked by", "NDCG@10", "recall@20", "MRR", "mean rank"), rows)


def _seeds(found: dict[str, Any], form: str) -> str:
    """Return the mean of a figure, and half of what the seeds differ by."""
    return f"{found['mean']:{form}} ± {(found['max'] - found['min']) / 2:{form}}"


def one_command() -> str:
    """Return what a training costs from a file to a model."""
    rows = [
        (
            r["of"],
            f"{r['rows']:,}",
            r["epochs"],
            f"{r['seconds']:.1f}",
            f"{r['rows_per_s']:,.0f}",
            f"{r['peak_memory_mib']:,.0f}",
            f"{r['model_mib']:.1f}",
        )
        for r in _result("one_command")["jobs"]
    ]
    header = ("of", "rows", "epochs", "s", "rows/s", "peak MiB", "model MiB")
    return _table(header, rows)


def opening() -> str:
    """Return how long models of few and of many names take to open."""
    rows = [
        (
            f"{r['names']:,}",
            f"{r['schema_mib']:.1f}",
            f"{1e3 * r['schema_s']:.0f}",
            f"{r['encode_s']:.2f}",
        )
        for r in _result("one_command")["opening"]
    ]
    return _table(("names", "schema MiB", "schema opens, ms", "encode of one line, s"), rows)


def evaluation() -> str:
    """Return how long exact retrieval takes, and the memory beside the vectors."""
    rows = [
        (r["of"], f"{r['seconds']:.1f}", f"{r['memory_mib']:,.0f}")
        for r in _result("evaluation")["results"]
    ]
    return _table(("of", "seconds", "MiB"), rows)


def ipinsights() -> str:
    """Return how well unusual logins are found, beside two tables of what was seen."""
    names = ("any", "near") if (RESULTS / "ipinsights_near.json").exists() else ("any",)
    rows = []
    for attack in names:
        found = _result("ipinsights" if attack == "any" else "ipinsights_near")["results"]
        for of, figures in found.items():
            auc, *alarms = figures.values()
            cells = [f"{each['mean']:.1%}" for each in alarms]
            rows.append((_ATTACKS[attack], of, f"{auc['mean']:.4f}", *cells))
    found_shares = ("all", "99 %", "95 %")
    header = ("attacks from", "of", "ROC AUC", *(f"alarms to find {x}" for x in found_shares))
    return _table(header, rows)


_ATTACKS = {"any": "any address", "near": "a known /16"}


def _spread(values: dict[str, Any]) -> str:
    return f"{values['mean']:.3f} ({values['min']:.3f} to {values['max']:.3f})"


TABLES: dict[str, Callable[[], str]] = {
    function.__name__: function
    for function in (
        movielens,
        training,
        whole,
        epoch_end,
        neighbours,
        training_peers,
        training_vocabulary,
        training_threads,
        table_fbgemm,
        table_memory,
        movielens_speed,
        sequences,
        sequences_bfloat16,
        precision,
        encoding_memory,
        encoding_files,
        encoding_text,
        reading,
        table_reading,
        words,
        documents_time,
        startup,
        memory,
        serving,
        overload,
        tutorial,
        ipinsights,
        cold_start,
        one_command,
        opening,
        evaluation,
        sagemaker_local,
        sagemaker_latency,
        tuning,
        warm_start,
        gpu_training,
        gpu_sequences,
        gpu_encoding,
        gpu_memory,
    )
}
TABLES |= {f"results_{task}": partial(results_page.task_table, task) for task in results_page.TASKS}
TABLES["results"] = results_page.gist

if __name__ == "__main__":
    sys.exit(main())
