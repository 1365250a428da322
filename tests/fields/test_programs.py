"""Compiled code of fields."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from object2vec.fields.kinds import KINDS
from object2vec.fields.spans import TextSpans
from object2vec.fields.strings import compiled_programs

VALUES = ["10.0.0.1", None, " 10.0.0.2", "10.0.0.1"]


@pytest.mark.skipif(compiled_programs() is None, reason="needs Numba")
def test_each_function_is_compiled_once(tmp_path):
    """Not for arrays that may be written and again for those that may not: it takes seconds."""
    for name in ("token", "tokens", "text", "characters", "ipv4"):
        for values in (pa.array(VALUES), pa.array(VALUES).dictionary_encode().slice(1)):
            learner = KINDS[name]().learner()
            kept = learner.observe(values)
            field = learner.finish()
            field.rows(values)
            field.rows_of_kept(kept)
            KINDS[name]().learner(field).observe(
                pa.array(["é", "東"] if name != "ipv4" else VALUES)
            )
    KINDS["token"]().learner().observe(TextSpans(np.full(9, 97, np.uint8), *np.ones((2, 1), int)))
    compiled = {
        name: function.signatures
        for name, function in vars(compiled_programs()).items()
        if hasattr(function, "signatures")
        and function.py_func.__module__ == compiled_programs().__name__
    }
    counts = {n: len(each) for n, each in compiled.items() if not n.startswith("_")}
    assert counts.keys() >= {"add_strings", "find_strings", "split_words", "read_ipv4", "frame"}
    assert set(counts.values()) == {1}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs mprotect and fork")
@pytest.mark.parametrize("name", ["token", "tokens", "text", "characters", "ipv4"])
def test_nothing_is_read_behind_the_end_of_what_is_given(name):
    """The text ends where memory does: whoever reads on is ended by the system."""
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    address = np.frombuffer(memory, np.uint8).ctypes.data + mmap.PAGESIZE
    no_access, protect = 0, ctypes.CDLL(None).mprotect
    assert protect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), no_access) == 0
    parts = [b"10.0.0.1", b"255.255.255.255"]
    if name != "ipv4":
        parts = [b"a" * n + b" bc" for n in range(17)]

    def learned(part, start):
        offsets = pa.py_buffer(np.array([0, len(part)], np.int32))
        values = pa.StringArray.from_buffers(1, offsets, pa.foreign_buffer(start, len(part)))
        learner = KINDS[name]().learner()
        learner.observe(values)
        return [(entry.token, entry.count) for entry in learner.finish().entries()]

    def at_the_end(part):
        memory[mmap.PAGESIZE - len(part) : mmap.PAGESIZE] = part
        return learned(part, address - len(part))

    expected = [learned(part, np.frombuffer(part, np.uint8).ctypes.data) for part in parts]
    child = os.fork()
    if child == 0:
        os._exit(0 if [*map(at_the_end, parts)] == expected else 3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert all(expected)


PROGRAM = """
from object2vec.kernels.cpu.warm import warm
from object2vec.fields.strings import compiled_programs
warm()
programs = vars(compiled_programs())
for name, function in programs.items():
    is_own = hasattr(function, "signatures") and not name.startswith("_")
    if is_own and function.py_func.__module__ == compiled_programs().__name__:
        print(name, len(function.signatures))
"""


@pytest.mark.skipif(compiled_programs() is None, reason="needs Numba")
def test_warming_compiles_all_of_it():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert len(lines) >= 8
    assert all(line.endswith(" 1") for line in lines), lines
