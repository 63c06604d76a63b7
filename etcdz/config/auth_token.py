"""The grammar of --auth-token: how members tell later by which user a client has logged in.

    auth-token := kind {"," option "=" value}
    kind       := "simple" | "jwt" | ""             "": nobody is given a token, and none is taken
    option     := "sign-method" | "pub-key" | "priv-key" | "ttl"        of jwt; the keys are files

Source: etcd 3.5 auth, texts included.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from etcdz.config import literals
from etcdz.config.notes import Note

SIMPLE: Final = "simple"
JWT: Final = "jwt"
NONE: Final = ""
INVALID: Final = "auth: invalid auth options"
SIGN_METHODS: Final = frozenset(
    [*(f"{kind}{bits}" for kind in ("RS", "PS", "ES", "HS") for bits in (256, 384, 512)), "EdDSA"]
)
JWT_TTL_S: Final = 300.0
_OPTIONS: Final = frozenset(("sign-method", "pub-key", "priv-key", "ttl"))
_LOADING: Final = "problem loading JWT options"


class AuthTokenError(ValueError):
    """--auth-token is nothing that a member could start with. note: what etcd logs about it first"""

    def __init__(self, note: Note) -> None:
        super().__init__(INVALID)
        self.note = note


class AuthToken(NamedTuple):
    """kind SIMPLE, JWT or NONE; the rest is of JWT.

    public_key, private_key   paths, empty where none is given
    unknown                   options that mean nothing
    """

    kind: str
    sign_method: str = ""
    public_key: str = ""
    private_key: str = ""
    ttl_s: float = JWT_TTL_S
    unknown: tuple[str, ...] = ()

    def read_keys(self) -> tuple[bytes, bytes]:
        """(public, private), empty where there is none. raises OSError"""
        public, private = [Path(path).read_bytes() if path else b"" for path in (self.public_key, self.private_key)]
        return public, private


def parse(text: str) -> AuthToken:
    """raises AuthTokenError"""
    kind, *rest = text.split(",")
    options = _options(text, rest)
    if kind in (SIMPLE, NONE):
        return AuthToken(kind)
    if kind != JWT:
        raise AuthTokenError(Note("warn", "unknown token type", {"type": kind, "error": INVALID}))
    return AuthToken(
        kind,
        _sign_method(options.get("sign-method", "")),
        options.get("pub-key", ""),
        options.get("priv-key", ""),
        _ttl_s(options.get("ttl", "")),
        tuple(sorted(options.keys() - _OPTIONS)),
    )


def _options(text: str, pairs: list[str]) -> Mapping[str, str]:
    options: dict[str, str] = {}
    for pair in pairs:
        name, *values = pair.split("=")
        if len(values) != 1:
            raise AuthTokenError(Note("error", "invalid token option", {"option": text}))
        if name in options:
            fields = {"option": text, "duplicate-parameter": name}
            raise AuthTokenError(Note("error", "invalid token option", fields))
        options[name] = values[0]
    return options


def _sign_method(text: str) -> str:
    if text not in SIGN_METHODS:
        raise AuthTokenError(Note("error", _LOADING, {"error": "auth: invalid auth signature method"}))
    return text


def _ttl_s(text: str) -> float:
    if not text:
        return JWT_TTL_S
    try:
        return literals.parse_duration(text) / 1e9
    except ValueError:
        error = f"time: invalid duration {literals.quote(text)}"
        raise AuthTokenError(Note("error", _LOADING, {"error": error})) from None
