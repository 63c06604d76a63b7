"""JSON web tokens: signed by the member at which a client logs in, verified by any that has the key; nobody keeps them.

    claims := {"username": name, "revision": of the auth store at the login, "exp": unix time in s}

A token is as good as its signature, its time and its revision: users and roles that change later outdate it, which is
judged where keys are touched (access.py). NB: this file loads `cryptography`, some 10 MB; members with simple tokens
never import it.
Source: etcd 3.5 auth (its claims, its rules for keys) and RFC 7519.
"""

import json
import math
import sys
import warnings
from collections.abc import Callable
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import HMACAlgorithm

from etcdz.api.auth_info import AuthInfo
from etcdz.proto.text import encode_text

TOKEN_BYTES_MAX: Final = 8 << 10
"""Longer ones are refused before anything is done with them."""
REMEMBERED_MAX: Final = 1_024
"""Tokens whose signature was verified, so that it is not again with each call. Only valid ones are remembered."""
REVISION_MAX: Final = (1 << 63) - 1

_PRIVATE: Final[dict[str, tuple[type[Any], ...]]] = {
    "RS": (rsa.RSAPrivateKey,),
    "PS": (rsa.RSAPrivateKey,),
    "ES": (ec.EllipticCurvePrivateKey,),
    "Ed": (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey),
}
_PUBLIC: Final[dict[str, tuple[type[Any], ...]]] = {
    "RS": (rsa.RSAPublicKey,),
    "PS": (rsa.RSAPublicKey,),
    "ES": (ec.EllipticCurvePublicKey,),
    "Ed": (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey),
}
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_NAMES: Final = {"RS": "RSA", "PS": "RSA", "ES": "ECDSA", "Ed": "Ed25519"}


class KeyProblem(ValueError):
    """The keys are none for this method, or do not belong together."""


class TokenProblem(ValueError):
    """Why a token is not valid, in words that tell nothing of it."""


class VerifyOnly(Exception):
    """There is no private key."""

    def __init__(self) -> None:
        super().__init__("auth: token signing attempted with verify-only key")


class _AnySecret(HMACAlgorithm):
    """The secret is the file's bytes, whatever they look like."""

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else key.encode()


class JwtTokens:
    """What signs and verifies the tokens of one member."""

    def __init__(self, method: str, public: bytes, private: bytes, ttl_s: float) -> None:
        """method: of --auth-token's sign-method. public, private: what the key files hold, empty where there is none

        raises  KeyProblem
        """
        self._method = method
        self._ttl_s = ttl_s
        self._jws = jwt.PyJWS([method])
        self._signing, self._verifying = _keys(method, public, private)
        if method.startswith("HS"):
            kind = _AnySecret(
                {"256": _AnySecret.SHA256, "384": _AnySecret.SHA384, "512": _AnySecret.SHA512}[method[2:]]
            )
            self._jws.unregister_algorithm(method)
            self._jws.register_algorithm(method, kind)
        self._known: dict[bytes, tuple[AuthInfo, float]] = {}
        """Token -> (who, when it expires as unix time). Invariant: in the order in which they were verified."""

    def sign(self, username: str, revision: int, now_s: float) -> str:
        """A token for a user. now_s: unix time. raises VerifyOnly"""
        if self._signing is None:
            raise VerifyOnly
        claims = {"exp": int(now_s + self._ttl_s), "revision": revision, "username": username}
        with warnings.catch_warnings():  # of short keys: the operator has chosen them
            warnings.simplefilter("ignore")
            return self._jws.encode(json.dumps(claims).encode(), self._signing, self._method)

    def verify(self, token: bytes, now_s: float) -> AuthInfo:
        """Who has been given this token. now_s: unix time. raises TokenProblem"""
        known = self._known.get(token)
        if known is not None and now_s < known[1]:
            return known[0]
        claims = self._claims(token)
        info = _info(claims)
        expires_s = _check_times(claims, now_s)
        self._known.pop(token, None)
        if len(self._known) >= REMEMBERED_MAX:
            del self._known[next(iter(self._known))]
        self._known[token] = info, expires_s
        return info

    def _claims(self, token: bytes) -> dict[str, Any]:
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenProblem("the token is too long")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                payload = self._jws.decode(token, self._verifying, [self._method])
            claims = json.loads(payload)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, UnsupportedAlgorithm) as problem:
            raise TokenProblem(type(problem).__name__) from None
        if not isinstance(claims, dict):
            raise TokenProblem("the claims are no object")
        return claims


def _info(claims: dict[str, Any]) -> AuthInfo:
    username: Any = claims.get("username")
    revision: Any = claims.get("revision")
    if not isinstance(username, str):
        raise TokenProblem("there is no user claim")
    if not _is_number(revision) or not 0 <= revision <= REVISION_MAX:
        raise TokenProblem("there is no revision claim")
    try:
        encode_text(username)
    except UnicodeEncodeError:
        raise TokenProblem("the user claim is no text") from None
    return AuthInfo(username, int(revision))


def _check_times(claims: dict[str, Any], now_s: float) -> float:
    """When the token expires. raises TokenProblem"""
    expires_s = claims.get("exp", math.inf)
    if "exp" in claims and not _is_number(expires_s):
        raise TokenProblem("the time claims are no numbers")
    if now_s >= expires_s:
        raise TokenProblem("the token has expired")
    for name in ("nbf", "iat"):
        if name not in claims:
            continue
        if not _is_number(claims[name]):
            raise TokenProblem("the time claims are no numbers")
        if now_s < claims[name]:
            raise TokenProblem("the token is not valid yet")
    return float(expires_s) if expires_s <= REVISION_MAX else math.inf


def _is_number(value: Any) -> bool:
    """One that a float can hold, as in Go, whose claims are float64."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -sys.float_info.max <= value <= sys.float_info.max


# ---- keys ----


def _keys(method: str, public: bytes, private: bytes) -> tuple[Any, Any]:
    """(for signing, None if there is none; for verifying). raises KeyProblem"""
    if method.startswith("HS"):
        if not private:
            raise KeyProblem("missing key data")
        return private, private
    signing: Any = _load(_load_private, private, _PRIVATE[method[:2]], method, "private") if private else None
    verifying: Any = _load(_load_public, public, _PUBLIC[method[:2]], method, "public") if public else None
    if signing is None and verifying is None:
        raise KeyProblem("missing key data")
    if signing is not None:
        own = signing.public_key()
        if verifying is not None and _encoded(own) != _encoded(verifying):
            raise KeyProblem("public and private keys don't match")
        verifying = own
    curve = _CURVES.get(method)
    if curve is not None and verifying.curve.name != curve:
        raise KeyProblem(f"key is invalid: {method} wants the curve {curve}")
    return signing, verifying


def _load(load: Callable[[bytes], Any], data: bytes, kinds: tuple[type[Any], ...], method: str, side: str) -> Any:
    try:
        key = load(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyProblem("invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key") from None
    if not isinstance(key, kinds):
        raise KeyProblem(f"key is not a valid {_NAMES[method[:2]]} {side} key")
    return key


def _load_private(data: bytes) -> Any:
    return load_pem_private_key(data, None)


def _load_public(data: bytes) -> Any:
    """NB: etcd takes a certificate in its place."""
    if b"-----BEGIN CERTIFICATE-----" in data:
        return load_pem_x509_certificate(data).public_key()
    return load_pem_public_key(data)


def _encoded(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded
