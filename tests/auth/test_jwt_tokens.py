"""Tokens that are signed: given, taken, and refused whatever is done to them."""

import base64
import json
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.api.auth_info import AuthInfo
from etcdz.auth import jwt_tokens
from etcdz.auth.jwt_tokens import JwtTokens, KeyProblem, TokenProblem, VerifyOnly
from etcdz.config.auth_token import SIGN_METHODS
from tests.examples import examples

NOW = 1_800_000_000.0
SECRET = b"a secret of the operator's"


@cache
def key_of(kind: str) -> Any:
    if kind in ("RS", "PS"):
        return rsa.generate_private_key(65537, 2048)
    if kind == "Ed":
        return ed25519.Ed25519PrivateKey.generate()
    curves: dict[str, Any] = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def pems(method: str) -> tuple[bytes, bytes]:
    """(public, private)"""
    if method.startswith("HS"):
        return b"", SECRET
    key = key_of(method if method.startswith("ES") else method[:2])
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def tokens_of(method: str, ttl_s: float = 300.0) -> JwtTokens:
    return JwtTokens(method, *pems(method), ttl_s)


def encode(value: Any) -> bytes:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def signed(header: Any, claims: Any, secret: bytes = SECRET) -> bytes:
    """By HMAC-SHA256, whatever the header says."""
    text = encode(header) + b"." + encode(claims)
    signer = hmac.HMAC(secret, hashes.SHA256())
    signer.update(text)
    return text + b"." + encode(signer.finalize())


@pytest.mark.parametrize("method", sorted(SIGN_METHODS))
def test_every_method_signs_what_it_verifies(method: str) -> None:
    tokens = tokens_of(method)
    token = tokens.sign("alice", 7, NOW).encode()
    assert tokens.verify(token, NOW + 299) == AuthInfo("alice", 7)
    assert tokens_of(method).verify(token, NOW) == AuthInfo("alice", 7)


@pytest.mark.parametrize("method", ["RS256", "PS384", "ES256", "EdDSA"])
def test_a_public_key_verifies_and_does_not_sign(method: str) -> None:
    public, _ = pems(method)
    verifier = JwtTokens(method, public, b"", 300.0)
    assert verifier.verify(tokens_of(method).sign("alice", 7, NOW).encode(), NOW) == AuthInfo("alice", 7)
    with pytest.raises(VerifyOnly, match="auth: token signing attempted with verify-only key"):
        verifier.sign("alice", 7, NOW)


def test_claims_are_etcds() -> None:
    token = tokens_of("HS256").sign("alice", 7, NOW)
    assert json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==")) == {
        "username": "alice",
        "revision": 7,
        "exp": int(NOW) + 300,
    }


def test_a_token_expires_though_it_is_remembered() -> None:
    tokens = tokens_of("HS256", ttl_s=10)
    token = tokens.sign("alice", 7, NOW).encode()
    tokens.verify(token, NOW)
    with pytest.raises(TokenProblem):
        tokens.verify(token, NOW + 10)


def test_a_remembered_token_is_not_verified_again_and_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_tokens, "REMEMBERED_MAX", 3)
    tokens = tokens_of("HS256")
    given = [tokens.sign(f"user{n}", 7, NOW).encode() for n in range(5)]
    for token in given:
        tokens.verify(token, NOW)
    assert len(tokens._known) == 3
    monkeypatch.setattr(tokens, "_claims", None)
    assert tokens.verify(given[4], NOW).username == "user4"


BAD_CLAIMS: list[Any] = [
    [],
    {},
    None,
    "alice",
    {"username": "alice"},
    {"revision": 7},
    {"username": 7, "revision": 7},
    {"username": "alice", "revision": "7"},
    {"username": "alice", "revision": True},
    {"username": "alice", "revision": -1},
    {"username": "alice", "revision": 1 << 70},
    {"username": "alice", "revision": float("nan")},
    {"username": "alice", "revision": float("inf")},
    {"username": "alice", "revision": 10**400},
    {"username": "\ud800", "revision": 7},
    {"username": "alice", "revision": 7, "exp": "soon"},
    {"username": "alice", "revision": 7, "exp": None},
    {"username": "alice", "revision": 7, "exp": 10**400},
    {"username": "alice", "revision": 7, "exp": NOW - 1},
    {"username": "alice", "revision": 7, "nbf": NOW + 60},
    {"username": "alice", "revision": 7, "iat": NOW + 60},
    {"username": "alice", "revision": 7, "iat": []},
    b"no json",
    b"[" * 100_000,
    b"9" * 5_000,
    b"\xff\xfe",
]


