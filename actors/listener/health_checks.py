"""What /livez and /readyz look at: one request, several checks, each of which may also be asked for alone.

    /livez    serializable_read
    /readyz   data_corruption, serializable_read, linearizable_read, non_learner

Source: etcd 3.5.33 etcdhttp, same texts. Its checks come in any order, these always in the same.
"""

from collections.abc import Container, Sequence
from typing import Final

from etcdz.api import errors

CHECKS: Final[dict[str, tuple[str, ...]]] = {
    "livez": ("serializable_read",),
    "readyz": ("data_corruption", "serializable_read", "linearizable_read", "non_learner"),
}
_OF_LOCAL_READ: Final = ("data_corruption", "serializable_read")


def checks_of(path: str, excluded: Container[str]) -> tuple[str, ...] | None:
    """What a request for this path asks for: /readyz all but the excluded, /readyz/non_learner one. None: nothing"""
    root, slash, name = path.removeprefix("/").partition("/")
    names = CHECKS.get(root)
    if names is None or not path.startswith("/"):
        return None
    if slash:
        return (name,) if name in names else None
    return tuple(name for name in names if name not in excluded)


class HealthChecks:
    """One request. reads: whether each of the reads that it needs is linearizable."""

    def __init__(self, names: Sequence[str], is_learner: bool) -> None:
        self._names = names
        self._failures: dict[str, str] = {"non_learner": "not supported for learner"} if is_learner else {}
        self.reads = [False] if any(name in _OF_LOCAL_READ for name in names) else []
        self.reads += [True] if "linearizable_read" in names else []
        self._missing = len(self.reads)

    @property
    def is_done(self) -> bool:
        """Whether all reads are answered."""
        return not self._missing

    def on_read(self, is_linearizable: bool, code: int, body: bytes) -> None:
        """code, body: 0 and the names of the raised alarms, or a gRPC code and its text."""
        self._missing -= 1
        name = "linearizable_read" if is_linearizable else "serializable_read"
        if code:
            self._failures[name] = body.decode("utf-8", "replace")
        elif "CORRUPT" in body.decode().split():
            self._failures[name] = errors.CORRUPT.text
            self._failures["data_corruption"] = "alarm activated: CORRUPT"

    def results(self) -> list[tuple[str, bool]]:
        """(name, whether it was passed) of each check. Requires: is_done"""
        return [(name, name not in self._failures) for name in self._names]

    def answer(self, is_verbose: bool) -> tuple[int, bytes]:
        """(HTTP status, body). Requires: is_done"""
        lines = [
            f"[-]{name} failed: {self._failures[name]}\n" if name in self._failures else f"[+]{name} ok\n"
            for name in self._names
        ]
        told = "".join(lines)
        if any(name in self._failures for name in self._names):
            return 503, f"{told}\n".encode()
        return 200, f"{told if is_verbose else ''}ok\n".encode()
