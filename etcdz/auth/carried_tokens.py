"""Simple tokens over the install of another member's snapshot, which holds users and roles and no tokens.

Whoever has logged in here goes on, as with etcd, whose tokens are in memory. What has happened meanwhile is seen by its
end alone: a token is carried if auth is on, and its user is there and has the password that it had.
"""

from collections.abc import Mapping
from typing import NamedTuple

from etcdz.auth.tokens import BUCKET
from etcdz.proto import authpb
from etcdz.proto.text import encode_text
from etcdz.store import buckets
from etcdz.store.interface import Store


class Login(NamedTuple):
    """What a token stands for. password: of the user, as it is kept; None: it has no such user"""

    username: str
    password: bytes | None


def carry_tokens(logins: Mapping[str, Login], store: Store) -> None:
    """Into a store that was received, durably. logins: token -> login, of the store before

    raises StoreBroken
    """
    rows: dict[bytes, bytes | None] = {
        BUCKET + token.encode(): encode_text(login.username)
        for token, login in logins.items()
        if login.password is not None and login.password == _password(store, login.username)
    }
    if rows and store.get(buckets.AUTH + b"authEnabled") == b"\x01":
        store.write(rows, sync=True)


def _password(store: Store, username: str) -> bytes | None:
    row = store.get(buckets.AUTH_USERS + encode_text(username))
    return None if row is None else authpb.User.FromString(row).password
