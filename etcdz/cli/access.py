"""How a command gets in: TLS and login, with the flags and variables of etcdctl.

    --cacert --cert --key --insecure-skip-tls-verify --insecure-transport --user --password
    ETCDCTL_CACERT, ETCDCTL_USER, ...       what a flag that is not given says

An endpoint that begins with https:// is spoken to by TLS, one with http:// is not, and a bare host:port is if a
certificate or a CA is given, or --insecure-transport=false. Source: etcdctl 3.5.
"""

import argparse
import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.cli.endpoints import Endpoint
from etcdz.config.literals import parse_bool
from etcdz.net.blocking_channel import RpcError
from etcdz.net.tls_socket import TlsDialler
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import printable
from etcdz.tls.files import TlsFiles
from etcdz.tls.settings import TlsSettings

AUTHENTICATE: Final = "/etcdserverpb.Auth/Authenticate"
_FLAGS: Final = (
    ("cacert", "FILE", "CA that the servers' certificates must come from (default: those that this system trusts)"),
    ("cert", "FILE", "certificate to show to the servers"),
    ("key", "FILE", "key of that certificate"),
    ("user", "NAME", "NAME or NAME:PASSWORD to log in with; without a password it is asked for"),
    ("password", "WORD", "password of --user, which then is a name alone"),
)
_SWITCHES: Final = (
    ("insecure-skip-tls-verify", False, "trust whatever certificate a server shows: anybody can be in between"),
    ("insecure-transport", True, "no TLS to endpoints that do not say https:// (default true)"),
)


class AccessError(Exception):
    """The flags contradict each other, or a login has failed."""


def add_flags(parser: argparse.ArgumentParser) -> None:
    """NB: without defaults, so that those of a subcommand do not overwrite what stood before it."""
    group = parser.add_argument_group("TLS and login, as etcdctl has them; each also as ETCDCTL_...")
    for name, metavar, text in _FLAGS:
        group.add_argument(f"--{name}", dest=_dest(name), default=argparse.SUPPRESS, metavar=metavar, help=text)
    for name, _, text in _SWITCHES:
        group.add_argument(
            f"--{name}", dest=_dest(name), type=_bool, default=argparse.SUPPRESS, metavar="BOOL", help=text
        )


def with_values(argv: Sequence[str]) -> list[str]:
    """The words of a command line, switches of add_flags() with their values: a word behind one is never its value."""
    switches = {f"--{name}" for name, _, _ in _SWITCHES}
    return [f"{word}=true" if word in switches else word for word in argv]


class Access(NamedTuple):
    """tls: as a client. is_secure: what an endpoint without a scheme means. user: empty, nobody logs in"""

    tls: TlsSettings
    is_secure: bool
    user: str
    password: str

    def settle(self, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Those, with how they are reached; nobody is logged in yet. raises AccessError: a file is no good"""
        settled = [
            endpoint._replace(is_secure=self.is_secure) if endpoint.is_secure is None else endpoint
            for endpoint in endpoints
        ]
        if not any(endpoint.is_secure for endpoint in settled):
            return tuple(settled)
        grpc, http = (TlsDialler(TlsFiles(self.tls, _Silent()), alpn) for alpn in (("h2",), ()))
        try:
            grpc.context()
        except OSError as error:
            raise AccessError(str(error)) from error
        return tuple([one._replace(tls=grpc, http_tls=http) if one.is_secure else one for one in settled])

    def log_in(self, endpoint: Endpoint, timeout_s: float) -> Endpoint:
        """The same, with a token if there is a user. raises RpcError"""
        if not self.user:
            return endpoint
        request = pb.AuthenticateRequest(name=self.user, password=self.password)
        try:
            with endpoint._replace(token="").open_channel(timeout_s) as channel:
                answer = channel.unary(AUTHENTICATE, request.SerializeToString(), timeout_s)
        except RpcError as error:
            if error.text == "etcdserver: authentication is not enabled":  # then nobody asks for a token
                return endpoint
            raise
        return endpoint._replace(token=printable(pb.AuthenticateResponse.FromString(answer).token))


def take(said: dict[str, Any], environ: Mapping[str, str] = os.environ) -> Access:
    """Takes the values of the flags out of said. raises AccessError"""
    texts = {name: str(said.pop(_dest(name), environ.get(_variable(name), ""))) for name, _, _ in _FLAGS}
    skips, is_plain = (_switch(said, environ, name, default) for name, default, _ in _SWITCHES)
    cert, key, cacert = texts["cert"], texts["key"], texts["cacert"]
    if bool(cert) != bool(key):
        raise AccessError(f"KeyFile and CertFile must both be present[key: {key}, cert: {cert}]")
    user, password = _login(texts["user"], texts["password"])
    tls = TlsSettings(cert_file=cert, key_file=key, trusted_ca_file=cacert, insecure_skip_verify=skips)
    return Access(tls, bool(cert or cacert) or not is_plain, user, password)


def _login(user: str, password: str) -> tuple[str, str]:
    """raises AccessError"""
    name, colon, said = user.partition(":")
    if not user:
        if password:
            raise AccessError("--password without --user")
        return "", ""
    if not name:
        raise AccessError("user name is empty")
    if password:
        return user, password
    if colon:
        return name, said
    if not sys.stdin.isatty():
        raise AccessError(f"no password for user {name}: --user={name}:PASSWORD, or --password")
    return name, getpass.getpass("Password: ")


def _switch(said: dict[str, Any], environ: Mapping[str, str], name: str, default: bool) -> bool:
    key, text = _dest(name), environ.get(_variable(name), "")
    if key in said:
        return bool(said.pop(key))
    try:
        return parse_bool(text) if text else default
    except ValueError:
        raise AccessError(f"{_variable(name)}: {text!r} is neither true nor false") from None


def _dest(name: str) -> str:
    """NB: a command may have a KEY of its own."""
    return f"access_{name.replace('-', '_')}"


def _variable(name: str) -> str:
    return f"ETCDCTL_{name.replace('-', '_').upper()}"


def _bool(text: str) -> bool:
    try:
        return parse_bool(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false") from None


class _Silent:
    """A log that nobody reads: what is wrong with a file is an error of the command."""

    def info(self, msg: str, /, **fields: Any) -> None: ...

    warn = info
