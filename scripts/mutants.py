"""Try small wrong changes on the code, one at a time, and see whether a test notices.

    python scripts/mutants.py map                            # which test runs which lines
    python scripts/mutants.py draw --count 100 --seed 1      # changes, all equally likely
    python scripts/mutants.py run --minutes 60               # the tests on each of them
    python scripts/mutants.py report --equivalent same.json  # what was caught, what was not

Each step writes a file of `.mutants/` that the next one reads. Tests run in copies of the tree, the
tree itself stays as it is. After a change of the code, all of them begin anew.

The tests of a line are those that ran it, in their own process or in one that they started. What
runs on import or is compiled by Numba matters to more than was seen to run it: there it is the
tests that ran a function of the file or of one that imports it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import json
import operator
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

from mutations import FUNCTIONS, body_of, changed, digest, draw, files_of, package_of

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".mutants"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv*", ".mutants", ".*cache")
READS_SOURCE = "tests/project/test_facts.py"  # may notice anything: it parses what others run
COMPILES = re.compile(r"^(from|import) (numba|llvmlite|object2vec\.compiled\.functions)\b", re.M)
FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.M)
SHOWN = ("key", "file", "source", "before", "after")  # of a change, beside its result
LONGEST_S = 1800  # for the tests of one file
MEMORY = 8 << 30  # bytes that a process may take: a wrong number may ask for all there are

Mutant = dict[str, Any]


# --- Tests run in a copy of the tree


class Copy:
    """A copy of the tree, in which one file at a time is changed."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.tree, self._folder = folder / "tree", folder
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        # No two changes have one time: Python knows what it has compiled by time and size alone.
        self._times = count(int(time.time()) + 1)
        shutil.copytree(root, self.tree, ignore=NOT_COPIED)
        package = package_of(self.tree)
        code = f"import {package.name} as package; print(package.__file__)"
        found = self.python(["-c", code], 60)[1].strip()
        if found != str(package / "__init__.py"):
            raise SystemExit(f"{package.name} must be imported from {package}; got {found}")

    def python(self, words: list[str], limit_s: float, **given: str) -> tuple[int | None, str]:
        """Run Python; return its exit code, None after the time limit, and its output."""
        ours = ("PYTEST", "COVERAGE", "MUTANTS", "PYTHONDONTWRITEBYTECODE", "NUMBA_CACHE_DIR")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        kept["PYTHONPATH"] = os.pathsep.join([str(self.tree / "src"), str(Path(__file__).parent)])
        with tempfile.TemporaryFile() as output:  # what a test leaves would keep a pipe open
            self._process = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.tree,
                env=kept | given,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = self._process.wait(limit_s)
            self.kill()
            if self._ended:
                raise KeyboardInterrupt
            output.seek(0)
            return code, output.read().decode(errors="replace")

    def pytest(
        self, tests: list[str], limit_s: float, *options: str, **given: str
    ) -> tuple[int | None, str]:
        """Run tests; return as `python` does."""
        words = ["-m", "pytest", "-q", "--tb=line", "-p", "no:cacheprovider", *options]
        return self.python([*words, f"--basetemp={self._folder / 'tmp'}", *tests], limit_s, **given)

    def kill(self) -> None:
        """Kill what runs and all that it has started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def end(self) -> None:
        """Kill what runs and run nothing more."""
        self._ended = True
        self.kill()

    @contextlib.contextmanager
    def with_change(self, mutant: Mutant) -> Iterator[None]:
        """Have a changed file inside."""
        path = self.tree / mutant["file"]
        source, facts = path.read_bytes(), path.stat()
        if digest(source) != mutant["source"]:
            raise SystemExit(f"{mutant['file']} must be as it was when changes were drawn: draw.")
        try:
            path.write_bytes(changed(source, mutant["edit"]))
            os.utime(path, (next(self._times),) * 2)
            yield
        finally:
            path.write_bytes(source)
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def in_copies(root: Path, workers: int, tasks: list[Any], work: Callable[..., None]) -> None:
    """Call `work` with a copy and a task for all of these, some side by side."""
    lock = threading.Lock()

    def taken() -> Any:
        with lock:
            return tasks.pop(0) if tasks else None

    def go_on(copy: Copy) -> None:
        while (task := taken()) is not None:
            work(copy, task)

    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        copies = [Copy(root, folder / str(n)) for n in range(min(workers, len(tasks)))]
        with ThreadPoolExecutor(workers) as pool:
            try:
                for done in [pool.submit(go_on, copy) for copy in copies]:
                    done.result()
            except BaseException:
                tasks.clear()
                for copy in copies:
                    copy.end()
                raise


def say(text: str) -> None:
    """Print at once, also into a file."""
    print(text, flush=True)


def read(path: Path) -> Any:
    """Return what a file of JSON holds."""
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, value: Any) -> None:
    """Write a file of JSON, which is whole at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    new.replace(path)


