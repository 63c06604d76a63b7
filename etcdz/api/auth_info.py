"""Who asks: what etcd knows of the caller of a request, from the connection to where the request is applied.

It travels with the request: in the header of the raft entry of a write, beside a read (`etcdz.ipc.messages.Read`). For
a stream it is found out anew with each message (actors/listener/identities.py). None: auth is off, or nobody asks.
"""

from typing import Final, NamedTuple


class AuthInfo(NamedTuple):
    """revision: of the auth store, when the caller's token was made. Source: etcd's auth.AuthInfo."""

    username: str
    revision: int


THE_MEMBER: Final = AuthInfo("root", (1 << 63) - 1)
"""Who asks when the member itself does (revoking what has run out, compacting, alarms, health checks): root, which is
always there while auth is on, at a revision that no change outdates. While auth is off nobody looks at it."""
