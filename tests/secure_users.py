"""Users of members whose clients come by TLS, and strangers who are refused all the time.

root      everything
writer    reads and writes every key
guest     has no role

They are known by a simple token, a signed one, or the name in their certificate (WAYS).
"""

import itertools
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import grpc
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from etcdz.proto import authpb
from etcdz.proto import etcdserverpb as pb
from etcdz.testing.certificates import Authority, Issued
from tests.process.load import open_channel, unary
from tests.secure_members import HOST, PUBLIC_NAME, SecureMember, SecureTarget

Error = tuple[str, str]
"""(name of gRPC's code, text)"""

SIMPLE, SIGNED, NAME = "simple", "jwt", "name"
WAYS: Final = (SIMPLE, SIGNED, NAME)
ROOT, WRITER, GUEST = "root", "writer", "guest"
ALL: Final = (ROOT, WRITER, GUEST)
DENIED: Final = ("PERMISSION_DENIED", "etcdserver: permission denied")
DONE: Final = "done"
BAD_TOKEN: Final = ("UNAUTHENTICATED", "etcdserver: invalid auth token")
NO_NAME: Final = ("INVALID_ARGUMENT", "etcdserver: user name is empty")
LOST: Final = ("UNAVAILABLE", "CANCELLED")
"""How grpcio names the end of a connection."""
_TIMEOUT_S: Final = 20.0
_PACE_S: Final = 0.02
"""Between two attempts of a stranger: it is to be there all the time, and not to be the load."""
_EVERYTHING: Final = authpb.Permission(permType=2, key=b"\0", range_end=b"\0")