@pytest.mark.parametrize("claims", BAD_CLAIMS, ids=lambda claims: repr(claims)[:40])
def test_claims_that_are_none(claims: Any) -> None:
    with pytest.raises(TokenProblem):
        tokens_of("HS256").verify(signed({"alg": "HS256", "typ": "JWT"}, claims), NOW)


@pytest.mark.parametrize("claims", [{"exp": NOW + 1.5}, {}, {"exp": 10**30}, {"aud": "x", "sub": 3, "jti": []}])
def test_claims_that_etcd_takes(claims: dict[str, Any]) -> None:
    token = signed({"alg": "HS256"}, {"username": "alice", "revision": 7.0, **claims})
    assert tokens_of("HS256").verify(token, NOW) == AuthInfo("alice", 7)


BAD_HEADERS: list[Any] = [
    {},
    [],
    {"alg": "none"},
    {"alg": "None"},
    {"alg": "HS384"},
    {"alg": "RS256"},
    {"alg": ["HS256"]},
    {"alg": {}},
    {"alg": None},
    {"alg": "HS256", "crit": ["b64"], "b64": False},
    {"alg": "HS256", "crit": ["exp"]},
    b"",
    b"\x00",
    b"{" * 5_000,
]


@pytest.mark.parametrize("header", BAD_HEADERS, ids=lambda header: repr(header)[:40])
def test_headers_that_are_none(header: Any) -> None:
    with pytest.raises(TokenProblem):
        tokens_of("HS256").verify(signed(header, {"username": "alice", "revision": 7}), NOW)


def test_no_signature_is_none() -> None:
    text = encode({"alg": "none"}) + b"." + encode({"username": "root", "revision": 7}) + b"."
    for method in ("HS256", "RS256", "ES256", "EdDSA"):
        with pytest.raises(TokenProblem):
            tokens_of(method).verify(text, NOW)


def test_a_public_key_is_no_secret() -> None:
    """The old confusion: a token signed by HMAC with the RSA key that everybody knows."""
    public, private = pems("RS256")
    forged = signed({"alg": "HS256"}, {"username": "root", "revision": 7}, public)
    with pytest.raises(TokenProblem):
        JwtTokens("RS256", public, private, 300.0).verify(forged, NOW)


def test_a_secret_may_look_like_a_key() -> None:
    _, private = pems("RS256")
    tokens = JwtTokens("HS256", b"", private, 300.0)
    assert tokens.verify(tokens.sign("alice", 7, NOW).encode(), NOW) == AuthInfo("alice", 7)


def test_long_tokens_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt.PyJWS, "decode", None)
    with pytest.raises(TokenProblem, match="too long"):
        tokens_of("HS256").verify(b"a" * (jwt_tokens.TOKEN_BYTES_MAX + 1), NOW)


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=400) | st.text(alphabet="eyJhbGciOiI.-_=", max_size=200).map(str.encode))
def test_garbage_is_refused_and_nothing_else(token: bytes) -> None:
    with pytest.raises(TokenProblem):
        tokens_of("HS256").verify(token, NOW)


@pytest.mark.slow
@settings(max_examples=examples(100), deadline=None)
@given(st.data(), st.sampled_from(["HS256", "RS256", "ES256", "EdDSA"]))
def test_a_token_with_a_byte_changed_is_refused(data: st.DataObject, method: str) -> None:
    tokens = tokens_of(method)
    token = tokens.sign("alice", 7, NOW).encode()
    place = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(0, 255))
    changed = token[:place] + bytes((byte,)) + token[place + 1 :]
    try:
        assert tokens.verify(changed, NOW) == AuthInfo("alice", 7)
    except TokenProblem:
        return
    # Only the bits of the last letter that mean nothing may differ.
    assert changed == token or place in (len(token) - 1, token.rindex(b".") - 1, token.index(b".") - 1)


KEYS = {
    "none at all": ("RS256", b"", b"", "missing key data"),
    "no secret": ("HS256", b"", b"", "missing key data"),
    "no key": ("RS256", b"", b"-----BEGIN x-----\n", "Key must be a PEM encoded"),
    "another kind": ("ES256", b"", pems("RS256")[1], "not a valid ECDSA private key"),
    "another curve": ("ES256", b"", pems("ES384")[1], "wants the curve"),
    "of two pairs": ("EdDSA", pems("EdDSA")[0], ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "public and private keys don't match"),
}  # fmt: skip


@pytest.mark.parametrize("case", KEYS)
def test_keys_that_are_none(case: str) -> None:
    method, public, private, text = KEYS[case]
    with pytest.raises(KeyProblem, match=text):
        JwtTokens(method, public, private, 300.0)
