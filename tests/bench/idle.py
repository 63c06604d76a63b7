"""What clients cost that want nothing: `python -m tests.bench.idle`.

Many watchers on keys that nobody writes, and many leases that are far from their end, on etcd and etcdz in turn: the
memory of the server's processes and the CPU that they use while nothing happens, before and after. Memory is what the
processes do not share (PSS: a page that n of them have counts a n-th for each), for etcdz is many processes.
"""

import argparse
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

import psutil

from etcdz.proto import etcdserverpb as pb
from etcdz.wire import frames as f
from tests.bench import compare, h2load
from tests.bench.rounds import in_turn
from tests.bench.stalled import WATCH, connect, open_stream
from tests.cluster_process import until
from tests.etcd_process import Etcdz, Member, RealEtcd

_GRANT = pb.LeaseGrantRequest(TTL=3_600).SerializeToString()
_STREAM_WATCHERS = 100


class Idle(NamedTuple):
    memory_mib: float
    rss_mib: float
    cpu_percent: float


class Watchers:
    """Watchers of keys of their own, a hundred on a stream; a context manager."""

    def __init__(self, port: int, count: int, connections: int) -> None:
        self._sockets = [connect(port) for _ in range(connections)]
        streams = -(-count // _STREAM_WATCHERS)
        for at in range(streams):
            stream_id = 1 + 2 * (at // connections)
            keys = [b"idle%08d" % number for number in range(at * _STREAM_WATCHERS, (at + 1) * _STREAM_WATCHERS)]
            requests = [pb.WatchRequest(create_request=pb.WatchCreateRequest(key=key)) for key in keys]
            messages = [h2load.grpc_body(request.SerializeToString()) for request in requests]
            sent = open_stream(stream_id, WATCH) + f.encode_frame(f.DATA, 0, stream_id, b"".join(messages))
            self._sockets[at % connections].sendall(sent)
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        """Answers are few, and within the windows: it is enough to take them."""
        readers = [threading.Thread(target=_drain, args=[each], daemon=True) for each in self._sockets]
        for reader in readers:
            reader.start()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._sockets:
            each.close()


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(1 << 16):
            pass
    except OSError:
        pass


def look(member: Member, settle_s: float, seconds: float) -> Idle:
    """Of the next seconds, after a while in which all that was asked for settles."""
    threading.Event().wait(settle_s)
    processes = member.processes()
    before = sum(map(_cpu_s, processes))
    began = time.monotonic()
    threading.Event().wait(seconds)
    used = sum(map(_cpu_s, processes)) - before
    memory = sum(process.memory_full_info().pss for process in processes) / (1 << 20)
    return Idle(memory, compare.rss_mib(member), used / (time.monotonic() - began) * 100)


def _cpu_s(process: psutil.Process) -> float:
    """Of all its threads, by the scheduler's own clock: ticks of 10 ms would hide most of it."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def measure(kind: type[Member], args: argparse.Namespace) -> dict[str, Idle]:
    directory = Path(tempfile.mkdtemp(prefix="idle-", dir=args.dir))
    program = h2load.find_h2load()
    assert program is not None, "h2load is not installed (Debian: nghttp2-client)"
    found = {}
    try:
        with kind(directory) as member:
            found["nothing"] = look(member, args.settle, args.seconds)
            load = h2load.Load(10, 100, args.leases)
            said = h2load.run(program, member.client_url, "/etcdserverpb.Lease/LeaseGrant", _GRANT, load, directory, 0)
            assert not said.errors, said
            found["leases"] = look(member, args.settle, args.seconds)
            with Watchers(member.client_port, args.watchers, args.connections):
                found["leases and watchers"] = look(member, args.settle, args.seconds)
                _check_watchers(member, args.watchers)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return found


def _check_watchers(member: Member, wanted: int) -> None:
    """As many as were asked for, by the server's own metrics, sooner or later."""
    until(lambda: _watchers(member) == wanted, 60, lambda: f"{_watchers(member)} watchers, not {wanted}")


def _watchers(member: Member) -> int:
    with socket.create_connection(("127.0.0.1", member.client_port)) as sock, sock.makefile("rb") as reader:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
        lines = [line for line in reader.read().splitlines() if line.startswith(b"etcd_debugging_mvcc_watcher_total ")]
    (line,) = lines
    return int(float(line.split()[1]))


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.idle", description="The cost of idle watchers and leases.")
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--leases", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each look")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds before each look")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--dir", help="where the data directories go (default: the temporary directory)")
    args = parser.parse_args(argv)
    rounds: dict[str, list[dict[str, Idle]]] = {RealEtcd.kind: [], Etcdz.kind: []}
    for _, kind in in_turn(args.rounds):
        rounds[kind.kind].append(measure(kind, args))
    for name, samples in rounds.items():
        for phase in samples[0]:
            memory, rss, cpu = (median(sample[phase][at] for sample in samples) for at in range(3))
            print(f"{name:6} {phase:20} {memory:7.1f} MiB  (RSS {rss:7.1f})  {cpu:5.2f} % of a CPU")


if __name__ == "__main__":
    main(sys.argv[1:])
