"""/v2/stats/self and /v2/stats/leader: what the peer actor has counted of appends, with who leads since when.

Counts begin anew with the peer actor; since when somebody leads, with this listener. Source: etcd 3.5 v2http client
(statsHandler)
"""

import itertools
import time
from collections.abc import Callable
from typing import Final

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange, Handler
from actors.listener.http_router import Route
from actors.listener.v2_call import give
from actors.runtime.link import Links, Peer
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import AppendFigures, AppendFiguresAsk
from etcdz.v2.answers import JSON, message_answer
from etcdz.v2.append_statistics import Flow
from etcdz.v2.member_statistics import Standing, leader_json, self_json, unix_ns

_JSON: Final = JSON.encode()
Encode = Callable[[AppendFigures], str]


class V2Statistics:
    """Of one listener."""

    def __init__(self, calls: Calls, links: Links, boot: Boot) -> None:
        self._calls = calls
        self._links = links
        self._name = boot.name
        self._began_ns = unix_ns(boot.member_began_s or time.time())
        self._leader = 0
        self._leads_since_ns = self._began_ns
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Waiting] = {}

    def routes(self) -> list[Route]:
        """What is served here."""
        return [Route(b"/v2/stats/self", self._serve_self), Route(b"/v2/stats/leader", self._serve_leader)]

    def on_leader(self, leader: int) -> None:
        """Who leads, 0: nobody, and then it is still told who has led last."""
        if leader not in (0, self._leader):
            self._leader, self._leads_since_ns = leader, time.time_ns()

    def on_peer_up(self, peer: Peer) -> None:
        """A new peer actor knows of no questions."""
        if peer.kind == "peer":
            for id_ in self._waiting:
                self._ask(id_)

    def on_figures(self, message: AppendFigures) -> None:
        """The answer to one."""
        waiting = self._waiting.pop(message.id, None)
        if waiting is not None:
            waiting.answer(message)

    def forget(self, id_: int) -> None:
        """Nobody waits any more."""
        self._waiting.pop(id_, None)

    def _serve_self(self, exchange: Exchange) -> None:
        self._begin(exchange, self._self)

    def _serve_leader(self, exchange: Exchange) -> None:
        member_id = self._calls.members.known.member_id
        if self._calls.leader != member_id:
            give(exchange, message_answer(403, "not current leader"))
        else:
            self._begin(exchange, lambda figures: leader_json(member_id, figures.followers))

    def _self(self, figures: AppendFigures) -> str:
        known = self._calls.members.known
        own = known.by_id.get(known.member_id)
        name = "" if own is None else own.name
        standing = Standing(name, known.member_id, self._began_ns, self._leader, self._leads_since_ns)
        return self_json(standing, Flow(*figures.sent), Flow(*figures.received), time.time_ns())

    def _begin(self, exchange: Exchange, encode: Encode) -> None:
        id_ = next(self._ids)
        exchange.handler = self._waiting[id_] = _Waiting(self, id_, exchange, encode)
        self._ask(id_)
        self._links.flush()

    def _ask(self, id_: int) -> None:
        self._links.send("peer", AppendFiguresAsk(self._name, id_))


class _Waiting(Handler):
    """One client that waits for figures."""

    __slots__ = ("_encode", "_exchange", "_id", "_statistics")

    def __init__(self, statistics: V2Statistics, id_: int, exchange: Exchange, encode: Encode) -> None:
        self._statistics = statistics
        self._id = id_
        self._exchange = exchange
        self._encode = encode

    def answer(self, figures: AppendFigures) -> None:
        """An error of it ends this client's connection alone."""
        try:
            self._exchange.answer(200, self._encode(figures).encode(), _JSON)
        except Exception as error:
            self._exchange.fail(error)
        self._exchange.flush()

    def on_gone(self) -> None:
        self._statistics.forget(self._id)
