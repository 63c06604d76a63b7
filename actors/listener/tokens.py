"""Which tokens this member gives and takes, by --auth-token, and the keys for that."""

import importlib
from typing import Any, NamedTuple, Protocol

from etcdz.api.auth_info import AuthInfo
from etcdz.config.auth_token import JWT, SIMPLE, parse


class Signed(Protocol):
    """Tokens that carry their own proof: etcdz.auth.jwt_tokens.JwtTokens."""

    def sign(self, username: str, revision: int, now_s: float) -> str:
        """raises Exception: there is no key to sign with"""

    def verify(self, token: bytes, now_s: float) -> AuthInfo:
        """raises ValueError: it is none"""


class Tokens(NamedTuple):
    """has_simple: tokens are rows of the backend. signed: they are signed; neither: nobody is given one."""

    has_simple: bool
    signed: Signed | None = None


def load(auth_token: str, log: Any) -> Tokens:
    """auth_token: of --auth-token, checked. NB: a member that has begun goes on when its keys are bad later: without
    giving tokens."""
    settings = parse(auth_token)
    if settings.kind != JWT:
        return Tokens(settings.kind == SIMPLE)
    try:
        jwt_tokens = importlib.import_module("etcdz.auth.jwt_tokens")
        return Tokens(False, jwt_tokens.JwtTokens(settings.sign_method, *settings.read_keys(), settings.ttl_s))
    except (OSError, ValueError) as error:
        log.error("problem loading JWT options", error=str(error))
        return Tokens(False)
