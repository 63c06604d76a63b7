"""That members could give tokens as --auth-token says, looked at before the tree starts.

The keys are read again by each listener, which is who signs and verifies with them; here they are only tried.
"""

import importlib
from typing import Any

from etcdz.bootstrap.errors import BootstrapError
from etcdz.config import MemberConfig
from etcdz.config.auth_token import INVALID, JWT, SIMPLE, AuthToken, AuthTokenError, parse
from etcdz.telemetry import logs


def check(config: MemberConfig) -> None:
    """Logs what etcd does about the kind of tokens. raises BootstrapError: no token could be given"""
    log = logs.get("supervisor")
    try:
        settings = parse(config.auth_token)
    except AuthTokenError as error:
        log.log(error.note.level, error.note.msg, **error.note.fields)
        raise BootstrapError(str(error)) from error
    if settings.kind == SIMPLE:
        log.warn("simple token is not cryptographically signed")
    elif settings.kind == JWT:
        _try_keys(settings, log)


def _try_keys(settings: AuthToken, log: Any) -> None:
    """NB: what knows keys is loaded for this kind of token alone."""
    try:
        keys = settings.read_keys()
    except OSError as error:
        reason = f"open {error.filename}: {(error.strerror or str(error)).lower()}"
        log.error("problem loading JWT options", error=reason)
        raise BootstrapError(INVALID) from error
    if settings.unknown:
        log.warn("unknown JWT options", keys=list(settings.unknown))
    jwt_tokens = importlib.import_module("etcdz.auth.jwt_tokens")
    try:
        jwt_tokens.JwtTokens(settings.sign_method, *keys, settings.ttl_s)
    except jwt_tokens.KeyProblem as error:
        raise BootstrapError(str(error)) from error