# --- Which tests run which lines. The three hooks are pytest's, for which this file is a plugin.

SETTINGS = """
[run]
include = {tree}/src/*
data_file = {folder}/data
parallel = true
context = ${{MUTANTS_TEST-}}
core = ctrace
patch = _exit, fork
disable_warnings = no-data-collected
"""
_seconds: Counter[str] = Counter()
_failed: set[str] = set()


def pytest_runtest_logstart(nodeid: str) -> None:
    """Let all that runs from now on be of this test, also in processes that it starts."""
    from coverage import Coverage

    os.environ["MUTANTS_TEST"] = nodeid.partition("[")[0]
    if (coverage := Coverage.current()) is not None:
        coverage.switch_context(os.environ["MUTANTS_TEST"])


def pytest_runtest_logreport(report: Any) -> None:
    """Add what a test took to the time of its function."""
    test = report.nodeid.partition("[")[0]
    _seconds[test] += report.duration
    if report.failed:
        _failed.add(test)


def pytest_sessionfinish() -> None:
    """Write what each test took, and which failed."""
    write(Path(os.environ["MUTANTS_FOUND"]), {"seconds": _seconds, "failed": sorted(_failed)})


def lines_in(folder: Path, tree: Path) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the lines that ran, with their tests."""
    from coverage import CoverageData, CoverageException

    for path in folder.glob("data.*"):
        with contextlib.suppress(CoverageException):  # of a process that was killed as it wrote
            data = CoverageData(str(path))
            data.read()
            for file in data.measured_files():
                name = Path(file).relative_to(tree).as_posix()
                for line, tests in data.contexts_by_lineno(file).items():
                    yield name, line, tests


def make_map(root: Path, workers: int) -> dict[str, Any]:
    """Run each file of tests by itself; return the tests, and which lines of the package they ran.

    A line's tests are the bits of a number in hexadecimal, in the order of ``tests``.
    """
    if find_spec("coverage") is None:
        raise SystemExit("map: needs coverage. Install it with `pip install coverage`.")
    files = [path.relative_to(root).as_posix() for path in sorted(root.glob("tests/**/test_*.py"))]
    seconds: dict[str, float] = {}
    lines: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    failed, lock, total = set(), threading.Lock(), len(files)

    def record(copy: Copy, file: str) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            settings = folder / "settings"
            settings.write_text(SETTINGS.format(tree=copy.tree, folder=folder), encoding="utf-8")
            given = {"COVERAGE_PROCESS_START": str(settings), "MUTANTS_FOUND": f"{folder}/found"}
            _, output = copy.pytest([file], LONGEST_S, "-p", "mutants", **given)
            if not (folder / "found").exists():
                raise SystemExit(f"{file}: its tests must run; got {output[-2000:]}")
            found = read(folder / "found")
            ran = list(lines_in(folder, copy.tree))
        # To be measured may disturb a test. What passes without is as good as any other.
        wrong = {t for t in found["failed"] if copy.pytest([t], LONGEST_S)[0] != 0}
        with lock:
            failed.update(wrong)
            seconds.update(found["seconds"])
            for name, line, tests in ran:
                lines[name][line].update(tests)
            took = sum(found["seconds"].values())
            say(f"{total - len(files)} of {total}: {file} {took:.0f} s {' '.join(sorted(wrong))}")

    in_copies(root, workers, files, record)
    tests = sorted(seconds.keys() - failed)
    bit = {test: 1 << number for number, test in enumerate(tests)}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    return {
        "commit": commit.stdout.strip(),
        "sources": {file: digest((root / file).read_bytes()) for file in files_of(root)},
        "failed": sorted(failed),
        "tests": [[test, round(seconds[test], 3)] for test in tests],
        "lines": {
            file: {line: f"{sum(bit.get(test, 0) for test in of[line]):x}" for line in sorted(of)}
            for file, of in sorted(lines.items())
        },
    }


class Tests:
    """Which tests may notice a change, from what `make_map` found."""

    def __init__(self, root: Path, found: dict[str, Any]) -> None:
        self._tests, self._lines = found["tests"], found["lines"]
        self._sources = {file: (root / file).read_bytes().decode() for file in files_of(root)}
        if found["sources"] != {file: digest(s.encode()) for file, s in self._sources.items()}:
            raise SystemExit("The map must be of the code as it is: map.")

    def _ran(self, file: str, lines: Iterable[int]) -> int:
        """Return the tests that ran one of the lines, as bits."""
        found = self._lines.get(file, {})
        return functools.reduce(operator.or_, (int(found.get(str(n), "0"), 16) for n in lines), 0)

    def _called(self, file: str) -> int:
        """Return the tests that ran a function of a file, as bits."""
        nodes = [n for n in ast.walk(ast.parse(self._sources[file])) if isinstance(n, FUNCTIONS)]
        return functools.reduce(operator.or_, (self._ran(file, body_of(n)) for n in nodes), 0)

    def _importers(self, file: str) -> set[str]:
        """Return the files that import a file or name it, as what imports late does."""
        *folders, name = Path(file).with_suffix("").parts[1:]
        package = r"\.".join(folders)
        whole = package if name == "__init__" else rf"{package}\.{name}"
        listed = rf"from {package} import (\([^)]*|[^\n(]*)\b{name}\b"
        pattern = re.compile(rf"\b{whole}\b(?!\.\w)|{listed}")
        return {file for file, source in self._sources.items() if pattern.search(source)}

    def _levels(self, mutant: Mutant) -> list[int]:
        """Return the tests that may notice a change, as bits, the likeliest first."""
        file, (first, last) = mutant["file"], mutant["lines"]
        ran = self._ran(file, range(first, last + 1))
        if not mutant["imported"] and (ran or not COMPILES.search(self._sources[file])):
            return [ran]
        levels, files, done = list[int](), {file}, set[str]()
        while files and not (len(levels) > 1 and any(levels)):
            levels.append(functools.reduce(operator.or_, map(self._called, files)))
            done |= files
            files = set().union(*map(self._importers, files)) - done
        return levels

    def of(self, mutant: Mutant) -> list[tuple[str, float]]:
        """Return the tests that may notice a change with their seconds, those of its room first."""
        room = Path(mutant["file"]).with_suffix("").parts[2:3]
        near = re.compile(rf"tests/(test_)?{''.join(room)}(/|\.py)")
        levels, found = self._levels(mutant), []
        for number, (name, seconds) in enumerate(self._tests):
            level = next((n for n, bits in enumerate(levels) if bits >> number & 1), None)
            if level is not None:
                found.append((level, not near.match(name), seconds, name))
        return [(name, seconds) for *_, seconds, name in sorted(found)]

    def choose(self, mutant: Mutant, budget_s: float) -> tuple[list[str], float, int]:
        """Return which tests to run, file by file, what they take, and of how many they are."""
        covering, total, files = self.of(mutant), 0.0, defaultdict[str, list[str]](list)
        for name, seconds in covering:
            if not files or total + seconds <= budget_s:
                files[name.partition("::")[0]].append(name)
                total += seconds
        if files and READS_SOURCE not in files:
            own = [(name, seconds) for name, seconds in self._tests if READS_SOURCE in name]
            files[READS_SOURCE] = [name for name, _ in own]
            total += sum(seconds for _, seconds in own)
        return [name for names in files.values() for name in names], total, len(covering)


# --- Whether a test notices


def run(
    root: Path,
    tests: Tests,
    mutants: list[Mutant],
    results: Path,
    *,
    workers: int = 2,
    minutes: float = 60,
    budget_s: float = 60,
) -> None:
    """Run the tests of each change; add what comes of it to the file `results`."""
    found = {each["key"]: each for each in read(results)} if results.exists() else {}
    tasks, caught, lock = [], set(), threading.Lock()
    for mutant in mutants:
        chosen, seconds, covering = tests.choose(mutant, budget_s)
        old = found.get(mutant["key"], {"source": None})
        more = old.get("outcome") == "survived" and old["tests"] < len(chosen)
        if more or old["source"] != mutant["source"]:
            tasks.append((mutant, chosen, seconds, covering))
    end = time.monotonic() + minutes * 60

    def try_one(copy: Copy, task: tuple[Mutant, list[str], float, int]) -> None:
        if time.monotonic() > end:
            tasks.clear()
            return
        (mutant, chosen, seconds, covering), start = task, time.monotonic()
        outcome, by = "no test", ""
        if chosen:
            with copy.with_change(mutant):
                code, output = copy.pytest(chosen, 3 * seconds + 30, "-x")
            outcome, by = judged(code, output)
        took = round(time.monotonic() - start, 1)
        facts = {"outcome": outcome, "by": by, "seconds": took}
        facts |= {"tests": len(chosen), "covering": covering}
        with lock:
            caught.add(by)
            found[mutant["key"]] = {name: mutant[name] for name in SHOWN} | facts
            write(results, list(found.values()))
            say(f"{outcome:8} {took:6.1f} s  {mutant['key']}: {mutant['after']}")

    in_copies(root, workers, tasks, try_one)
    if wrong := fail_anyway(root, sorted(by for by in caught if "::" in by)):
        say(f"Without a change fail, so that what they caught counts for nothing: {wrong}")
        write(results, [each for each in found.values() if each["by"] not in wrong])


def judged(code: int | None, output: str) -> tuple[str, str]:
    """Return whether tests noticed a change, and which one did, or what came of them."""
    if code == 0:
        return "survived", ""
    test = FAILED.search(output)
    return "caught", "time limit" if code is None else test[1] if test else f"exit code {code}"


def fail_anyway(root: Path, tests: list[str]) -> list[str]:
    """Return those of some tests that fail on the code as it is."""
    failed: list[str] = []

    def record(copy: Copy, tests: list[str]) -> None:
        failed.extend(FAILED.findall(copy.pytest(tests, 3600)[1]))

    in_copies(root, 1, [tests] if tests else [], record)
    return sorted({*failed})


def report(results: list[dict[str, Any]], equivalent: dict[str, str]) -> str:
    """Return what was caught, by room, and each change that was not."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    missed = []
    for each in results:
        outcome = each["outcome"]
        if outcome != "caught" and each["key"] in equivalent:
            outcome = "equivalent"
        elif outcome != "caught":
            missed.append(each)
        for room in (each["file"].split("/")[2].removesuffix(".py"), "all"):
            rooms[room][outcome] += 1
    rows = [f"{'room':12} caught   of  equivalent, not among them"]
    for room in sorted(rooms, key=lambda room: (room == "all", room)):
        same, hits = rooms[room]["equivalent"], rooms[room]["caught"]
        rows.append(f"{room:12} {hits:6} {rooms[room].total() - same:4}  {same or ''}".rstrip())
    for each in missed:
        ran = f"survived {each['tests']} tests, {each['covering']} run it"
        rows += ["", f"{each['key']}: {ran if each['tests'] else 'no test runs it'}"]
        rows += [f"  - {each['before']}", f"  + {each['after']}"]
    return "\n".join(rows)


