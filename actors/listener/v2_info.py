"""What the v2 API says of members: /v2/members, /v2/machines, /v2/stats/store.

Source: etcd 3.5 v2http client (membersHandler, deprecatedMachinesHandler, statsHandler)
"""

from typing import Any, Final

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange
from actors.listener.http_router import PLAIN_TEXT, Route
from actors.listener.v2_call import V2Call, cluster_id_header, give
from etcdz.api.methods import V2_STATISTICS
from etcdz.cluster.membership import Member, encode_json
from etcdz.v2.answers import JSON, HttpAnswer, message_answer

_JSON: Final = JSON.encode()
_MEMBERS: Final = b"/v2/members"


class V2Info:
    """Of one listener."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(_MEMBERS, self._members),
            Route(_MEMBERS + b"/", self._members, is_prefix=True),
            Route(b"/v2/machines", self._machines, methods=(b"GET", b"HEAD")),
            Route(b"/v2/stats/store", self._statistics),
        ]

    def _members(self, exchange: Exchange) -> None:
        below = exchange.request.path[len(_MEMBERS) :].strip(b"/")
        known = self._calls.members.known
        if not below:
            listed = {"members": [_described(member) for member in known.sorted_members()]}
            self._answer(exchange, encode_json(listed) + "\n")
        elif below == b"leader":
            leader = known.by_id.get(self._calls.leader)
            if leader is None:
                give(exchange, message_answer(503, "During election"), cluster_id_header(self._calls))
            else:
                self._answer(exchange, encode_json(_described(leader)) + "\n")
        else:
            give(exchange, message_answer(404, "Not found"), cluster_id_header(self._calls))

    def _answer(self, exchange: Exchange, text: str) -> None:
        exchange.answer(200, text.encode(), _JSON, cluster_id_header(self._calls))

    def _machines(self, exchange: Exchange) -> None:
        urls = sorted(url for member in self._calls.members.known.by_id.values() for url in member.client_urls)
        exchange.answer(200, ", ".join(urls).encode(), PLAIN_TEXT)

    def _statistics(self, exchange: Exchange) -> None:
        waiting = V2Call(exchange, self._calls, _encode_statistics)
        waiting.begin(self._calls.read_v2(waiting, V2_STATISTICS, b""))


def _encode_statistics(code: int, body: bytes) -> HttpAnswer:
    return message_answer(500, body.decode()) if code else HttpAnswer(200, [("Content-Type", JSON)], body)


def _described(member: Member) -> dict[str, Any]:
    return {
        "id": f"{member.id:x}",
        "name": member.name,
        "peerURLs": member.peer_urls,
        "clientURLs": member.client_urls,
    }
