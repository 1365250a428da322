"""The benchmarks of speed at the size of toys: they run, and all rivals do the same work.

Rivals take turns in this process instead of each in its own; those whose library is not installed
are left out.
"""

import contextlib
import gzip
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import zstandard

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _import_from_root(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def units():
    """What each rival of each race said to have done."""
    return []


@pytest.fixture
def run(tmp_path, monkeypatch, units):
    def race(rivals, rounds, plain=()):
        done, figures = {}, {}
        for name, (function, arguments) in rivals.items():
            try:
                work = function(*arguments)
            except ImportError:
                continue
            first, second = work(), work()
            assert first == second > 0
            done[name] = first
            figures[name] = {
                "per_s": first,
                "rounds": [first] * rounds,
                "ours_is_times": 1.0,
                "ratio_spread": [1.0, 1.0],
                "peak_memory_mib": 1.0,
            }
        assert set(plain) <= set(rivals)
        units.append(done)
        return figures

    def run(module, *words, **constants):
        for name, value in constants.items():
            assert hasattr(module, name)
            monkeypatch.setattr(module, name, value)
        for name in ("race", "race_one_by_one"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, race)
        results = tmp_path / "results"
        monkeypatch.setattr(sys, "argv", ["benchmark", "--results", str(results), *words])
        module.main()
        return {path.stem: json.loads(path.read_text()) for path in results.glob("*.json")}

    return run


SMALL = {"BATCH": 8, "TOKENS": 3, "WIDTH": 4, "BATCHES": 2}


def test_training(run, units, monkeypatch):
    from benchmarks import training

    found = run(training, "--vocabulary", "100", **SMALL, HIDDEN=4, FEW=50, MANY=200)
    assert found.keys() == {f"training_{part}" for part in ("peers", "vocabulary", "threads")}
    lanes = {"object2vec", "PyTorch, sparse", "PyTorch, dense"}
    assert [lanes <= race.keys() for race in units[:4]] == [True] * 4
    assert [set(race.values()) for race in units] == [{16.0}] * 7
    peers = found["training_peers"]["results"]
    assert [(r["negatives"], r["precision"]) for r in peers[::5]] == [
        (0, "float32"),
        (3, "float32"),
        (0, "bfloat16"),
        (3, "bfloat16"),
    ]


def test_table(run, units, monkeypatch):
    from benchmarks import table, training

    for name, value in SMALL.items():
        monkeypatch.setattr(training, name, value)
    small = SMALL | {"stream": lambda threads: lambda: 1e6}
    found = run(table, "--vocabulary", "100", **small)
    assert found.keys() == {"table_fbgemm", "table_memory"}
    rows = found["table_memory"]["results"]
    assert [row["rule"] for row in rows] == list(table.RULES)
    distinct = rows[0]["distinct_tokens"]
    assert 1 < distinct <= 24
    # A lookup reads each distinct row; an update reads and writes it and, for adam, two states.
    assert rows[0]["memory_bytes"] == distinct * 16 * 3
    assert rows[2]["memory_bytes"] == distinct * 16 * 7
    assert set(units[0].values()) == {16.0}


def test_movielens_speed(run, units):
    from benchmarks import movielens_speed as module

    small = {"enc_dim": 8, "mlp_dim": 4, "mini_batch_size": 16}
    tasks = {name: (settings | small, 2) for name, (settings, _) in module.TASKS.items()}
    found = run(module, TASKS=tasks)
    assert len(found["movielens_speed"]["results"]) == 4
    assert [set(race.values()) for race in units] == [{32}] * 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sequences(run, units, precision):
    from benchmarks import sequences

    sizes = {"quick": (16, 8, 1), "wide": (8, 16, 2)}
    found = run(sequences, "--precision", precision, VOCABULARY=50, WIDTH=4, HIDDEN=4, SIZES=sizes)
    (result,) = found.values()
    assert result["precision"] == precision
    assert [(r["encoder"], r["size"]) for r in result["results"][::2]] == [
        (encoder, size) for encoder in ("hcnn", "bilstm") for size in sizes
    ]
    assert [set(race.values()) for race in units] == [{16}] * 4


def test_encoding(run, units):
    from benchmarks import encoding

    rows = {"memory": 40, "files": 30}
    found = run(encoding, ROWS=rows, VOCABULARY=70, WIDTH=8, PEERS={})
    assert found.keys() == {"encoding_memory", "encoding_files"}
    assert units == [{"object2vec": 40, "EmbeddingBag": 40}, {"object2vec encode": 30}]


def test_encoding_text(run, units):
    from benchmarks import encoding_text

    small = {"VOCABULARY": 70, "WIDTH": 8, "LINES": {"few": 20}}
    found = run(encoding_text, "--rounds", "1", **small)["encoding_text"]
    assert units[0].items() >= {"object2vec encode": 20}.items()
    assert set(units[0].values()) == {20}
    assert found["vectors_that_agree"] == 1
    assert {result["lines"] for result in found["results"]} == {20}


def test_reading(run, units):
    from benchmarks import reading

    found = run(reading, "--rounds", "1", ROWS=20, VOCABULARY=30)
    assert set(units[0].values()) == {20}
    assert len(found["reading"]["open_cached_s"]) == 1


def test_table_reading(run, units):
    from benchmarks import table_reading

    sizes = {"NAMES": 30, "USERS": 9, "FILMS": 4, "TEXTS": 20, "WORDS": 5, "VOCABULARY": 30}
    found = run(table_reading, "--rounds", "1", **sizes)
    assert [set(race.values()) for race in units] == [{30}, {20}]
    assert {"object2vec", "pandas", "pyarrow"} <= units[0].keys()
    assert {r["columns"] for r in found["table_reading"]["results"]} == {"names", "texts"}


def test_one_command(run, tmp_path, monkeypatch):
    from benchmarks import one_command

    from object2vec.cli import main

    def command(work, *words):  # without starting a process
        monkeypatch.chdir(work)
        assert main(words) == 0
        return 2**30

    films, packages = tmp_path / "movielens_100k", tmp_path / "npm_package_repo"
    films.mkdir()
    packages.mkdir()
    for name, users in (("ua.base", range(1, 30)), ("ua.test", range(30, 40))):
        lines = [
            f"{user}\t{film}\t{1 + (user + film) % 5}\t0\n" for user in users for film in range(3)
        ]
        (films / name).write_text("".join(lines), encoding="latin-1")
    lines = [f"package{i}\towner{i % 9}\trepository{i % 30}\n" for i in range(60)]
    packed = zstandard.compress("".join(lines).encode())
    (packages / "sample_400k.tsv.zst").write_bytes(packed)
    small = {"NAMES": 50, "FEW_NAMES": 20, "WARM_UP_LINES": 40, "_run": command}
    words = ("--rounds", "1", "--threads", "1", "--data", str(tmp_path))
    found = run(one_command, *words, **small)["one_command"]
    assert [(job["of"], job["rows"]) for job in found["jobs"]] == [("MovieLens", 117), ("npm", 60)]
    for job in found["jobs"]:
        assert job["command"].startswith("object2vec train --train ")
        assert job["rows_per_s"] == job["rows"] * job["epochs"] / job["seconds"]
        assert job["peak_memory_mib"] == 1024
    assert [each["names"] for each in found["opening"]] == [20, 50]
    assert all(len(each["schema_rounds_s"]) == 1 for each in found["opening"])


def test_one_command_knows_the_memory_of_a_command_and_whether_it_failed(tmp_path):
    from benchmarks import one_command

    ours = np.ones(2**26)  # 512 MiB of this process, which are not the command's
    assert 2**23 < one_command._run(tmp_path, "--help") < 2**28 < ours.nbytes
    with pytest.raises(SystemExit, match=r"(?s)object2vec nonsense failed:.*No such command"):
        one_command._run(tmp_path, "nonsense")


def test_startup(run):
    from benchmarks import startup

    found = run(startup, "--rounds", "1", PEERS=("numpy",))
    names = [result["of"] for result in found["startup"]["results"]]
    assert names == [
        "import object2vec",
        "object2vec --help",
        "first step",
        "python -c pass",
        "import numpy",
    ]


def test_memory(run):
    from benchmarks import memory

    found = run(memory, ALLOWANCE_BYTES=1e5, ROWS=128, VOCABULARY=50, WIDTH=8)
    small, large = found["memory"]["runs"]
    assert small["pairs"] < large["pairs"]
    assert large["data_bytes"] >= 1e6
    assert large["of_allowance"] == large["peak_bytes"] / 1e5


@pytest.fixture
def text(tmp_path):
    """Articles of sentences about one of a few things each."""
    draw = np.random.default_rng(0)
    words = np.array(["dog", "hound", "car", "auto", "person", "individual"] * 8)
    words = np.where(np.arange(len(words)) < 6, words, [f"word{i}" for i in range(len(words))])
    lines = ["\t".join(" ".join(draw.choice(words, 9)) for _ in range(6)) for _ in range(60)]
    path = tmp_path / "articles.txt.zst"
    path.write_bytes(zstandard.compress("\n".join(lines).encode()))
    return path


# What a library that is not installed would do: random vectors of all words that are frequent.
STAND_IN = """
import json, sys
from collections import Counter
import numpy as np
text, vectors, threads, width, min_count = sys.argv[1:]
counts = Counter(open(text, encoding="utf-8").read().split())
words = [word for word, count in counts.items() if count >= int(min_count)]
np.save(vectors, np.random.default_rng(0).normal(size=(len(words), int(width))))
print(json.dumps({"s": 2.0, "pass_s": 1.0, "words": words}))
"""


def test_words(run, text, tmp_path, monkeypatch):
    from benchmarks import words

    monkeypatch.chdir(ROOT)  # each turn is a process of its own
    folder = tmp_path / "data"
    for name in ("wikipedia_en_63k", "stsb"):
        (folder / name).mkdir(parents=True)
    text.rename(folder / "wikipedia_en_63k" / "wiki_train_sents.txt.zst")
    judged = "A dog.,the hound,4.5\nA car,one person,0.5\nan auto,car,5\n"
    (folder / "stsb/stsb-en-test.csv.gz").write_bytes(gzip.compress(judged.encode()))
    given = ("--data", str(folder), "--words", "3000", "--rounds", "1")
    found = run(words, *given, _GENSIM=STAND_IN)["words"]
    assert 3000 <= found["words"] < 3009
    assert found["vocabulary"] == 48
    for result in found["results"]:
        assert -1 <= result["sts"] <= 1
        assert result["words_per_s"] <= result["pass_words_per_s"]
    assert [result["of"] for result in found["results"]] == ["object2vec", "gensim"]
    assert found["synonym_pairs"] >= 2
    assert all(0 <= result["hits@10"] <= 1 for result in found["results"])


def test_documents_time(run, text):
    from benchmarks import documents_time as module

    small = module.OURS | {"enc_dim": 8, "mini_batch_size": 40, "enc0_token_embedding_dim": 8}
    found = run(module, "--data", str(text), DEV=5, TEST=20, EPOCHS=(1, 2), OURS=small)
    runs = found["documents_time"]["runs"]
    assert [run["epochs"] for run in runs] == [1, 2]
    assert all(1 <= run["mean_rank"] <= 20 for run in runs)


def test_the_tables_of_the_pages_are_those_of_the_results(monkeypatch):
    from benchmarks import tables

    monkeypatch.setattr(sys, "argv", ["tables", "--check"])
    assert tables.main() == 0


def _of_a_few(rivals):
    """Let the rivals be in this process: two rounds of each must do the same work."""
    turns = {name: function(*arguments) for name, (function, arguments) in rivals.items()}
    return contextlib.nullcontext(turns)


def test_neighbours(run, monkeypatch):
    from benchmarks import movielens_speed
    from benchmarks import neighbours as module

    small = movielens_speed.RATING | {"enc_dim": 8, "mlp_dim": 4, "mini_batch_size": 16}
    tasks = {"small": (movielens_speed, "TASKS", {"rating": (small, 2)}, "rating")}
    monkeypatch.setattr(movielens_speed, "TASKS", {})
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "0")  # the script forgets them, and they come back
    found = run(module, "--rounds", "2", "--task", "small", _TASKS=tasks, lanes=_of_a_few)
    results = found["neighbours"]["results"]
    assert [r["neighbours"] for r in results] == [0, 1, 2, 4]
    assert {len(rounds) for r in results for rounds in r["rounds"].values()} == {2}
    assert all(set(r["per_s"].values()) == {32} and r["of_better"] == 1 for r in results)


