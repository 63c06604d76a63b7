"""How long to wait before a discovery service is asked again that did not answer: twice as long each time, for ever."""

import time
from collections.abc import Callable
from typing import Final

from etcdz.telemetry import logs

DOUBLINGS_MAX: Final = 8

log = logs.get("supervisor")


class Retries:
    """sleep: of so many seconds. Requires: a thread that may be left behind asleep"""

    def __init__(self, url: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._url = url
        self._sleep = sleep
        self._failures = 0

    def failed(self, step: str, error: Exception) -> None:
        """Wait, since step could not be done. Source: etcd 3.5 v2discovery, logAndBackoffForRetry"""
        self._failures += 1
        wait_s = 1 << min(self._failures, DOUBLINGS_MAX)
        log.warn("failed to get from discovery server", discovery_url=self._url, error=str(error))
        log.info("retry connecting to discovery service", url=self._url, reason=step, backoff=f"{wait_s}s")
        self._sleep(wait_s)

    def worked(self) -> None:
        """The next failure is a first one again."""
        self._failures = 0
