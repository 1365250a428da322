"""Memory that is freed stays with the process, unless the user says otherwise; whole products."""

import os
import platform
import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from object2vec.devices import (
    _shorten_waiting,
    computing,
    find_device,
    full_precision,
    large_zeros,
    memory_bytes,
    peak_memory_bytes,
    release_freed_memory,
    retain_freed_memory,
    set_threads,
    side_by_side,
    sparse_zeros,
)
from object2vec.errors import ConfigError

# Frees 24 MB many times and counts the pages that the system had to map again.
PROGRAM = """
import resource
import numpy as np
from object2vec.devices import release_freed_memory, retain_freed_memory

print(int(retain_freed_memory()))
for i in range(60):
    parts = [np.ones(2**20) for _ in range(3)]
    if i == 9:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del parts
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
release_freed_memory()
"""
GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


def run(program=PROGRAM, **environment):
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"NUMPY_MADVISE_HUGEPAGE": "0"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    kept, faults = map(int, done.stdout.split())
    return bool(kept), faults


@GLIBC
def test_freed_memory_is_used_again_without_new_pages():
    kept, faults = run()
    assert kept
    assert faults < 24 * 2**20 / 4096  # fewer than one round of fresh pages in fifty rounds


# Three threads one after another, all of them alive, fill 24 MB and free them.
TURNS = """
import resource
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from object2vec.devices import retain_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    del [np.ones(2**20) for _ in range(3)][:]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(int(retain_freed_memory()))
pools = [ThreadPoolExecutor(1) for _ in range(3)]
print(max([pool.submit(faults).result() for pool in pools][1:]))
"""


@GLIBC
def test_memory_that_a_thread_has_freed_is_there_for_the_others():
    kept, faults = run(TURNS)
    assert kept
    assert faults < 24 * 2**20 / 4096 / 4
    kept, faults = run(TURNS, MALLOC_ARENA_MAX="64")  # as the user wants it
    assert kept
    assert faults >= 24 * 2**20 / 4096


@pytest.mark.parametrize(
    "name", ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"]
)
def test_whoever_sets_the_allocator_keeps_it(name, monkeypatch):
    monkeypatch.setenv(name, "")
    monkeypatch.setattr("ctypes.CDLL", None)  # nothing is called
    assert not retain_freed_memory()


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr("ctypes.CDLL", None)
    assert not retain_freed_memory()
    release_freed_memory()


@GLIBC
def test_settings_of_the_user_stay():
    kept, faults = run(MALLOC_TRIM_THRESHOLD_="0", MALLOC_MMAP_THRESHOLD_="100000")
    assert not kept
    assert faults > 40 * 24 * 2**20 / 4096  # every round maps its pages again


def resident() -> int:
    """The bytes of memory that this process holds; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


def test_rows_of_sparse_zeros_cost_no_more_than_their_own_memory():
    zeros = sparse_zeros((1_000_000, 50))
    before = resident()
    zeros[::2000] = 1.0  # 500 rows, each in a page of 2 MiB with ten others
    assert resident() - before < 20 * 2**20
    assert zeros.sum() == 500 * 50


@pytest.mark.parametrize("zeros_of", [large_zeros, sparse_zeros])
@pytest.mark.parametrize("shape", [(3,), (0, 5), (7, 300), (1_000_000, 50)])
def test_large_zeros_are_aligned_zeros_that_cost_nothing_yet(shape, zeros_of):
    before = resident()
    zeros = zeros_of(shape)
    assert resident() - before < 10 * 2**20
    assert zeros.shape == shape
    assert zeros.dtype == torch.float32
    assert zeros.data_ptr() % 64 == 0 or not zeros.numel()
    assert not zeros.any()
    zeros += 1
    assert zeros.sum() == zeros.numel()


# Prints the milliseconds that idle threads compute after each of 20 parallel works.
WAITING = """
import os, time
for name in list(os.environ):
    if "OMP_" in name:
        del os.environ[name]
import torch
from object2vec.devices import set_threads
set_threads(2)
time.sleep(0.5)  # the team that was made just now waits as OpenMP has it, once
x, used = torch.zeros(1 << 18), []
for _ in range(20):
    x.add_(1)
    before = time.process_time()
    time.sleep(0.05)
    used.append(time.process_time() - before)
print(1000 * max(used))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="GNU's OpenMP")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_threads_without_work_leave_their_core_to_others():
    command = [sys.executable, "-c", WAITING]
    for _ in range(3):  # other processes can only add to what waiting costs
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        if (cost := float(done.stdout)) < 1.0:
            break
    assert cost < 1.0  # 3 to 16 as OpenMP has it


def test_products_are_those_of_float32_while_a_block_runs():
    """Of every library that PyTorch asks; what was set before holds again afterwards."""
    backends = torch.backends
    products = (backends.cudnn.rnn, backends.cuda.matmul, backends.mkldnn.matmul)
    before = [product.fp32_precision for product in products]
    assert before[0] == "tf32"  # an LSTM's default on a GPU
    for block in (full_precision(), computing(1)):
        with block:
            assert all(product.fp32_precision in ("ieee", "none") for product in products)
        assert [product.fp32_precision for product in products] == before


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_works_run_side_by_side_each_on_one_thread(threads, small):
    """Three threads meet only if all of them are at work at once."""
    width = 1 if small else threads
    together = threading.Barrier(width)

    def work(number: int) -> tuple[int, int, int]:
        together.wait(60)
        return number, torch.get_num_threads(), threading.get_ident()

    with computing(threads):
        works = [lambda n=n: work(n) for n in range(width * 2)]
        found = side_by_side(works, small=small)
        assert torch.get_num_threads() == threads
    assert [number for number, _, _ in found] == list(range(width * 2))
    assert {count for _, count, _ in found} == {1}
    assert len({ident for _, _, ident in found}) == width
    assert threading.get_ident() in {ident for _, _, ident in found}


