"""Many calls at a time over a few connections: so many are under way on each; for each that ends another begins."""

import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from etcdz.wire.client import DONE, ClientSettings, GrpcClientConnection

_GIVE_UP_S: Final = 30.0
"""Without an answer to any call."""


class Request(NamedTuple):
    """One call.

    bodies      its messages; a unary call has one
    wait_s      None: a unary call, that must be answered; else its deadline
    ends        whether END_STREAM follows the last message
    """

    path: bytes
    bodies: tuple[bytes, ...]
    wait_s: float | None = None
    ends: bool = True


class _Peer:
    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), _GIVE_UP_S)
        self.grpc = GrpcClientConnection(ClientSettings(), time.monotonic)

    def begin(self, request: Request) -> None:
        grpc = self.grpc
        if request.wait_s is None:
            grpc.call(request.path, request.bodies[0], _GIVE_UP_S)
            return
        stream_id = grpc.open(request.path, request.wait_s)
        for body in request.bodies:
            grpc.send_message(stream_id, body)
        if request.ends:
            grpc.half_close(stream_id)

    def write(self) -> None:
        output = self.grpc.take_output()
        if output:
            self.socket.sendall(output)


class Storm:
    """streams   calls under way on each connection"""

    def __init__(self, target: str, requests: Iterator[Request], connections: int = 4, streams: int = 48) -> None:
        self._requests = requests
        self._streams = streams
        self._is_over = False
        self._said: Counter[str] = Counter()
        self._peers = [_Peer(target) for _ in range(connections)]

    def run(self) -> dict[str, int]:
        """Until the requests are over and answered. return counts: requests, codeN for each status, connections that
        the member has ended ("lost"), calls without an answer ("unanswered")"""
        with selectors.DefaultSelector() as selector:
            for peer in self._peers:
                selector.register(peer.socket, selectors.EVENT_READ, peer)
            self._turn(selector)
        self._said["unanswered"] = sum(peer.grpc.open_streams for peer in self._peers)
        for peer in self._peers:
            peer.socket.close()
        return dict(sorted(self._said.items()))

    def _turn(self, selector: selectors.BaseSelector) -> None:
        until = time.monotonic() + _GIVE_UP_S
        while self._fill() and time.monotonic() < until:
            for key, _ in selector.select(0.05):
                until = time.monotonic() + _GIVE_UP_S
                if not self._read(key.data):
                    selector.unregister(key.fileobj)
                    self._peers.remove(key.data)
            for peer in self._peers:
                self._count(peer.grpc.expire(time.monotonic()))

    def _fill(self) -> bool:
        """Begins what there is room for. return whether anything is still to come"""
        for peer in self._peers:
            while not self._is_over and peer.grpc.open_streams < self._streams:
                request = next(self._requests, None)
                if request is None:
                    self._is_over = True
                    break
                peer.begin(request)
                self._said["requests"] += 1
            peer.write()
        return any(peer.grpc.open_streams for peer in self._peers) or bool(self._peers and not self._is_over)

    def _read(self, peer: _Peer) -> bool:
        try:
            data = peer.socket.recv(1 << 18)
        except OSError:
            data = b""
        if not data:
            self._said["lost"] += 1
            return False
        self._count(peer.grpc.receive(data))
        return True

    def _count(self, events: list[tuple[Any, ...]]) -> None:
        for event in events:
            if event[0] == DONE:
                self._said[f"code{int(event[2])}"] += 1
