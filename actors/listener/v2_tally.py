"""Counts of a listener's requests for keys of the v2 API, for /metrics. Watches are not among them, as in etcd."""

from typing import Any, Final

from etcdz.telemetry.histogram import Doublings

_FIRST_NS, _BOUNDS = 500_000, 13
"""Buckets up to 0.5 ms, 1 ms, 2 ms ... 2.048 s."""
_SUCCESS: Final = frozenset((200, 201))


class V2Tally:
    """By method, where a GET of the quorum is a QGET."""

    def __init__(self) -> None:
        self._received: dict[str, int] = {}
        self._failed: dict[tuple[str, int], int] = {}
        self._times: dict[str, Doublings] = {}

    def receive(self, method: str) -> None:
        """A request that is well-formed and permitted."""
        self._received[method] = self._received.get(method, 0) + 1

    def end(self, method: str, status: int, took_ns: int) -> None:
        """One of those is answered."""
        if status not in _SUCCESS:
            self._failed[method, status] = self._failed.get((method, status), 0) + 1
            return
        times = self._times.get(method)
        if times is None:
            times = self._times[method] = Doublings(_FIRST_NS, _BOUNDS)
        times.add(max(1, took_ns))

    def metrics(self) -> dict[str, Any]:
        """By the names in etcdz.telemetry.families."""
        return {
            "v2_http_received": [([method], count) for method, count in self._received.items()],
            "v2_http_failed": [([str(status), method], count) for (method, status), count in self._failed.items()],
            "v2_http_times": [([method], times.figure()) for method, times in self._times.items()],
        }
