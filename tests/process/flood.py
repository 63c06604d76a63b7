"""As many puts as the member takes, by a process of its own: `python -m tests.process.flood host:port --puts 60000`.

Prints a JSON line about once a second, and one at the end: {"puts", "errors": {"code text": count}, "seconds", "done"}.
Nothing is recorded of single calls; load.py does that, at a tenth of the rate.
"""

import argparse
import json
import selectors
import socket
import sys
import time
from collections import Counter
from typing import Final

from etcdz.proto import etcdserverpb as pb
from etcdz.wire.client import ClientSettings, GrpcClientConnection
from etcdz.wire.events import DONE

PUT: Final = b"/etcdserverpb.KV/Put"
REPORT_S: Final = 1.0
_READ_BYTES: Final = 1 << 18


class Peer:
    """One connection, with up to `streams` calls under way."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.grpc = GrpcClientConnection(ClientSettings(), time.monotonic)
        self.under_way = 0

    def write(self) -> None:
        output = self.grpc.take_output()
        if output:
            self.socket.sendall(output)


class Flood:
    """puts in all over `keys` keys; put number n goes to key n modulo keys."""

    def __init__(self, target: str, puts: int, keys: int, value_bytes: int, connections: int, streams: int) -> None:
        self.puts = puts
        self.streams = streams
        self.done = 0
        self.sent = 0
        self.errors: Counter[str] = Counter()
        self.peers = [Peer(target) for _ in range(connections)]
        value = b"v" * value_bytes
        self.bodies = [pb.PutRequest(key=b"bounded/%08d" % n, value=value).SerializeToString() for n in range(keys)]
        self.began = time.monotonic()

    def run(self) -> None:
        selector = selectors.DefaultSelector()
        for peer in self.peers:
            selector.register(peer.socket, selectors.EVENT_READ, peer)
            self._fill(peer)
        report_at = self.began + REPORT_S
        while self.done < self.puts:
            for key, _ in selector.select(REPORT_S):
                self._read(key.data)
            if time.monotonic() >= report_at:
                report_at += REPORT_S
                self.report()

    def _fill(self, peer: Peer) -> None:
        count = min(self.streams - peer.under_way, self.puts - self.sent, peer.grpc.room)
        bodies, keys, call = self.bodies, len(self.bodies), peer.grpc.call
        for number in range(self.sent, self.sent + count):
            call(PUT, bodies[number % keys])
        peer.under_way += count
        self.sent += count
        peer.write()

    def _read(self, peer: Peer) -> None:
        data = peer.socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the member closed a connection")
        for kind, _, code, text, _ in peer.grpc.receive(data):
            if kind == DONE:
                peer.under_way -= 1
                self.done += 1
                if code:
                    self.errors[f"{int(code)} {text}"] += 1
        self._fill(peer)

    def report(self) -> None:
        seconds = time.monotonic() - self.began
        line = {"puts": self.done, "errors": self.errors, "seconds": round(seconds, 3), "done": self.done >= self.puts}
        print(json.dumps(line), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.process.flood")
    parser.add_argument("target")
    parser.add_argument("--puts", type=int, default=60_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--value-bytes", type=int, default=256)
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--streams", type=int, default=100)
    args = parser.parse_args()
    flood = Flood(args.target, args.puts, args.keys, args.value_bytes, args.connections, args.streams)
    flood.run()
    flood.report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
