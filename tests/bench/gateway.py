"""What HTTP costs: the JSON gateway, the v2 API and watches over JSON, beside a real etcd. For people to read.

    python -m tests.bench.gateway                         all rows, 3 rounds
    python -m tests.bench.gateway put range --rounds 1    these rows

Requests are h2load's over HTTP/1.1, so all requests of a row are the same. Besides their rate a row has the CPU time
per request, which says more on a machine that others use, too: of all of the member, and of etcdz's listener alone. A
watch row has so many watchers of one key, which is put over gRPC meanwhile; its figures are per event and watcher.
"""

import argparse
import json
import re
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from etcdz.proto import etcdserverpb as pb
from tests.bench import h2load
from tests.bench.rounds import in_turn
from tests.etcd_process import Etcdz, Member, RealEtcd

CONNECTIONS = 50
KEY = b"a-key-of-some-length"
VALUE = b"x" * 256
_FORM = ("content-type: application/x-www-form-urlencoded",)


class Row(NamedTuple):
    """What is sent over and over. body: b"" goes without one"""

    path: str
    body: bytes
    requests: int
    headers: tuple[str, ...] = ()


def _text(data: bytes) -> str:
    return b64encode(data).decode()


_PUT = {"key": _text(KEY), "value": _text(VALUE)}
_TXN = {
    "compare": [{"key": _text(KEY), "target": "VERSION", "result": "GREATER", "version": "0"}],
    "success": [{"request_put": _PUT}],
    "failure": [{"request_range": {"key": _text(KEY)}}],
}
ROWS = {
    "put": Row("/v3/kv/put", json.dumps(_PUT).encode(), 6_000),
    "range": Row("/v3/kv/range", json.dumps({"key": _text(KEY)}).encode(), 10_000),
    "txn": Row("/v3/kv/txn", json.dumps(_TXN).encode(), 5_000),
    "v2-put": Row("/v2/keys/" + KEY.decode(), b"value=" + VALUE, 5_000, (":method: PUT", *_FORM)),
    "v2-get": Row("/v2/keys/" + KEY.decode(), b"", 10_000),
}
WATCHES = {"watch-1": 1, "watch-100": 100}
_PUTS = {1: 10_000, 100: 1_000}


class Figures(NamedTuple):
    """listener_us: 0 where there is no such process"""

    per_second: float
    member_us: float
    listener_us: float


class Meter:
    """CPU time of one member's processes."""

    def __init__(self, member: Member) -> None:
        self._all = member.processes()
        self._listeners = [process for process in self._all if _is_listener(process)]

    def read(self) -> tuple[float, float]:
        """Seconds so far: (of all, of listeners)"""
        return sum(map(_cpu_s, self._all)), sum(map(_cpu_s, self._listeners))


def _is_listener(process: psutil.Process) -> bool:
    return "listener" in process.name() or any("listener-" in word for word in process.cmdline())


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def metered(member: Member, count: int, found: list[Figures]) -> Iterator[list[float]]:
    """Adds the figures of what is done meanwhile, count times. yields where its seconds go, if it has measured them"""
    meter = Meter(member)
    before, began, seconds = meter.read(), time.monotonic(), list[float]()
    yield seconds
    took = seconds[0] if seconds else time.monotonic() - began
    all_s, listener_s = (after - start for after, start in zip(meter.read(), before, strict=True))
    found.append(Figures(count / took, all_s / count * 1e6, listener_s / count * 1e6))


def run_requests(program: str, member: Member, row: Row, work_dir: Path, found: list[Figures]) -> None:
    """One run of a row. raises h2load.LoadFailed: not all were answered well"""
    words = [program, "--h1", "-n", str(row.requests), "-c", str(CONNECTIONS), "-t", "1"]
    for header in row.headers:
        words += ["-H", header]
    if row.body:
        (work_dir / "body").write_bytes(row.body)
        words += ["-d", str(work_dir / "body")]
    with metered(member, row.requests, found) as seconds:
        done = subprocess.run([*words, member.client_url + row.path], capture_output=True, text=True, check=False)
        said = re.search(r"finished in [^,]+, ([\d.]+) req/s", done.stdout)
        good = re.search(r"status codes: (\d+) 2xx", done.stdout)
        if said is None or good is None or int(good[1]) != row.requests:
            raise h2load.LoadFailed(f"{words}\n{done.stdout[-1500:]}{done.stderr[-500:]}")
        seconds.append(row.requests / float(said[1]))


