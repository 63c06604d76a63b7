"""What the v2 API says of this member and its cluster: /v2/machines, /v2/stats/store, /v2/stats/self, /v2/stats/leader.

Source: etcd 3.5 v2http client (machinesHandler, statsHandler)
"""

from typing import Final

from actors.listener.calls import Calls
from actors.listener.exchange import Exchange
from actors.listener.http_router import PLAIN_TEXT, Route
from actors.listener.v2_call import V2Call
from etcdz.api.methods import V2_STATISTICS
from etcdz.v2.answers import JSON, HttpAnswer, message_answer

_JSON: Final = JSON.encode()


class V2Info:
    """Of one listener."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def routes(self) -> list[Route]:
        """What is served here."""
        return [
            Route(b"/v2/machines", self._machines, methods=(b"GET", b"HEAD")),
            Route(b"/v2/stats/store", self._statistics),
        ]

    def _machines(self, exchange: Exchange) -> None:
        urls = sorted(url for member in self._calls.members.known.by_id.values() for url in member.client_urls)
        exchange.answer(200, ", ".join(urls).encode(), PLAIN_TEXT)

    def _statistics(self, exchange: Exchange) -> None:
        waiting = V2Call(exchange, self._calls, _encode_statistics)
        waiting.begin(self._calls.read_v2(waiting, V2_STATISTICS, b""))


def _encode_statistics(code: int, body: bytes) -> HttpAnswer:
    return message_answer(500, body.decode()) if code else HttpAnswer(200, [("Content-Type", JSON)], body)