def test_epoch_end(run, monkeypatch):
    from benchmarks import epoch_end as module

    small = {"FEW": 50, "MANY": 200, "RECORDS": 64, "WIDTH": 8, "BATCH": 16, "EPOCHS": 2}
    found = run(module, "--rounds", "1", **small, _in_process=module.train)["epoch_end"]
    assert [(r["rows"], r["checkpoints"]) for r in found["results"]] == [
        (50, False),
        (200, False),
        (50, True),
        (200, True),
    ]
    assert all(r["records_per_s"] > 0 and r["cpu_s"] > 0 for r in found["results"])


def test_whole(run, monkeypatch):
    from benchmarks import whole as module

    small = {
        "enc0_network": "pooled_embedding",
        "enc0_max_seq_len": 2,
        "enc0_vocab_size": 9,
        "enc_dim": 4,
        "mlp_dim": 4,
        "mini_batch_size": 4,
    }
    columns = np.ones((8, 2), np.int32), np.ones((8, 1), np.int32), np.arange(8.0) % 2
    tasks = {"small": (lambda: (small, columns), 2)}
    found = run(module, "--rounds", "1", TASKS=tasks, lanes=_of_a_few)["whole"]
    (result,) = found["results"]
    assert result["steps"] == 8
    assert result["command"] == pytest.approx(16 / result["seconds"])
    assert result["log"] > result["command"]
