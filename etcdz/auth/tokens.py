"""Simple tokens: whose they are, which is applied state, and how long they live, by this member's own clock.

A row of the bucket of etcdz's own `etcdz_tokens` for each: token -> name of its user. etcd keeps its tokens in memory
and makes those again that the log still has; here they survive every restart, with a life that begins anew.
"""

from collections.abc import Callable, Iterable
from typing import Final

from etcdz.proto.text import decode_text, encode_text
from etcdz.store.interface import Store

BUCKET: Final = b"etcdz_tokens\0"
_END: Final = BUCKET[:-1] + b"\x01"


class TokenTable:
    """owners         token -> name of its user
    has_news       something has changed since the last `take_news`
    """

    def __init__(self, store: Store, ttl_s: float, clock: Callable[[], float]) -> None:
        """ttl_s: of a token since its last use"""
        self._ttl_s = ttl_s
        self._clock = clock
        self.owners: dict[str, str] = {
            name[len(BUCKET) :].decode(): decode_text(value) for name, value in store.iterate(BUCKET, _END)
        }
        self._used_s = dict.fromkeys(self.owners, clock())
        """Token -> when it was used last. Invariant: in this order."""
        self.has_news = False
        self._dropped: list[str] | None = []
        self._added: dict[str, str] = {}
        self._rows: dict[bytes, bytes | None] = {}

    def assign(self, token: str, username: str) -> None:
        self._used_s.pop(token, None)
        self.owners[token] = self._added[token] = username
        self._used_s[token] = self._clock()
        self._rows[BUCKET + token.encode()] = encode_text(username)
        self.has_news = True

    def use(self, tokens: Iterable[str]) -> None:
        """They live on; those that are gone stay so."""
        now_s = self._clock()
        for token in tokens:
            if self._used_s.pop(token, None) is not None:
                self._used_s[token] = now_s

    def drop_user(self, username: str) -> None:
        """The user is gone, or its password is another."""
        self._drop([token for token, owner in self.owners.items() if owner == username])

    def drop_all(self) -> None:
        """Auth is disabled."""
        self._drop(list(self.owners))
        self._dropped = None

    def expire(self) -> None:
        """Drops what was not used for too long."""
        now_s = self._clock()
        expired = []
        for token, used_s in self._used_s.items():
            if used_s + self._ttl_s > now_s:
                break
            expired.append(token)
        self._drop(expired)

    def next_expiry_s(self) -> float | None:
        """When `expire` will find the next one; None: there is none."""
        return next(iter(self._used_s.values()), 0.0) + self._ttl_s if self._used_s else None

    def take_rows(self) -> dict[bytes, bytes | None]:
        """For the store: what has changed since the last call."""
        taken, self._rows = self._rows, {}
        return taken

    def take_news(self) -> tuple[list[str] | None, list[tuple[str, str]]]:
        """(dropped, added) as etcdz.ipc.messages.AuthTokens has them, since the last call."""
        taken = self._dropped, list(self._added.items())
        self._dropped, self._added, self.has_news = [], {}, False
        return taken

    def _drop(self, tokens: list[str]) -> None:
        for token in tokens:
            del self.owners[token], self._used_s[token]
            self._added.pop(token, None)
            self._rows[BUCKET + token.encode()] = None
        if tokens:
            self.has_news = True
            if self._dropped is not None:
                self._dropped.extend(tokens)
