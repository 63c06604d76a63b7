"""Who asks: out of a call's metadata and its connection's certificate, anew for each call while auth is on.

    token: T             a token; without it `authorization: T` or `authorization: Bearer T` is one
    certificate          without a token: the user of its common name, with --client-cert-auth, and unless
                         `grpcgateway-accept` says that a gateway asks for somebody else
    neither              nobody

A token that is not known names nobody: it may be one that this member has not applied yet (auth_gate.py), and never
falls back to the certificate. Tokens are not logged: a fingerprint tells two of them apart.
Source: etcd 3.5.33 auth.
"""

import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple, Protocol

from actors.listener.auth_news import AuthNews
from actors.listener.tokens import Tokens
from etcdz.api.auth_info import AuthInfo

NOBODY: Final = AuthInfo("", 0)
REMEMBERED_MAX: Final = 4_096
"""Tokens as they came in metadata, with whose they are."""
TOKEN_BYTES_MAX: Final = 64
"""Of a simple token, as it came: no member gives longer ones."""
_BEARER: Final = b"Bearer "
_GATEWAY: Final = b"grpcgateway-accept"
_INDEX_MAX: Final = (1 << 63) - 1


class UnknownToken(AuthInfo):
    """Who asks by a token that this listener does not know. token: a simple one, which may be known to the backend;
    empty: it is no token, whoever is asked."""

    token: str

    @classmethod
    def of(cls, token: str) -> "UnknownToken":
        made = cls("", 0)
        made.token = token
        return made

    @property
    def raft_index(self) -> int:
        """Of the entry that gave the token."""
        return int(self.token.rpartition(".")[2] or 0)


class Credentials(NamedTuple):
    """What the metadata of a streaming call say of its caller, kept for as long as it lasts. token: as it came"""

    token: bytes | None = None
    is_gateway: bool = False


class Caller(Protocol):
    """A streaming call, as far as it tells who asks."""

    credentials: Credentials

    @property
    def common_name(self) -> str: ...


_NONE: Final = Credentials()


def credentials_of(metadata: Mapping[bytes, bytes]) -> Credentials:
    """metadata: as in `etcdz.wire.events`"""
    if not metadata:
        return _NONE
    return Credentials(metadata.get(b"token", metadata.get(b"authorization")), _GATEWAY in metadata)


def fingerprint(token: bytes) -> str:
    """What may be logged of a token."""
    return sha256(token).hexdigest()[:12]


class Identities:
    """enabled   whether auth is on: while it is not, nobody is asked who they are, and tokens are not looked at"""

    def __init__(self, news: AuthNews, tokens: Tokens, log: Any) -> None:
        self.enabled = False
        self._news = news
        self._tokens = tokens
        self._log = log
        self._known: dict[bytes, tuple[AuthInfo, str]] = {}
        """Metadata -> (who, simple token)."""

    def on_news(self) -> None:
        """Users, roles or tokens have changed."""
        self.enabled = self._news.access.enabled
        self._known.clear()

    def of_call(self, metadata: Mapping[bytes, bytes], common_name: str) -> AuthInfo:
        """common_name: of the connection's certificate, empty if it has none that counts. Requires: enabled"""
        token = metadata.get(b"token")
        if token is None:
            token = metadata.get(b"authorization")
        if token is None:
            return self._by_certificate(common_name, _GATEWAY in metadata)
        known = self._known.get(token)
        if known is not None:
            self._news.used.add(known[1])
            return known[0]
        return self._by_token(token)

    def of_stream(self, caller: Caller) -> AuthInfo | None:
        """Who asks by the next message of a streaming call. None: auth is off"""
        if not self.enabled:
            return None
        token, is_gateway = caller.credentials
        if token is None:
            return self._by_certificate(caller.common_name, is_gateway)
        return self._by_token(token)

    def owner(self, username: str) -> AuthInfo:
        """A user that the backend has named."""
        return AuthInfo(username, self._news.access.revision)

    def refuse(self, token: bytes, reason: str = "") -> UnknownToken:
        """It is no token, whoever is asked."""
        why = {"error": reason} if reason else {}
        self._log.warn("invalid auth token", **{"token-fingerprint": fingerprint(token)}, **why)
        return UnknownToken.of("")

    def _by_certificate(self, common_name: str, is_gateway: bool) -> AuthInfo:
        if not common_name:
            return NOBODY
        if is_gateway:
            text = "ignoring common name in gRPC-gateway proxy request"
            self._log.warn(text, **{"common-name": common_name, "user-name": common_name})
            return NOBODY
        return AuthInfo(common_name, self._news.access.revision)

    def _by_token(self, given: bytes) -> AuthInfo:
        token = given.partition(b",")[0].removeprefix(_BEARER)
        if self._tokens.signed is not None:
            try:
                return self._tokens.signed.verify(token, time.time())
            except ValueError as problem:
                return self.refuse(token, str(problem))
        text = token.decode("ascii", "replace")
        owner = self._news.owners.get(text)
        if owner is not None:
            return self._remember(given, text, owner)
        prefix, _, index = text.partition(".")
        is_simple = prefix and token.isascii() and index.isdigit() and len(index) < 20 and int(index) <= _INDEX_MAX
        is_simple = is_simple and len(token) <= TOKEN_BYTES_MAX
        return UnknownToken.of(text) if is_simple and self._tokens.has_simple else self.refuse(token)

    def _remember(self, given: bytes, token: str, owner: str) -> AuthInfo:
        self._news.used.add(token)
        info = self.owner(owner)
        if len(given) <= TOKEN_BYTES_MAX:
            if len(self._known) >= REMEMBERED_MAX:
                self._known.clear()
            self._known[given] = info, token
        return info
