"""Lines of a member's log, on their way into `logging`."""

import json
import logging
import threading
from collections import deque
from collections.abc import Iterable
from typing import Final

KEPT: Final = 200
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "dpanic": logging.CRITICAL,
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}


class LogLines:
    """Reads in a thread of its own until the member's last process has closed its end.

    count     lines that have come
    logger    each line becomes a record: its level, its message, and all of its fields as `record.fields`
    """

    def __init__(self, source: Iterable[str], logger: logging.Logger) -> None:
        self._logger = logger
        self._kept: deque[str] = deque(maxlen=KEPT)
        self.count = 0
        self._thread = threading.Thread(target=self._follow, args=[source], daemon=True, name="etcdz log")
        self._thread.start()

    def tail(self, count: int = 20) -> str:
        """The last lines, as they came."""
        return "\n".join(list(self._kept)[-count:])

    def join(self, timeout_s: float) -> None:
        """Waits for the last line."""
        self._thread.join(timeout_s)

    def _follow(self, source: Iterable[str]) -> None:
        for line in source:
            self._kept.append(line.rstrip("\n"))
            self.count += 1
            self._hand_on(line.rstrip("\n"))

    def _hand_on(self, line: str) -> None:
        try:
            fields = json.loads(line)
            level, text = _LEVELS[fields.pop("level")], fields.pop("msg")
        except (ValueError, KeyError, TypeError, AttributeError):  # a usage text, a traceback, --log-format=console
            level, text, fields = logging.INFO, line, {}
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", text, extra={"fields": fields})
