"""A process that was forked from one that has computed computes on, on one thread."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import types

import pytest

from object2vec.compiled.threads import _after_fork, use_threads

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# Each program prints what its forked child found; `in_child` runs a function there.
HEAD = """
import logging, os, sys, threading, warnings
import numpy as np
from object2vec.devices import set_threads

warnings.simplefilter("ignore")  # Python's own one about threads and forks
ROWS = [[1, 2]] * 3000
DATA = {"in0": ROWS, "in1": [[3]] * 3000, "label": [1, 0] * 1500}


def model(network="pooled_embedding", threads=2):
    from object2vec import Object2Vec

    return Object2Vec(enc0_network=network, enc0_max_seq_len=4, enc0_vocab_size=9, enc_dim=64,
                      mlp_dim=64, epochs=1, threads=threads)


def in_child(function):
    child = os.fork()
    if child == 0:
        os._exit(0 if function() else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    return True
"""
PROGRAMS = {
    "after a fit": """
for network in ("pooled_embedding", "hcnn", "bilstm"):
    fitted = model(network).fit(DATA)
    expected = fitted.encode(in0=ROWS).tobytes()
    scores = fitted.predict(in0=ROWS, in1=ROWS).tobytes()
    in_child(lambda: fitted.encode(in0=ROWS).tobytes() == expected)
    in_child(lambda: np.allclose(np.frombuffer(fitted.predict(in0=ROWS, in1=ROWS).tobytes(),
                                               np.float32), np.frombuffer(scores, np.float32)))
    assert fitted.encode(in0=ROWS).tobytes() == expected  # and the parent goes on
""",
    "of a fork": """
fitted = model().fit(DATA)
expected = fitted.encode(in0=ROWS).tobytes()
in_child(lambda: in_child(lambda: fitted.encode(in0=ROWS).tobytes() == expected))
""",
    "and trains there": """
expected = model().fit(DATA).encode(in0=ROWS).tobytes()
in_child(lambda: model().fit(DATA).encode(in0=ROWS).tobytes() == expected)
""",
    "of a pool": """
import multiprocessing
fitted = model().fit(DATA)
expected = fitted.encode(in0=ROWS[:9]).tobytes()


def work(_):
    return fitted.encode(in0=ROWS[:9]).tobytes()


with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, range(4)) == [expected] * 4
""",
    "while threads compute": """
fitted = model().fit(DATA)
expected, stop = fitted.encode(in0=ROWS).tobytes(), threading.Event()


def compute():
    while not stop.is_set():
        fitted.encode(in0=ROWS)


threads = [threading.Thread(target=compute) for _ in range(2)]
[thread.start() for thread in threads]
for _ in range(5):
    in_child(lambda: fitted.encode(in0=ROWS).tobytes() == expected)
stop.set()
[thread.join() for thread in threads]
""",
    "without PyTorch": """
from object2vec.kernels.cpu.loops.lookup import mean_rows

def pooled():
    out = np.empty((3000, 64), np.float32)
    weight = np.ones((9, 64), np.float32)
    mean_rows(3000, weight, np.ones(6000, np.int32), np.arange(0, 6001, 2), out)
    return (out == 1).all()

assert pooled()
in_child(pooled)
assert "torch" not in sys.modules
""",
    "and asks for threads": """
set_threads(2)
logging.basicConfig(stream=sys.stdout, format="%(message)s")
in_child(lambda: set_threads(2) == 1 and set_threads(1) == 1)
assert set_threads(2) == 2
""",
}


ALONE = ("without PyTorch", "and asks for threads")  # they need a process of their own


def run(*names):
    """Run programs one after another, in one process."""
    code = "\n".join([HEAD, *(f"{PROGRAMS[name]}\nprint({name!r}, 'done')" for name in names)])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "2"},
    )


@pytest.fixture(scope="module")
def one_process():
    return run(*(name for name in PROGRAMS if name not in ALONE))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_forked_child_computes_on_one_thread(name, request):
    done = run(name) if name in ALONE else request.getfixturevalue("one_process")
    said = "This process was forked: it computes on one thread instead of 2. Start it with "
    assert f"{name} done\n" in done.stdout, done.stderr
    assert (said in done.stdout) == (name == "and asks for threads")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("loaded", "is_marked"),
    [({}, False), ({"numba"}, True), ({"torch"}, True), ({"numba", "torch"}, True)],
)
@pytest.mark.parametrize("is_being_imported", [False, True])
def test_a_child_is_marked_as_forked_whatever_its_parent_had_imported(
    loaded, is_marked, is_being_imported, monkeypatch
):
    used, state = [], _after_fork.__globals__  # the package has a function of the module's name
    torch = types.SimpleNamespace()
    if not is_being_imported:
        torch.set_num_threads = used.append
    monkeypatch.setitem(state, "_is_forked", False)
    with monkeypatch.context() as patch:
        for name, module in (("numba", types.ModuleType("numba")), ("torch", torch)):
            if name in loaded:
                patch.setitem(sys.modules, name, module)
            else:
                patch.delitem(sys.modules, name, raising=False)
        _after_fork()
    assert state["_is_forked"] == is_marked
    assert used == ([1] if "torch" in loaded and not is_being_imported else [])


@pytest.mark.parametrize("is_forked", [False, True])
def test_only_who_loses_threads_is_warned(is_forked, monkeypatch, caplog):
    monkeypatch.setitem(use_threads.__globals__, "_is_forked", is_forked)
    monkeypatch.setitem(use_threads.__globals__, "_threads", None)
    assert [use_threads(count) for count in (1, 2)] == [1, 1 if is_forked else 2]
    assert use_threads.__globals__["_threads"] == (1 if is_forked else 2)
    said = [record.getMessage() for record in caplog.records]
    assert [text for text in said if " on one thread instead of 2. " in text] == said
    assert len(said) == is_forked


@pytest.mark.parametrize("has_numba", [False, True])
def test_nobody_compiles_or_computes_while_a_process_forks(has_numba, monkeypatch):
    state, compiler = _after_fork.__globals__, types.SimpleNamespace()
    compiler.global_compiler_lock = threading.RLock()
    name = "numba.core.compiler_lock"
    if has_numba:
        monkeypatch.setitem(sys.modules, name, compiler)
    else:
        monkeypatch.delitem(sys.modules, name, raising=False)

    def are_free():
        """Whether another thread could compute, and compile."""
        found = []

        def look():
            for lock in (state["lock"], compiler.global_compiler_lock):
                found.append(lock.acquire(blocking=False))
                if found[-1]:
                    lock.release()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join()
        return found

    assert are_free() == [True, True]
    state["_before_fork"]()
    held = are_free()
    state["_release"]()
    assert held == [False, not has_numba]
    assert are_free() == [True, True]
