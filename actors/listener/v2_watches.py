"""Clients that wait for keys of the v2 API: streamed answers, over restarts of the backend.

The backend has the watchers (actors/backend/v2_watches.py). A new one is asked again from behind what a client was told
last; history reaches back 1,000 events, and where that is not far enough the answer ends, as etcd's does when it drops
a watcher.
"""

import itertools
from collections import deque
from typing import Final

from actors.listener.exchange import Exchange, Handler
from actors.runtime.link import Links, Peer
from etcdz.ipc.messages import V2Events, V2Watch, V2WatchEnd
from etcdz.v2 import answers
from etcdz.v2.answers import Position
from etcdz.v2.key_request import KeyRequest
from etcdz.v2.watchers import QUEUE_MAX
from etcdz.wire.http1 import Header

_BAD_REQUEST: Final = 400


class V2Watches:
    """All of one listener."""

    def __init__(self, links: Links, slot: int) -> None:
        self._links = links
        self._slot = slot
        self._ids = itertools.count(1)
        self._open: dict[int, _Watch] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, exchange: Exchange, asked: KeyRequest, cluster_id: Header) -> None:
        """Its answer begins when the backend has said from where on it watches."""
        id_ = next(self._ids)
        watch = self._open[id_] = _Watch(self, id_, exchange, asked, cluster_id)
        exchange.handler = watch
        self._links.send("backend", watch.question(self._slot, is_resumed=False))
        self._links.flush()

    def end(self, id_: int) -> None:
        """Nobody waits for it any more."""
        if self._open.pop(id_, None) is not None:
            self._links.send("backend", V2WatchEnd(self._slot, [id_]))

    def on_events(self, message: V2Events) -> None:
        """What the backend has to tell."""
        for id_, start, events, error in message.items:
            watch = self._open.get(id_)
            if watch is not None:
                watch.take(start, events, error)

    def on_peer_up(self, peer: Peer) -> None:
        """A new backend knows of no watches."""
        if peer.kind == "backend":
            for watch in self._open.values():
                self._links.send("backend", watch.question(self._slot, is_resumed=True))


class _Watch(Handler):
    """One client that waits."""

    __slots__ = ("_asked", "_cluster_id", "_exchange", "_id", "_next", "_unsent", "_watches")

    def __init__(self, watches: V2Watches, id_: int, exchange: Exchange, asked: KeyRequest, cluster_id: Header) -> None:
        self._watches = watches
        self._id = id_
        self._exchange = exchange
        self._asked = asked
        self._cluster_id = cluster_id
        self._next = asked.wait_index
        """The first index that it is to be told of; 0: not known yet."""
        self._unsent: deque[bytes] = deque()

    def question(self, slot: int, is_resumed: bool) -> V2Watch:
        flags = self._asked.flags
        is_resumed = is_resumed and self._exchange.is_begun
        return V2Watch(slot, self._id, self._asked.path, flags["recursive"], flags["stream"], self._next, is_resumed)

    def take(self, start: tuple[int, ...], events: list[tuple[int, bytes]], error: bytes) -> None:
        """As V2Events has it. An error of what is done for this client ends its connection alone."""
        exchange = self._exchange
        try:
            if error and not exchange.is_begun:
                self._refuse(start[0], error)
            elif error:
                self._end()
            else:
                self._begin(start)
                self._tell(events)
        except Exception as problem:
            self._watches.end(self._id)
            exchange.fail(problem)
        exchange.flush()

    def _refuse(self, index: int, error: bytes) -> None:
        headers = (b"x-etcd-index", b"%d" % index), self._cluster_id
        self._exchange.answer(_BAD_REQUEST, error + b"\n", answers.JSON.encode(), *headers)
        self._watches.end(self._id)

    def _begin(self, start: tuple[int, ...]) -> None:
        if self._exchange.is_begun:
            return
        index, raft_index, raft_term = start
        self._next = self._next or index + 1
        (_, kind), *headers = answers.index_headers(index, Position(raft_index, raft_term))
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        self._exchange.begin(200, kind.encode(), *encoded, self._cluster_id)

    def _tell(self, events: list[tuple[int, bytes]]) -> None:
        if not events:
            return
        if not self._asked.flags["stream"]:
            self._exchange.send(events[0][1])
            self._end()
            return
        self._next = events[-1][0] + 1
        self._unsent.extend(line for _, line in events)
        self._send()
        if len(self._unsent) > QUEUE_MAX:
            self._end()

    def _send(self) -> None:
        while self._unsent and self._exchange.has_room:
            self._exchange.send(self._unsent.popleft())

    def _end(self) -> None:
        self._exchange.end()
        self._watches.end(self._id)

    def on_writable(self) -> None:
        """The client reads on."""
        self._send()

    def on_gone(self) -> None:
        """The client has closed."""
        self._watches.end(self._id)

    def on_drain(self) -> None:
        """It asks again elsewhere."""
        self._end()
