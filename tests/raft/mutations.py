"""Plant bugs in the core, one at a time, and see what catches each: python -m tests.raft.mutations [NAME...] [--short]

Each is played against conversations, the tests named by rules of the thesis, and the simulation (up to --seeds runs),
in a process of its own whose etcdz.raft has the bug. Prints a table, with a * before what breaks a safety rule; exit
status 1 if one was caught by nothing.
--short   what CI does: fewer seeds, and each stage only for what those before have not caught
"""

import argparse
import contextlib
import importlib.machinery
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from tests.raft.planted import BY_NAME, MUTATIONS, Mutation

_ROOT = Path(__file__).parents[2]
_STAGES = ("conversation", "rule", "simulation")
_STAGE_CPU_S = 15  # for the conversations, the rules' tests, or five runs: a bug may make the core run for ever
SEEDS, SEEDS_SHORT = 300, 10


class Caught(NamedTuple):
    """By what, of each stage; None: by nothing, "": not asked."""

    mutation: Mutation
    conversation: str | None
    rule: str | None
    simulation: str | None

    @property
    def by_anything(self) -> bool:
        return bool(self.conversation or self.rule or self.simulation)


def source_file(mutation: Mutation) -> Path:
    return _ROOT / "etcdz" / "raft" / mutation.file


def mutated(mutation: Mutation) -> str:
    """The file's text with the bug. raises ValueError: the text to replace is not there exactly once"""
    source = source_file(mutation).read_text()
    count = source.count(mutation.text)
    if count != 1:
        raise ValueError(f"{mutation.name}: its text is {count} times in {mutation.file}, not once")
    return source.replace(mutation.text, mutation.replacement)


# In the child


class _TooLong(BaseException):
    """Not an Exception: those are answers of the core, which conversations and simulation look at."""


class _Loader(importlib.machinery.SourceFileLoader):
    source = ""

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec", dont_inherit=True)


class _Finder:
    """Loads one module from a text instead of its file."""

    def __init__(self, module: str, source: str) -> None:
        self._module, self._source = module, source

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None):
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.origin is not None
        spec.loader = loader = _Loader(name, spec.origin)
        loader.source = self._source
        return spec


def plant(mutation: Mutation) -> None:
    """Requires: nothing of etcdz.raft is imported yet."""
    assert not any(name.startswith("etcdz.raft") for name in sys.modules)
    sys.meta_path.insert(0, _Finder(f"etcdz.raft.{mutation.file.removesuffix('.py')}", mutated(mutation)))


def by_conversation() -> str | None:
    from tests.raft.conversation import find, play_file
    from tests.raft.test_conversations import OWN, REFERENCE

    for path in find([*REFERENCE, *OWN]):
        if not play_file(path).passed:
            return path.stem
    return None


def by_rule() -> str | None:
    import pytest

    files = sorted(Path(__file__).parent.glob("test_*.py"))
    wanted = [str(file) for file in files if file.stem not in ("test_conversations", "test_mutations")]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
        status = pytest.main(["-n0", *options, *wanted])
    if not status:
        return None
    failed = [line for line in said.getvalue().splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split("::")[-1].split(" ")[0].split("[")[0] if failed else f"pytest ended with {status}"


def by_simulation(seeds: int) -> str | None:
    from tests.sim.many import play_some

    for first in range(0, seeds, 5):
        try:
            with _at_most(_STAGE_CPU_S):
                failures, _ = play_some(list(range(first, min(first + 5, seeds))))
        except _TooLong:
            return f"does not end (seed {first} or soon after)"
        if failures:
            return f"{failures[0].rule} (seed {failures[0].seed})"
    return None


@contextlib.contextmanager
def _at_most(cpu_s: int) -> Iterator[None]:
    """Of CPU time, so that other programs do not make a bug of what is none."""

    def give_up(signum: int, frame: object) -> None:
        raise _TooLong

    signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _stage(find: Callable[[], str | None]) -> str | None:
    try:
        with _at_most(_STAGE_CPU_S):
            return find()
    except _TooLong:
        return "does not end"
    except Exception as error:
        return type(error).__name__


def child(mutation: Mutation, seeds: int, short: bool) -> dict[str, str | None]:
    plant(mutation)
    found: dict[str, str | None] = {"conversation": _stage(by_conversation)}
    found["simulation"] = "" if short and found["conversation"] else by_simulation(seeds)
    found["rule"] = "" if short and any(found.values()) else _stage(by_rule)
    return found


# In the parent


def examine(mutation: Mutation, seeds: int, short: bool) -> Caught:
    command = [sys.executable, "-m", "tests.raft.mutations", "--child", mutation.name, "--seeds", str(seeds)]
    done = subprocess.run(
        [*command, *(["--short"] if short else [])],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{mutation.name}: {done.stderr}")
    return Caught(mutation, **json.loads(done.stdout.splitlines()[-1]))


def examine_all(mutations: Sequence[Mutation], seeds: int, short: bool) -> list[Caught]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda mutation: examine(mutation, seeds, short), mutations))


def _cell(found: str | None) -> str:
    return "-" if found is None else found or "(not asked)"


def table(results: Sequence[Caught]) -> str:
    rows = [("planted bug", *_STAGES)]
    for one in results:
        mark = "*" if one.mutation.safety else " "
        rows.append((f"{mark} {one.mutation.name}", _cell(one.conversation), _cell(one.rule), _cell(one.simulation)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.raft.mutations", description="plant bugs in the core")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these (default: all)")
    parser.add_argument("--short", action="store_true", help="as in CI")
    parser.add_argument("--seeds", type=int, default=0, help=f"runs of the simulation (default {SEEDS})")
    parser.add_argument("--child", metavar="NAME", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    seeds = options.seeds or (SEEDS_SHORT if options.short else SEEDS)
    if options.child:
        print(json.dumps(child(BY_NAME[options.child], seeds, options.short)))
        return 0
    chosen = [BY_NAME[name] for name in options.names] or list(MUTATIONS)
    results = examine_all(chosen, seeds, options.short)
    print(table(results))
    missed = [one.mutation.name for one in results if not one.by_anything]
    print(f"{len(results) - len(missed)} of {len(results)} planted bugs were caught")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
