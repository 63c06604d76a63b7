"""Who asks by the v2 API, and what of it they may: flows (auth_store.py) that answer with yes or no.

    authorization: Basic ...    that user, if the password is right; else nobody, who may nothing
    certificate                 without it: the user of its common name, with --client-cert-auth
    neither                     the role guest, for keys

Each request is judged anew. Source: etcd 3.5 v2http client_auth. NB: it looks for a user by the common names of the
certificates above the client's as well, which are not the client's to show; here only its own counts.
"""

import binascii
from base64 import b64decode
from collections.abc import Generator
from typing import Any, Final, NamedTuple

from etcdz.v2.auth_records import GUEST, ROOT, User
from etcdz.v2.auth_store import AuthStore, Check, Log, Step

_SCHEME: Final = b"basic "
READS: Final = ("GET", "HEAD")


class Credentials(NamedTuple):
    """authorization: the header, empty: there is none. common_name: empty: no certificate that counts"""

    authorization: bytes
    common_name: str


def basic_auth(header: bytes) -> tuple[str, bytes] | None:
    """(user, password); None: it is malformed"""
    if header[: len(_SCHEME)].lower() != _SCHEME:
        return None
    try:
        name, colon, password = b64decode(header[len(_SCHEME) :], validate=True).partition(b":")
        return (name.decode(), password) if colon else None
    except (binascii.Error, UnicodeDecodeError):
        return None


class AuthAccess:
    """Of one listener."""

    def __init__(self, store: AuthStore, log: Log) -> None:
        self._store = store
        self._log = log

    def is_root(self, by: Credentials) -> Generator[Step, Any, bool]:
        """Whether everything may be done; so it is while nobody is asked."""
        if not (yield from self._store.is_enabled()):
            return True
        user = yield from self._user(by)
        if user is None:
            return False
        if ROOT in (user.roles or ()):
            return True
        self._log.warn("a user does not have root role for resource", root_user=user.name, root_role_name=ROOT)
        return False

    def may_use(self, by: Credentials, key: str, is_write: bool, is_recursive: bool) -> Generator[Step, Any, bool]:
        """key: as the client has said it"""
        if not (yield from self._store.is_enabled()):
            return True
        user = yield from self._user(by)
        if user is None:
            return False if by.authorization else (yield from self._may_guest(key, is_write))
        for name in user.roles or ():
            role = yield from self._store.find_role(name)
            if role is not None and role.covers(key, is_write, is_recursive):
                return True
        self._log.warn("invalid access for user on key", user_name=user.name, key=key)
        return False

    def _may_guest(self, key: str, is_write: bool) -> Generator[Step, Any, bool]:
        """NB: guests of a directory's own pattern read all that is in it, as in etcd."""
        role = yield from self._store.find_role(GUEST)
        if role is None:
            return False
        if role.covers(key, is_write, is_recursive=False):
            return True
        self._log.warn("invalid access for a guest role on key", role_name=GUEST, key=key)
        return False

    def _user(self, by: Credentials) -> Generator[Step, Any, User | None]:
        if not by.authorization:
            return (yield from self._store.find_user(by.common_name)) if by.common_name else None
        told = basic_auth(by.authorization)
        if told is None:
            self._log.warn("malformed basic auth encoding")
            return None
        name, password = told
        user = yield from self._store.find_user(name)
        if not (yield Check(name, password, user.password if user else "")) or user is None:
            self._log.warn("incorrect password", user_name=name)
            return None
        return user
