"""What logins cost, and what auth costs those that have logged in, on etcd and etcdz in turn: for people to read.

    python -m tests.bench.logins rate     logins a second, as fast as the members check passwords
    python -m tests.bench.logins storm    latency of lone gets while others log in
    python -m tests.bench.logins calls    CPU of gets and puts, without auth and with a token

`calls` needs h2load, and shows besides the CPU of etcdz's listeners alone, since it is they who look at tokens.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.bench import h2load
from tests.bench.rounds import in_turn
from tests.etcd_process import Member
from tests.process.load import open_channel, unary
from tests.secure_members import with_token

PASSWORD = "password of root"
KEY = b"logins"
BATCH = h2load.Load(connections=10, streams=10, requests=20_000)


class Latency(NamedTuple):
    """Milliseconds."""

    calls: int
    p50: float
    p99: float
    longest: float


def turn_auth_on(target: str) -> str:
    """return: a token of root's"""
    with open_channel(target) as channel:
        for name, request in (
            ("UserAdd", pb.AuthUserAddRequest(name="root", password=PASSWORD)),
            ("RoleAdd", pb.AuthRoleAddRequest(name="root")),
            ("UserGrantRole", pb.AuthUserGrantRoleRequest(user="root", role="root")),
            ("AuthEnable", pb.AuthEnableRequest()),
        ):
            answer = getattr(pb, f"Auth{name.removeprefix('Auth')}Response")
            unary(channel, f"Auth/{name}", answer)(request, timeout=30, wait_for_ready=True)
        return log_in(channel)


def log_in(channel: grpc.Channel) -> str:
    request = pb.AuthenticateRequest(name="root", password=PASSWORD)
    return str(unary(channel, "Auth/Authenticate", pb.AuthenticateResponse)(request, timeout=60).token)


class Logins:
    """Clients that log in again and again; a context manager. done: how many logins, failed: how many were refused"""

    def __init__(self, target: str, clients: int) -> None:
        self._target = target
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]
        self._lock = threading.Lock()
        self.done = 0
        self.failed = 0

    def _run(self) -> None:
        with open_channel(self._target) as channel:
            while not self._is_over.is_set():
                try:
                    log_in(channel)
                except grpc.RpcError:
                    with self._lock:
                        self.failed += 1
                else:
                    with self._lock:
                        self.done += 1

    def __enter__(self) -> "Logins":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()


def lone_gets(target: str, token: str, seconds: float) -> Latency:
    found: list[float] = []
    with open_channel(target) as plain:
        get = unary(with_token(plain, token), "KV/Range", pb.RangeResponse)
        request = pb.RangeRequest(key=KEY)
        get(request, timeout=30, wait_for_ready=True)
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            get(request, timeout=30)
            found.append((time.monotonic() - began) * 1e3)
    found.sort()
    return Latency(len(found), median(found), found[len(found) * 99 // 100], found[-1])


def rate(member: Member, arguments: argparse.Namespace) -> str:
    turn_auth_on(member.target)
    with Logins(member.target, arguments.clients) as logins:
        time.sleep(arguments.seconds)
        done = logins.done
    return f"{done / arguments.seconds:6.1f} logins/s, {logins.failed} failed"


def storm(member: Member, arguments: argparse.Namespace) -> str:
    token = turn_auth_on(member.target)
    before = lone_gets(member.target, token, arguments.seconds)
    with Logins(member.target, arguments.clients) as logins:
        during = lone_gets(member.target, token, arguments.seconds)
    shown = [f"p50 {each.p50:.2f} p99 {each.p99:.2f} longest {each.longest:.1f} ms" for each in (before, during)]
    return f"{' -> '.join(shown)}; {logins.done} logins meanwhile, {logins.failed} failed"


def calls(member: Member, arguments: argparse.Namespace) -> str:
    """The median of as many runs as there are seconds."""
    put = pb.PutRequest(key=KEY, value=b"v" * 256).SerializeToString()
    get = pb.RangeRequest(key=KEY).SerializeToString()
    kinds = {"put": ("KV/Put", put), "get": ("KV/Range", get)}

    def costs(headers: tuple[str, ...]) -> dict[str, tuple[float, float]]:
        return {
            name: _middle([_cost(member, path, body, headers) for _ in range(max(3, int(arguments.seconds)))])
            for name, (path, body) in kinds.items()
        }

    plain = costs(())
    token = turn_auth_on(member.target)
    authorized = costs((f"token: {token}",))
    lines = []
    for name in kinds:
        whole, listeners = zip(plain[name], authorized[name], strict=True)
        lines.append(f"{name}: {_growth(whole)}" + (f", listeners {_growth(listeners)}" if listeners[0] else ""))
    return "; ".join(lines)


def _cost(member: Member, path: str, body: bytes, headers: tuple[str, ...]) -> tuple[float, float]:
    """CPU us of one call: of the member, and of its listeners."""
    program = h2load.find_h2load()
    assert program is not None
    before = _cpu_s(member)
    with tempfile.TemporaryDirectory() as name:
        url = f"http://{member.target}"
        measured = h2load.run(program, url, f"/etcdserverpb.{path}", body, BATCH, Path(name), 0, headers)
    after = _cpu_s(member)
    whole, listeners = ((new - old) / measured.requests * 1e6 for old, new in zip(before, after, strict=True))
    return whole, listeners


def _cpu_s(member: Member) -> tuple[float, float]:
    times = [(process.name(), sum(process.cpu_times()[:2])) for process in member.processes()]
    return sum(took for _, took in times), sum(took for name, took in times if name.startswith("etcdz:listener"))


def _middle(found: list[tuple[float, float]]) -> tuple[float, float]:
    return median(whole for whole, _ in found), median(listeners for _, listeners in found)


def _growth(pair: tuple[float, ...]) -> str:
    plain, authorized = pair
    return f"{plain:.1f} -> {authorized:.1f} us ({(authorized / plain - 1) * 100:+.0f} %)"


_WHAT: dict[str, Callable[[Member, argparse.Namespace], str]] = {"rate": rate, "storm": storm, "calls": calls}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.logins", description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=list(_WHAT))
    parser.add_argument("--clients", type=int, default=8, help="that log in at a time (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of both in turn (default %(default)s)")
    arguments = parser.parse_args(words)
    if arguments.what == "calls" and h2load.find_h2load() is None:
        parser.error("calls needs h2load (Debian's nghttp2-client)")
    for at, kind in in_turn(arguments.rounds):
        directory = Path(tempfile.mkdtemp(prefix="logins-"))
        try:
            with kind(directory) as member:
                said: Any = _WHAT[arguments.what](member, arguments)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        print(f"round {at}  {kind.kind:6} {said}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
