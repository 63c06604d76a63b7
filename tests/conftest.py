"""Flags of the test suite as a whole."""

import signal

import pytest

# What a shell runs in the background ignores SIGINT, and hands that on to all programs that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long form: more rounds, more data")
    group = parser.getgroup("parity", "random conversations with a real etcd and with etcdz (tests/parity)")
    group.addoption("--parity-ops", type=int, default=2_400, help="how many random calls (default %(default)s)")
    group.addoption("--parity-seed", type=int, default=None, help="repeat the run with this seed (default: a new one)")
    group.addoption(
        "--parity-subject",
        choices=["etcdz", "etcd"],
        default="etcdz",
        help="what to hold against the real etcd; `etcd` itself proves the harness",
    )
    sim = parser.getgroup("sim", "simulated Raft clusters (tests/sim)")
    sim.addoption("--sim-seeds", type=int, default=2_000, help="how many seeds to run (default %(default)s)")
