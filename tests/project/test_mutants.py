"""`scripts/mutants.py`: the changes that it makes, their tests, and what those notice."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A source text, and what each of its changes makes of it.
CHANGES = {
    "comparison": {
        "x = a < b": ["x = a <= b"],
        "x = a >= b": ["x = a > b"],
        "x = a == b != c": ["x = a != b != c", "x = a == b == c"],
        "x = (a) in (b)": ["x = (a) not in (b)"],
        "x = a not  in b": ["x = a in b"],
        "x = a is not b": ["x = a is b"],
        "x = a is (not b)": ["x = a is not (not b)"],
    },
    "arithmetic": {
        "x = a + b - c": ["x = a - b - c", "x = a + b + c"],
        "x = a * b": ["x = a / b"],
        "x = a // -b": ["x = a * -b"],
        "x += a": ["x -= a"],
        "x = a ** b % c << d": [],
    },
    "and or": {"x = a and b or c": ["x = a or b or c", "x = a and b and c"]},
    "not": {"x = not a": ["x = a"], "x = not (a or b)": ["x = (a or b)"]},
    "condition": {
        "if a: pass": ["if not (a): pass"],
        "while (a := b): pass": ["while (not (a := b)): pass"],
        "x = a if b < c else d": ["x = a if not (b < c) else d"],
        "x = [a for a in b if a]": ["x = [a for a in b if not (a)]"],
        "if a == b: pass": [],
        "if not a: pass": [],
        "while True: pass": [],
    },
    "number": {
        "x = 0": ["x = 1"],
        "x = -1.5, 'é', 0x10": ["x = -2.5, 'é', 0x10", "x = -1.5, 'é', 17"],
    },
    "boolean": {"x = True": ["x = False"]},
    "removed": {
        "f(a)": ["pass"],
        "x -= a": ["pass"],
        "raise a from b": ["pass"],
        "while a: continue": ["while a: pass"],
        "while a: break": ["while a: pass"],
        "x = f(a)": [],
    },
    "keyword": {
        "x = f(a, b=c)": ["x = f(a, )"],
        "x = f(b=c, d=(e), **g)": ["x = f(d=(e), **g)", "x = f(b=c, **g)"],
    },
    "return": {"def f(): return a, b": ["def f(): return None"], "def f(): return": []},
    "min max": {"x = min(a)": ["x = max(a)"], "x = a.any()": ["x = a.all()"]},
    "slice": {"x = a[b:-1]": ["x = a[(b) + 1:-1]", "x = a[b:(-1) + 1]"], "x = a[1:]": []},
    "default": {
        "def f(a=1, *, b=None, c=True, d): pass": [
            "def f(a=2, *, b=None, c=True, d): pass",
            "def f(a=1, *, b=0, c=True, d): pass",
            "def f(a=1, *, b=None, c=False, d): pass",
        ],
        "def f(a='b'): pass": ["def f(a=None): pass"],
    },
}
LEFT_ALONE = [
    '"""Return 1."""',
    "x: Literal[1]",
    "def f(a: g(b=1)) -> h(b=1): pass",
    "@f(a=1)\ndef g(): pass",
    "assert a < 1, 'our bug'",
    "x = f'{a + 1}'",
    "if TYPE_CHECKING:\n    x = 1",
    "from a import b",
]

TOY = """\
def least(a, b):
    if a < b:
        return a
    return b


def never(a):
    return a + 1


LIMIT = 3
"""
TESTS = """\
from toy import least

def test_least():
    assert least(1, 2) == least(2, 1) == 1
"""
PROCESS = """
def test_process():
    import subprocess, sys
    words = [sys.executable, "-c", "from toy import never; never(1)"]
    subprocess.run(words, check=True)