def parsed(words: list[str] | None) -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    one = steps.add_parser("map", help="record which test runs which lines")
    one.add_argument("--workers", type=int, default=2)
    one = steps.add_parser("draw", help="draw changes")
    one.add_argument("--count", type=int, default=100)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--out", type=Path, default=FOLDER / "drawn.json")
    one = steps.add_parser("run", help="run the tests on each change that has no result yet")
    one.add_argument("drawn", type=Path, nargs="?", default=FOLDER / "drawn.json")
    one.add_argument("--minutes", type=float, default=60, help="after which none is begun")
    one.add_argument("--seconds", type=float, default=60, help="of tests at most for each change")
    one.add_argument("--workers", type=int, default=2)
    one.add_argument("--results", type=Path, default=FOLDER / "results.json")
    one = steps.add_parser("report", help="show what was caught and what was not")
    one.add_argument("results", type=Path, nargs="?", default=FOLDER / "results.json")
    one.add_argument("--equivalent", type=Path, help="JSON: why nobody can notice, by the key")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    """Do one step."""
    import resource  # not on Windows

    given = parsed(words)
    for number in (signal.SIGINT, signal.SIGTERM):  # the tests have sessions of their own: end them
        signal.signal(number, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    if given.step == "map":
        write(FOLDER / "map.json", make_map(ROOT, given.workers))
    elif given.step == "draw":
        write(given.out, draw(ROOT, given.count, given.seed))
    elif given.step == "run":
        options = {"workers": given.workers, "minutes": given.minutes, "budget_s": given.seconds}
        run(
            ROOT,
            Tests(ROOT, read(FOLDER / "map.json")),
            read(given.drawn),
            given.results,
            **options,
        )
    else:
        equivalent = read(given.equivalent) if given.equivalent else {}
        say(report(read(given.results), equivalent))


if __name__ == "__main__":
    main()