class Users:
    """Of one member, or of all members of one cluster. tokens: by user; none where certificates name them"""

    def __init__(self, directory: Path, way: str) -> None:
        self.way = way
        self.authority = Authority(directory)
        self.tokens: dict[str, str] = {}
        self._server = self.authority.issue("server", ips=[HOST], dns=[PUBLIC_NAME])
        self._own: dict[str, Issued] = {name: self.authority.issue(name) for name in ALL} if way == NAME else {}
        self._nameless = self.authority.issue("nameless", cn="") if way == NAME else None
        self._key = directory / "jwt.pem"
        if way == SIGNED:
            made = ec.generate_private_key(ec.SECP256R1())
            self._key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    @property
    def flags(self) -> list[str]:
        """Of each member."""
        flags = ["--bcrypt-cost=4", f"--cert-file={self._server.cert}", f"--key-file={self._server.key}"]
        if self.way == SIGNED:
            flags.append(f"--auth-token=jwt,sign-method=ES256,priv-key={self._key},ttl=1h")
        if self.way == NAME:
            flags += ["--client-cert-auth", f"--trusted-ca-file={self.authority.ca}"]
        return flags

    def target(self, address: str, user: str = "") -> SecureTarget:
        """What this user dials. user: "": somebody who is none"""
        own = self._own.get(user, self._nameless)
        return SecureTarget.of(str(address), self.authority.ca, own, self.tokens.get(user, ""))

    def be_root_at(self, member: SecureMember) -> None:
        """The member's own target is root's from now on."""
        root = self.target(member.target, ROOT)
        member.ca, member.own, member.token = root.ca, root.own, root.token

    def begin(self, address: str) -> None:
        """Makes the users, turns auth on and logs in."""
        with open_channel(self.target(address, ROOT), long_running=True) as channel:
            for name in ALL:
                _call(channel, "UserAdd", pb.AuthUserAddRequest(name=name, password=name))
            for name in (ROOT, WRITER):
                _call(channel, "RoleAdd", pb.AuthRoleAddRequest(name=name))
                _call(channel, "UserGrantRole", pb.AuthUserGrantRoleRequest(user=name, role=name))
            _call(channel, "RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name=WRITER, perm=_EVERYTHING))
            _call(channel, "AuthEnable", pb.AuthEnableRequest())
            for name in () if self.way == NAME else ALL:
                self.tokens[name] = _call(channel, "Authenticate", _login(name)).token

    def check(self, address: str) -> None:
        """Users, permissions and tokens are what they were when `begin` had ended."""
        with open_channel(self.target(address, ROOT), long_running=True) as channel:
            assert list(_call(channel, "UserList", pb.AuthUserListRequest()).users) == sorted(ALL)
            assert list(_call(channel, "RoleGet", pb.AuthRoleGetRequest(role=WRITER)).perm) == [_EVERYTHING]
            assert list(_call(channel, "UserGet", pb.AuthUserGetRequest(name=WRITER)).roles) == [WRITER]
        key = pb.RangeRequest(key=b"secret")
        assert outcome(self.target(address, WRITER), "KV/Range", key) is None
        assert outcome(self.target(address, GUEST), "KV/Range", key) == DENIED
        assert outcome(self.target(address), "KV/Range", key) == NO_NAME


def outcome(target: SecureTarget, path: str, request: Any) -> Error | None:
    """Of one call over a connection of its own. None: it was done"""
    with open_channel(target, long_running=True) as channel:
        return _outcome(channel, path, request)


class Attempt(NamedTuple):
    """A call, and what it is to be told. wanted: None: it is to be done"""

    target: SecureTarget
    path: str
    request: Any
    wanted: Error | None


class Strangers:
    """Clients that may nothing, and try all the time; a context manager.

    surprises   what they were answered other than what they are to be told
    refused     how often they were refused
    """

    def __init__(self, users: Users, address: str) -> None:
        self.surprises: list[Error] = []
        self.refused = 0
        self._stopping = threading.Event()
        self._attempts = list(_attempts(users, address))
        self._threads = [threading.Thread(target=self._run, args=[attempts]) for attempts in self._attempts]
        self._channels: dict[int, grpc.Channel] = {}

    def __enter__(self) -> Self:
        """Returns when all of them are connected."""
        for attempt in itertools.chain(*self._attempts):
            if id(attempt.target) not in self._channels:
                channel = self._channels[id(attempt.target)] = open_channel(attempt.target, long_running=True)
                grpc.channel_ready_future(channel).result(timeout=30)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for channel in self._channels.values():
            channel.close()

    def unexpected(self, allowed: Sequence[str] = (), connection_lost: bool = False) -> list[Error]:
        """allowed: what else texts may hold. connection_lost: a listener has died: so may what grpcio says of that"""
        return [
            (code, text)
            for code, text in self.surprises
            if not (connection_lost and code in LOST) and not any(one in text for one in allowed)
        ]

    def _run(self, attempts: list[Attempt]) -> None:
        for one in itertools.cycle(attempts):
            if self._stopping.wait(_PACE_S):
                return
            said = _outcome(self._channels[id(one.target)], one.path, one.request)
            self.refused += said is not None
            if said != one.wanted:
                self.surprises.append(said or (DONE, one.path))


def _attempts(users: Users, address: str) -> Iterator[list[Attempt]]:
    """Of each thread."""
    put, get = pb.PutRequest(key=b"stranger"), pb.RangeRequest(key=b"\0", range_end=b"\0", limit=1)
    guest, nobody = users.target(address, GUEST), users.target(address)
    bad = SecureTarget.of(address, nobody.ca, nobody.own, "AAAAAAAAAAAAAAAA.3")
    yield [Attempt(guest, "KV/Put", put, DENIED), Attempt(guest, "KV/Range", get, DENIED)]
    yield [
        Attempt(nobody, "KV/Put", put, NO_NAME),
        Attempt(bad, "KV/Range", get, BAD_TOKEN),
        Attempt(nobody, "Auth/Authenticate", _login(GUEST), None),
        Attempt(guest, "Auth/UserList", pb.AuthUserListRequest(), DENIED),
    ]


def _login(name: str) -> pb.AuthenticateRequest:
    return pb.AuthenticateRequest(name=name, password=name)


def _outcome(channel: grpc.Channel, path: str, request: Any) -> Error | None:
    try:
        _answer(channel, path, request)
    except grpc.RpcError as error:
        return error.code().name, str(error.details())
    return None


def _call(channel: grpc.Channel, method: str, request: Any) -> Any:
    return _answer(channel, f"Auth/{method}", request)


def _answer(channel: grpc.Channel, path: str, request: Any) -> Any:
    """raises grpc.RpcError"""
    answer = getattr(pb, type(request).__name__.replace("Request", "Response"))
    return unary(channel, path, answer)(request, timeout=_TIMEOUT_S, wait_for_ready=True)
