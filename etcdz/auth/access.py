"""Who may do what, at one revision of the auth store. The backend judges with it, the listeners refuse early with it.

Checks give None or the error that etcd gives. Revisions are compared first where keys are touched, as in etcd: whoever
asks with an older one is told so, and not whether it may.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from etcdz.api import errors
from etcdz.api.auth_info import THE_MEMBER, AuthInfo
from etcdz.api.errors import EtcdError
from etcdz.auth.intervals import Intervals, interval_of

ROOT: Final = "root"
"""Name of the user that must exist, and of the role that may do everything."""
READ, WRITE, READWRITE = range(3)
Permission = tuple[int, bytes, bytes]
"""(READ, WRITE or READWRITE, key, range_end) as stored."""
_NOTHING = Intervals(())
EVERYTHING: Final = Intervals(((b"", None),))


class Access:
    """enabled, revision   of the auth store; while it is off nothing is refused

    roles_of        user -> its roles
    permissions_of  role -> its permissions
    The unions of a user are made when they are first asked for.
    """

    __slots__ = ("_unions", "enabled", "permissions_of", "revision", "roles_of")

    def __init__(
        self,
        enabled: bool = False,
        revision: int = 1,
        roles_of: Mapping[str, Sequence[str]] | None = None,
        permissions_of: Mapping[str, Sequence[Permission]] | None = None,
    ) -> None:
        self.enabled = enabled
        self.revision = revision
        self.roles_of: Mapping[str, Sequence[str]] = {} if roles_of is None else roles_of
        self.permissions_of: Mapping[str, Sequence[Permission]] = {} if permissions_of is None else permissions_of
        self._unions: dict[str, tuple[Intervals, Intervals]] = {}

    @classmethod
    def decode(
        cls,
        enabled: bool,
        revision: int,
        users: Iterable[tuple[str, Sequence[str]]],
        roles: Iterable[tuple[str, Sequence[Sequence[object]]]],
    ) -> "Access":
        """Of the fields of etcdz.ipc.messages.AuthState."""
        permissions = {name: [_permission(*row) for row in rows] for name, rows in roles}
        return cls(enabled, revision, dict(users), permissions)

    def forget_unions(self, users: Iterable[str] | None = None) -> None:
        """What these users may do has changed; None: of all."""
        if users is None:
            self._unions.clear()
            return
        for name in users:
            self._unions.pop(name, None)

    # ---- who ----

    def is_admin(self, username: str) -> bool:
        return ROOT in self.roles_of.get(username, ())

    def has_role(self, username: str, role: str) -> bool:
        return role in self.roles_of.get(username, ())

    def check_somebody(self, auth: AuthInfo | None) -> EtcdError | None:
        """Any user will do that there is: not who shows a certificate, or a token that is signed, of one that is not or
        is gone. NB: etcd lets these in."""
        if not self.enabled:
            return None
        if auth is None or not auth.username:
            return errors.USER_EMPTY
        return None if auth.username in self.roles_of else errors.PERMISSION_DENIED

    def check_admin(self, auth: AuthInfo | None) -> EtcdError | None:
        """NB: etcd compares no revisions here."""
        if not self.enabled:
            return None
        if auth is None or not auth.username:
            return errors.USER_EMPTY
        if auth.username not in self.roles_of:
            return errors.USER_NOT_FOUND
        return None if self.is_admin(auth.username) else errors.PERMISSION_DENIED

    # ---- keys ----

    def check_read(self, auth: AuthInfo | None, key: bytes, range_end: bytes = b"") -> EtcdError | None:
        """range_end: as the client sent it, before anything is made of it."""
        return self._check(auth, key, range_end, 0) if self.enabled else None

    def check_write(self, auth: AuthInfo | None, key: bytes, range_end: bytes = b"") -> EtcdError | None:
        return self._check(auth, key, range_end, 1) if self.enabled else None

    def check_read_keys(self, auth: AuthInfo | None, keys: Iterable[bytes]) -> EtcdError | None:
        """All of the keys that are attached to a lease. Admins are not asked, whatever their revision is."""
        if self.check_admin(auth) is None:
            return None
        return next((error for key in keys if (error := self.check_read(auth, key)) is not None), None)

    def check_write_keys(self, auth: AuthInfo | None, keys: Iterable[bytes]) -> EtcdError | None:
        """The same for writing."""
        if self.check_admin(auth) is None:
            return None
        return next((error for key in keys if (error := self.check_write(auth, key)) is not None), None)

    def check_revision(self, auth: AuthInfo | None) -> EtcdError | None:
        """Whether the caller's revision is the store's: looked at again when something has been read. 0: nobody's."""
        if auth is None or auth.revision in (0, self.revision, THE_MEMBER.revision) or not self.enabled:
            return None
        return errors.AUTH_OLD_REVISION

    def permitted(self, auth: AuthInfo | None, kind: int) -> Intervals | None:
        """All that check_read (kind READ) or check_write (WRITE) permits, as long as the revision is this one and auth
        is on. None: nothing, or auth is off."""
        if auth is None or not auth.revision or auth.revision < self.revision or not self.enabled:
            return None
        return self._held(auth.username, kind)

    def _held(self, username: str, kind: int) -> Intervals | None:
        """What a user's roles permit. None: there is no such user"""
        roles = self.roles_of.get(username)
        if roles is None:
            return None
        if ROOT in roles:
            return EVERYTHING
        return (self._unions.get(username) or self._unions_of(username))[kind]

    def _check(self, auth: AuthInfo | None, key: bytes, range_end: bytes, kind: int) -> EtcdError | None:
        if auth is None or not auth.revision:
            return errors.USER_EMPTY
        if auth.revision < self.revision:
            return errors.AUTH_OLD_REVISION
        held = self._held(auth.username, kind)
        if held is EVERYTHING or (held is not None and held.cover(key, range_end)):
            return None
        return errors.PERMISSION_DENIED

    def _unions_of(self, username: str) -> tuple[Intervals, Intervals]:
        """(what it may read, what it may write)"""
        granted = [
            permission for role in self.roles_of.get(username, ()) for permission in self.permissions_of.get(role, ())
        ]
        unions = self._unions[username] = _union(granted, WRITE), _union(granted, READ)
        return unions


def _union(granted: Iterable[Permission], but: int) -> Intervals:
    found = [interval_of(key, range_end) for kind, key, range_end in granted if kind != but]
    return Intervals([interval for interval in found if interval is not None]) if found else _NOTHING


def _permission(kind: object, key: object, range_end: object) -> Permission:
    assert isinstance(kind, int) and isinstance(key, bytes) and isinstance(range_end, bytes)
    return kind, key, range_end
