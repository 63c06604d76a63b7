"""A listener's log lines about calls that took long: etcd's text and fields."""

import time
from typing import Any, Final

from etcdz.api.methods import AUTH_PATHS, PATHS
from etcdz.api.request_text import call_stats
from etcdz.config.literals import format_duration

_PATH_OF: Final = {method: path.decode() for path, method in (PATHS | AUTH_PATHS).items()}


class SlowCalls:
    """Of a listener. With --log-level=debug all calls are told of, as by etcd.

    over_s  what takes longer is for report()
    """

    def __init__(self, log: Any, warning_s: float, log_level: str) -> None:
        self._log = log
        self._level = "debug" if log_level == "debug" else "warn"
        self.over_s = warning_s if self._level == "warn" else -1.0

    def report(self, caller: Any, method: int, request: bytes, code: int, body: bytes, began_s: float) -> None:
        """request: as the client sent it. body: the answer or the error's text. began_s: on the monotonic clock"""
        remote = getattr(caller, "remote", None)
        if remote is None:  # no gRPC client
            return
        took_s = time.monotonic() - began_s
        stats = call_stats(method, request, b"" if code else body)
        fields = {
            "start time": _stamp(time.time() - took_s),
            "time spent": format_duration(int(took_s * 1e9)),
            "remote": remote,
            "response type": _PATH_OF.get(method, ""),
            "request count": stats.request_count,
            "request size": stats.request_size,
            "response count": stats.response_count,
            "response size": stats.response_size,
            "request content": stats.content,
        }
        self._log.log(self._level, "request stats", **fields)


def _stamp(at_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_s)) + f".{int(at_s % 1 * 1000):03d}Z"
