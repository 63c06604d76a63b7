"""What clients that do not read cost: `python -m tests.bench.stalled`.

Watch streams on all keys, with prev_kv, are opened and never read while others put: etcd and etcdz in turn, each round
with fresh members. What is printed is put throughput before, while the streams fill up and once they are full, and the
memory of the server's processes after each. Nothing here asserts anything about time.

    --mode=streams    the connections are read, but no stream's window is ever opened again (an application that hangs)
    --mode=sockets    nothing is read at all (a process that hangs)
"""

import argparse
import shutil
import socket
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from statistics import median
from typing import NamedTuple

from etcdz.proto import etcdserverpb as pb
from etcdz.wire import frames as f
from etcdz.wire.header_block import plain_block
from tests.bench import compare, h2load
from tests.bench.rounds import in_turn
from tests.etcd_process import Etcdz, Member, RealEtcd

WATCH = b"/etcdserverpb.Watch/Watch"
_ALL_KEYS = pb.WatchRequest(create_request=pb.WatchCreateRequest(key=b"\0", range_end=b"\0", prev_kv=True))
_ROW = compare.Row("put 10x100", "put", 10, 100)
PHASES = ("before", "filling", "stalled")


class Phase(NamedTuple):
    per_second: float
    p99_ms: float
    rss_mib: float


class Stalled:
    """Watch streams whose client has stopped reading; a context manager."""

    def __init__(self, port: int, streams: int, connections: int, mode: str) -> None:
        self._sockets = [connect(port) for _ in range(connections)]
        for at in range(streams):
            stream_id = 1 + 2 * (at // connections)
            message = f.encode_frame(f.DATA, 0, stream_id, h2load.grpc_body(_ALL_KEYS.SerializeToString()))
            self._sockets[at % connections].sendall(open_stream(stream_id, WATCH) + message)
        self._created = 0
        self._ending = False
        self._reads = mode == "streams"
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Stalled":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._thread.join()
        for each in self._sockets:
            each.close()

    def _read(self) -> None:
        """Takes what comes and gives back the connection's window, never a stream's."""
        selector = DefaultSelector()
        for each in self._sockets:
            selector.register(each, EVENT_READ)
        while not self._ending:
            for key, _ in selector.select(0.1) if self._reads else []:
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                size = len(sock.recv(1 << 20))
                with suppress(OSError):
                    sock.sendall(f.encode_window_update(0, size) if size else b"")
            if not self._reads:
                threading.Event().wait(0.1)
        selector.close()


def connect(port: int) -> socket.socket:
    """An HTTP/2 connection that has said hello."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.sendall(f.PREFACE + f.encode_settings([]) + f.SETTINGS_ACK)
    return sock


def open_stream(stream_id: int, path: bytes) -> bytes:
    """HEADERS of a streaming call."""
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"bench")]
    fields += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    return f.encode_frame(f.HEADERS, f.END_HEADERS, stream_id, plain_block(tuple(fields)))


def measure(kind: type[Member], args: argparse.Namespace) -> dict[str, Phase]:
    """One fresh member through all phases."""
    directory = Path(tempfile.mkdtemp(prefix="stalled-", dir=args.dir))
    program = h2load.find_h2load()
    assert program is not None, "h2load is not installed (Debian: nghttp2-client)"
    generator = compare.H2Load(program)
    found = {}
    try:
        with kind(directory) as member, ExitStack() as stack:
            generator.run(member, _ROW, 5_000, 0)
            for phase in PHASES:
                if phase == "filling":
                    stack.enter_context(Stalled(member.client_port, args.streams, args.connections, args.mode))
                said = generator.run(member, _ROW, args.requests, 0)
                assert not said.errors, said
                found[phase] = Phase(said.per_second, said.p99_ms, compare.rss_mib(member))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return found


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="tests.bench.stalled", description="The cost of clients that do not read.")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--mode", choices=("streams", "sockets"), default="streams")
    parser.add_argument("--requests", type=int, default=50_000, help="puts of each phase (default 50000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", help="where the data directories go (default: the temporary directory)")
    args = parser.parse_args(argv)
    rounds: dict[str, list[dict[str, Phase]]] = {RealEtcd.kind: [], Etcdz.kind: []}
    for number, kind in in_turn(args.rounds):
        rounds[kind.kind].append(measure(kind, args))
        print(f"round {number} {_line(kind.kind, rounds[kind.kind][-1:])}", file=sys.stderr)
    for name, samples in rounds.items():
        print(_line(name, samples))


def _line(name: str, samples: list[dict[str, Phase]]) -> str:
    parts = []
    for phase in PHASES:
        rate, p99, rss = (median(sample[phase][at] for sample in samples) for at in range(3))
        change = median(sample[phase].per_second / sample["before"].per_second for sample in samples) - 1
        parts.append(f"{phase} {rate:8,.0f} put/s ({change:+.0%}) p99 {p99:6.1f} ms {rss:6.0f} MiB")
    return f"{name:6} " + "   ".join(parts)


if __name__ == "__main__":
    main(sys.argv[1:])