def test_works_wait_for_no_helper_that_has_not_begun(monkeypatch):
    """As where others keep the cores: the caller does all that nobody else has taken."""
    busy, over = ThreadPoolExecutor(1), threading.Event()
    busy.submit(over.wait)
    monkeypatch.setattr("object2vec.devices._helpers", lambda: busy)
    with computing(2):
        assert side_by_side([lambda n=n: n for n in range(5)]) == list(range(5))
    over.set()
    busy.shutdown()


@pytest.mark.parametrize("first", [False, True])
def test_a_work_that_fails_says_so_and_the_threads_stay(first):
    """Whether the caller has taken it or a helper."""
    caller, together = threading.get_ident(), threading.Barrier(2)

    def work() -> None:
        together.wait(60)
        if (threading.get_ident() == caller) == first:
            raise ValueError("no")

    with computing(2):
        with pytest.raises(ValueError, match="no"):
            side_by_side([work, work])
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("name", ["autocast", "inference_mode", "no_grad", "device"])
def test_computing_is_what_it_is_by_default_and_leaves_what_was_set(name):
    ambient = {
        "autocast": torch.autocast("cpu", dtype=torch.bfloat16),
        "inference_mode": torch.inference_mode(),
        "no_grad": torch.no_grad(),
        "device": torch.device("meta"),
    }[name]

    def state():
        product = torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
        return product.dtype, product.device.type, product.requires_grad, product.is_inference()

    by_default = (torch.float32, "cpu", True, False)
    assert state() == by_default
    with ambient:
        before = state()
        with computing(1):
            assert state() == by_default
        assert state() == before != by_default


PHYSICAL = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}


@pytest.mark.parametrize(
    ("files", "has_pages", "found"),
    [
        ({}, True, 4_096_000),
        ({"memory.max": "2000\n"}, True, 2000),
        ({"memory.max": "max\n"}, True, 4_096_000),
        ({"memory.limit_in_bytes": "3000"}, True, 3000),
        ({"memory.limit_in_bytes": "9223372036854771712"}, True, 4_096_000),
        ({"memory.max": "0"}, True, 0),
        ({"memory.max": "2000"}, False, 2000),
        ({}, False, None),
    ],
)
def test_memory_is_that_of_the_machine_or_what_its_container_may_have(
    files, has_pages, found, tmp_path, monkeypatch
):
    paths = [tmp_path / name for name in ("memory.max", "memory.limit_in_bytes")]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr("object2vec.devices._MEMORY_LIMITS", tuple(map(str, paths)))
    monkeypatch.setattr(os, "sysconf_names", dict(PHYSICAL) if has_pages else {}, raising=False)
    monkeypatch.setattr(os, "sysconf", PHYSICAL.__getitem__, raising=False)
    assert memory_bytes("cpu") == found
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: {"cuda:1": (5, 7)}[device])
    assert memory_bytes("cuda:1") == 7  # all of it, not what is free


@pytest.mark.parametrize(
    ("name", "gpus", "found"),
    [
        ("auto", 0, "cpu"),
        ("auto", 2, "cuda:0"),
        ("cpu", 2, "cpu"),
        ("cuda", 2, "cuda:0"),
        ("cuda:1", 2, "cuda:1"),
        ("cuda:2", 2, None),
        ("cuda:1", 1, None),
        ("cuda", 0, None),
    ],
)
def test_a_device_is_one_that_is_there(name, gpus, found, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    if found is not None:
        assert find_device(name) == found
        return
    with pytest.raises(ConfigError, match=f"{gpus} CUDA devices are; got '{name}'. Choose cpu"):
        find_device(name)


def test_all_cores_compute_unless_it_is_said_how_many(monkeypatch):
    monkeypatch.setattr("object2vec.devices.available_cores", lambda: 3)
    before = torch.get_num_threads()
    for count, found in ((0, 3), (2, 2), (1, 1)):
        assert set_threads(count) == torch.get_num_threads() == found
    set_threads(before)


@pytest.mark.parametrize(("system", "factor"), [("linux", 1024), ("darwin", 1), ("win32", None)])
def test_peak_memory_is_in_bytes_where_the_system_says_it(system, factor, monkeypatch):
    resource = pytest.importorskip("resource")
    usage = types.SimpleNamespace(ru_maxrss=70_000)
    monkeypatch.setattr(resource, "getrusage", {resource.RUSAGE_SELF: usage}.__getitem__)
    monkeypatch.setattr(sys, "platform", system)
    assert peak_memory_bytes() == (factor and 70_000 * factor)


def test_threads_of_another_system_wait_as_they_do(monkeypatch):
    """GNU's OpenMP is Linux's: elsewhere no thread is kept to make the others sleep."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(threading, "Thread", None)
    _shorten_waiting.__wrapped__()


def test_computing_is_in_float32_whatever_the_default_is():
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with computing(1):
            assert torch.zeros(2).dtype == torch.float32
            torch.set_default_dtype(torch.float16)  # as somebody may who is called there
        assert torch.zeros(2).dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_as_many_threads_compute_after_a_block_as_before():
    with computing(3) as threads:
        assert threads == torch.get_num_threads() == 3
        with computing(2) as fewer:
            assert fewer == torch.get_num_threads() == 2
        assert torch.get_num_threads() == 3