"""


@pytest.fixture(autouse=True)
def _import_from_scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


@pytest.mark.parametrize("kind", CHANGES)
def test_each_kind_of_change_is_other_code(kind):
    from mutations import changed, edits_of, is_other

    for text, expected in CHANGES[kind].items():
        source = text.encode()
        found = [changed(source, edit) for edit, _ in edits_of(source) if edit[0] == kind]
        assert sorted(new.decode() for new in found) == sorted(expected)
        assert all(is_other(source, new) for new in found)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_does_not_run_is_left_alone(text):
    from mutations import edits_of

    assert edits_of(text.encode()) == []


def test_what_would_not_be_other_code_is_seen():
    from mutations import is_other

    assert not is_other(b"x = 1", b"x = (1)")
    assert not is_other(b"x = 1", b"x = ")
    assert not is_other(b"x = 1", b"x = 1 is 1")  # a warning of Python


def test_changes_are_drawn_by_the_seed_and_know_their_lines(tmp_path):
    from mutations import draw

    toy(tmp_path)
    drawn = draw(tmp_path, 100, 1)
    assert drawn == draw(tmp_path, 100, 1) != draw(tmp_path, 100, 2)
    assert drawn[:3] == draw(tmp_path, 3, 1)
    lines = {m["key"]: (m["before"], m["after"], m["lines"], m["imported"]) for m in drawn}
    package = "src/toy/__init__.py"
    assert lines == {
        f"{package}:2:9:comparison": ("if a < b:", "if a <= b:", [2, 2], False),
        f"{package}:2:7:condition": ("if a < b:", "if not (a < b):", [2, 2], False),
        f"{package}:3:15:return": ("return a", "return None", [3, 3], False),
        f"{package}:4:11:return": ("return b", "return None", [4, 4], False),
        f"{package}:8:13:arithmetic": ("return a + 1", "return a - 1", [8, 8], False),
        f"{package}:8:15:number": ("return a + 1", "return a + 2", [8, 8], False),
        f"{package}:8:11:return": ("return a + 1", "return None", [8, 8], False),
        f"{package}:11:8:number": ("LIMIT = 3", "LIMIT = 4", [11, 11], True),
    }


def toy(root):
    """A package of one file with a test."""
    for name, text in (("src/toy/__init__.py", TOY), ("tests/test_toy.py", TESTS)):
        path = root / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")


def by_hand(root):
    """The map of the toy."""
    from mutations import digest

    file = "src/toy/__init__.py"
    return {
        "sources": {file: digest((root / file).read_bytes())},
        "tests": [["tests/test_toy.py::test_least", 0.1]],
        "lines": {file: {"2": "1", "3": "1", "4": "1"}},
    }


def test_a_change_is_noticed_or_not(tmp_path, capsys):
    from mutants import Tests, read, report, run
    from mutations import draw

    toy(tmp_path)
    drawn = [m for m in draw(tmp_path, 100, 1) if re.search(":(2|8|11):.*(on|er)$", m["key"])]
    drawn = [m for m in drawn if not m["key"].endswith("8:15:number")]
    results = tmp_path / "results.json"
    run(tmp_path, Tests(tmp_path, by_hand(tmp_path)), drawn, results)
    assert (tmp_path / "src/toy/__init__.py").read_text(encoding="utf-8") == TOY
    found = {r["key"].partition(".py:")[2]: r for r in read(results)}
    outcomes = {key: (r["outcome"], r["by"], r["covering"]) for key, r in found.items()}
    assert outcomes == {
        "2:9:comparison": ("survived", "", 1),
        "2:7:condition": ("caught", "tests/test_toy.py::test_least", 1),
        "11:8:number": ("survived", "", 1),
    }
    capsys.readouterr()
    run(tmp_path, Tests(tmp_path, by_hand(tmp_path)), drawn, results)
    assert capsys.readouterr().out == ""  # each has its result
    key = next(m["key"] for m in drawn if "comparison" in m["key"])
    text = report(read(results), {key: "equal ones are one"})
    assert re.search(r"^all +1 +2  1$", text, re.MULTILINE)
    assert "11:8:number: survived 1 tests, 1 run it\n  - LIMIT = 3\n  + LIMIT = 4" in text
    assert key not in text


def test_what_no_test_runs_is_not_tried(tmp_path):
    from mutants import Tests
    from mutations import draw

    toy(tmp_path)
    tests = Tests(tmp_path, by_hand(tmp_path))
    never = next(m for m in draw(tmp_path, 100, 1) if ":8:" in m["key"])
    assert tests.choose(never, 60) == ([], 0.0, 0)


def test_a_map_of_other_code_is_rejected(tmp_path):
    from mutants import Tests

    toy(tmp_path)
    found = by_hand(tmp_path)
    (tmp_path / "src/toy/__init__.py").write_text(TOY + "\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="of the code as it is"):
        Tests(tmp_path, found)


def test_tests_that_fail_anyway_are_found(tmp_path):
    from mutants import fail_anyway

    toy(tmp_path)
    with (tmp_path / "tests/test_toy.py").open("a", encoding="utf-8") as file:
        file.write("\ndef test_wrong():\n    assert least(1, 2) == 2\n")
    tests = [f"tests/test_toy.py::test_{name}" for name in ("least", "wrong")]
    assert fail_anyway(tmp_path, tests) == tests[1:]


def test_a_test_without_end_is_stopped(tmp_path):
    from mutants import Copy

    toy(tmp_path / "root")
    copy = Copy(tmp_path / "root", tmp_path / "copy")
    assert copy.python(["-c", "while True: pass"], 0.3)[0] is None
    assert copy.python(["-c", "print(1)"], 60) == (0, "1\n")


def test_the_tests_of_a_line_are_those_that_ran_it(tmp_path):
    pytest.importorskip("coverage")
    from mutants import make_map

    toy(tmp_path)
    with (tmp_path / "tests/test_toy.py").open("a", encoding="utf-8") as file:
        file.write(PROCESS)
    found = make_map(tmp_path, 1)
    assert [test for test, _ in found["tests"]] == [
        "tests/test_toy.py::test_least",
        "tests/test_toy.py::test_process",
    ]
    lines = found["lines"]["src/toy/__init__.py"]
    assert {n: lines[n] for n in (2, 3, 4, 8)} == {2: "1", 3: "1", 4: "1", 8: "2"}
    assert json.loads(json.dumps(found))["failed"] == []
    assert sys.modules["mutants"]._failed == set()
