"""A member with users, and calls in their names.

root    everything
u       reads foo and bar, writes everything that begins with pre
guest   has no role
"""

from pathlib import Path
from typing import Any, Final

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Etcdz, free_port
from tests.process.load import open_channel, unary

READ, WRITE, READWRITE = range(3)
PASSWORDS: Final = {"root": "secret of root", "u": "secret of u", "guest": "secret of guest"}
FAST: Final = "--bcrypt-cost=4"
TIMEOUT_S: Final = 60.0

Outcome = Any
"""The answer, or (name of gRPC's code, text)."""


class AuthMember:
    """Started, with auth on. tokens: by user"""

    def __init__(self, directory: Path, *flags: str, port: int = 0) -> None:
        """port: the client's, if flags name it"""
        self.member = Etcdz(directory, FAST, *flags)
        if port:
            self.member.client_port, self.member.peer_port = port, free_port()
        self.member.start()
        self.channel = open_channel(self.member.target)
        self.tokens: dict[str, str] = {}

    def close(self) -> None:
        self.channel.close()
        self.member.discard()

    def connect_again(self) -> None:
        """After the end of a listener: grpcio may begin a call on a connection of whose end it has not yet heard."""
        self.channel.close()
        self.channel = open_channel(self.member.target)

    def begin(self) -> None:
        """Makes the users, and turns auth on."""
        for name, password in PASSWORDS.items():
            self.must("Auth/UserAdd", pb.AuthUserAddRequest(name=name, password=password))
        for role in ("root", "u"):
            self.must("Auth/RoleAdd", pb.AuthRoleAddRequest(name=role))
            self.must("Auth/UserGrantRole", pb.AuthUserGrantRoleRequest(user=role, role=role))
        for kind, key, range_end in ((READ, b"foo", b""), (READ, b"bar", b""), (WRITE, b"pre", b"prf")):
            self.grant("u", kind, key, range_end)
        self.must("Auth/AuthEnable", pb.AuthEnableRequest())
        for name in PASSWORDS:
            self.log_in(name)

    def grant(self, role: str, kind: int, key: bytes, range_end: bytes = b"", user: str = "") -> None:
        """As root, or while auth is off."""
        permission = {"permType": kind, "key": key, "range_end": range_end}
        self.must("Auth/RoleGrantPermission", pb.AuthRoleGrantPermissionRequest(name=role, perm=permission), user)

    def log_in(self, name: str) -> str:
        answer = self.must("Auth/Authenticate", pb.AuthenticateRequest(name=name, password=PASSWORDS[name]))
        self.tokens[name] = answer.token
        return self.tokens[name]

    def metadata(self, user: str) -> tuple[tuple[str, str], ...]:
        """user: one of PASSWORDS, "" for nobody"""
        return (("token", self.tokens[user]),) if user else ()

    def call(self, path: str, request: Any, user: str = "", metadata: Any = None, channel: Any = None) -> Outcome:
        """path: "Service/Method". channel: another client's"""
        name = type(request).__name__.removesuffix("Request")
        answer = getattr(pb, f"{name}Response")
        try:
            given = self.metadata(user) if metadata is None else metadata
            ask = unary(channel or self.channel, path, answer)
            return ask(request, timeout=TIMEOUT_S, metadata=given, wait_for_ready=True)
        except grpc.RpcError as error:
            return error.code().name, error.details()

    def must(self, path: str, request: Any, user: str = "") -> Any:
        answer = self.call(path, request, user)
        assert not isinstance(answer, tuple), (path, answer)
        return answer

    def stream(self, path: str, request: Any, answer: Any, user: str = "", metadata: Any = None) -> list[Outcome]:
        """Of a call with one request and a stream of answers."""
        given = self.metadata(user) if metadata is None else metadata
        method = self.channel.stream_stream(
            f"/etcdserverpb.{path}",
            request_serializer=lambda r: r.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        got: list[Outcome] = []
        try:
            got += method(iter([request]), timeout=TIMEOUT_S, metadata=given, wait_for_ready=True)
        except grpc.RpcError as error:
            got.append((error.code().name, error.details()))
        return got
