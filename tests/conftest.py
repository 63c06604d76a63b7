"""Flags of the test suite as a whole.

pytest --fast            only what needs no process, no real etcd and no patience
pytest                   everything, in its usual form
pytest --long            everything, in its extended form: more rounds, more data
pytest --strict-skips    as in CI: a skip that tests/skips.py does not allow is a failure
pytest -n 0              in this process, one test after the other: for a debugger
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Generator

import pytest

from tests.examples import choose_profile
from tests.skips import why_allowed

pytest_plugins = ["pytester"]

LEFT_OUT = ("process", "parity", "slow")
"""Markers of the tests that --fast leaves out."""

# Hundreds of members are started, and each would compile all of the code anew: half of what its start takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# What a shell runs in the background ignores SIGINT, what nohup runs SIGHUP, and both hand that on to all programs to
# which the tests send these signals.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help=f"leave out what is marked {', '.join(LEFT_OUT)}")
    parser.addoption("--long", action="store_true", help="the extended form: more rounds, more data")
    parser.addoption("--strict-skips", action="store_true", help="fail for skips that tests/skips.py does not allow")
    group = parser.getgroup("parity", "random conversations with a real etcd and with etcdz (tests/parity)")
    group.addoption("--parity-ops", type=int, default=1_000, help="how many random calls (default %(default)s)")
    group.addoption("--parity-seed", type=int, default=None, help="of random choices (default: --randomly-seed)")
    group.addoption(
        "--parity-subject",
        choices=["etcdz", "etcd"],
        default="etcdz",
        help="what to hold against the real etcd; `etcd` itself proves the harness",
    )
    sim = parser.getgroup("sim", "simulated Raft clusters (tests/sim)")
    sim.addoption("--sim-seeds", type=int, default=120, help="how many seeds to run (default %(default)s)")


# ---- -n auto ----


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are CPUs: tests of real processes wait for disks and clocks. --fast computes."""
    cpus = len(os.sched_getaffinity(0))
    return cpus if config.getoption("--fast") else cpus + 1


# ---- --fast ----


def pytest_configure(config: pytest.Config) -> None:
    choose_profile(bool(config.getoption("--fast")))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--fast"):
        left_out = [item for item in items if any(item.get_closest_marker(marker) for marker in LEFT_OUT)]
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]
    # The longest files first, or one of them keeps a single worker busy when all others are done. Left to itself, xdist
    # would begin with those of the most tests, which are the fast ones: hence --no-loadscope-reorder in pyproject.toml.
    patient = {item.path for item in items if any(item.get_closest_marker(marker) for marker in LEFT_OUT)}
    items.sort(key=lambda item: item.path not in patient)


# ---- --long ----


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the fixtures, which may take seconds."""
    if item.get_closest_marker("long") and not item.config.getoption("--long"):
        pytest.skip("only with --long")


# ---- what all tests of a process share ----


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Signals, environment and directory are as before when the next test begins. A command that a test has called may
    have changed them: it is the last thing that its own process does."""
    handlers = {signum: signal.getsignal(signum) for signum in signal.valid_signals()}
    environment, directory = dict(os.environ), os.getcwd()
    is_done = yield
    for signum, handler in handlers.items():
        if handler is not None and signal.getsignal(signum) != handler:
            signal.signal(signum, handler)
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
    os.chdir(directory)
    return is_done


# ---- skips ----


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Of a skip: pytest keeps (path, line, "Skipped: why")."""
    where = report.longrepr
    return str(where[2] if isinstance(where, tuple) else where).removeprefix("Skipped: ")


def _refuse(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    """Makes a failure of a skip that is not allowed in CI."""
    if config.getoption("--strict-skips") and report.skipped and not hasattr(report, "wasxfail"):
        reason = _reason(report)
        if why_allowed(reason) is None:
            report.outcome = "failed"
            report.longrepr = f"skipped, which tests/skips.py does not allow: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _refuse(report, item.config)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A file can be skipped as a whole."""
    report = yield
    _refuse(report, collector.config)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Every reason for which tests were skipped, how many, and why that is no gap."""
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    if reasons:
        terminalreporter.section(f"skipped tests: {reasons.total()}")
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count:4} {reason} ({why_allowed(reason) or 'NOT ALLOWED in CI'})")