def open_watch(member: Member) -> socket.socket:
    """A watch of KEY that is created."""
    asked = json.dumps({"create_request": {"key": _text(KEY)}}).encode()
    sock = socket.create_connection(("127.0.0.1", member.client_port), timeout=30)
    sock.sendall(b"POST /v3/watch HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (len(asked), asked))
    said = b""
    while b'"created":true' not in said:
        said += sock.recv(65536)
    return sock


def count_events(watches: list[socket.socket], each: int) -> None:
    """Reads until every watch has had so many events. raises OSError, TimeoutError: one has not"""
    mark = b'"mod_revision"'
    rests = dict.fromkeys(watches, b"")
    missing = dict.fromkeys(watches, each)
    with selectors.DefaultSelector() as selector:
        for sock in watches:
            selector.register(sock, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(60)
            if not ready:
                raise TimeoutError(f"{sum(missing.values())} events are missing")
            for key, _ in ready:
                ready_one = key.fileobj
                assert isinstance(ready_one, socket.socket)
                data = rests[ready_one] + ready_one.recv(1 << 18)
                missing[ready_one] -= data.count(mark)
                rests[ready_one] = data[-len(mark) + 1 :]
                if missing[ready_one] <= 0:
                    selector.unregister(ready_one)


def run_watch(program: str, member: Member, watchers: int, work_dir: Path, found: list[Figures]) -> None:
    """Puts over gRPC, and waits until all watchers have seen all of them."""
    puts = _PUTS[watchers]
    message = pb.PutRequest(key=KEY, value=VALUE).SerializeToString()
    with ExitStack() as held:
        watches = [held.enter_context(open_watch(member)) for _ in range(watchers)]
        reader = threading.Thread(target=count_events, args=(watches, puts))
        with metered(member, puts * watchers, found):
            reader.start()
            load = h2load.Load(10, 10, puts)
            h2load.run(program, member.client_url, "/etcdserverpb.KV/Put", message, load, work_dir, 0)
            reader.join()


def measure(names: list[str], rounds: int) -> dict[tuple[str, str], list[Figures]]:
    """The figures of each (row, kind of member), one for each round."""
    program = h2load.find_h2load()
    if program is None:
        raise SystemExit("there is no h2load here")
    found: dict[tuple[str, str], list[Figures]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as directory, ExitStack() as held:
        members: dict[type[Member], Member] = {
            kind: held.enter_context(kind(Path(directory), "--enable-v2")) for kind in (RealEtcd, Etcdz)
        }
        for member in members.values():
            for name in ("put", "v2-put"):  # what other rows read
                run_requests(program, member, ROWS[name]._replace(requests=CONNECTIONS), Path(directory), [])
        for name in names:
            for _, kind in in_turn(rounds):
                target = found.setdefault((name, kind.kind), [])
                if name in ROWS:
                    run_requests(program, members[kind], ROWS[name], Path(directory), target)
                else:
                    run_watch(program, members[kind], WATCHES[name], Path(directory), target)
            show(name, found)
    return found


def show(name: str, found: dict[tuple[str, str], list[Figures]]) -> None:
    """A row: medians."""
    etcd, etcdz = (
        [median(column) for column in zip(*found[name, kind.kind], strict=True)] for kind in (RealEtcd, Etcdz)
    )
    print(
        f"{name:10} {etcd[0]:9,.0f} {etcdz[0]:9,.0f} {etcdz[0] / etcd[0]:6.2f}   {etcd[1]:6.1f} {etcdz[1]:6.1f} "
        f"{etcdz[2]:9.1f}",
        flush=True,
    )


def main(words: list[str]) -> int:
    names = [*ROWS, *WATCHES]
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gateway", description=__doc__.partition("\n")[0])
    parser.add_argument("rows", nargs="*", default=names, help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args(words)
    if unknown := set(arguments.rows) - set(names):
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    print(f"{'':10} {'etcd/s':>9} {'etcdz/s':>9} {'ratio':>6}   {'CPU us':>6} {'etcdz':>6} {'listener':>9}")
    measure(arguments.rows, arguments.rounds)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
