"""Of several listeners, one writes to the log what each of them finds in the same files: the first that there is."""

from collections.abc import Callable, Iterable
from typing import Any, Final

_FIRST: Final = "listener-1"


class Spokesman:
    """The log of what all listeners find."""

    def __init__(self, log: Any, name: str, others: Callable[[], Iterable[str]]) -> None:
        """name, others: of this listener, and of those that are known to live"""
        self._log = log
        self._name = name
        self._others = others

    @property
    def may_speak(self) -> bool:
        """NB: a listener that is new knows of no others yet."""
        if self._name == _FIRST:
            return True
        others = [_number(name) for name in self._others()]
        return bool(others) and _number(self._name) <= min(others)

    def info(self, msg: str, /, **fields: Any) -> None:
        if self.may_speak:
            self._log.info(msg, **fields)

    def warn(self, msg: str, /, **fields: Any) -> None:
        if self.may_speak:
            self._log.warn(msg, **fields)


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])
