"""What a command has: its flags with the variables applied, a client for as long as it runs, and a printer."""

import os
import sys
from collections.abc import Callable, Collection
from copy import copy
from types import TracebackType
from typing import Self, TypeVar

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.environment import apply, show
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, BAD_CONNECTION, ERROR
from etcdz.cli.ctl.flags import GLOBAL
from etcdz.cli.ctl.numbers import seconds
from etcdz.cli.ctl.passwords import login
from etcdz.cli.ctl.printers import Printer, make_printer
from etcdz.client.endpoints import parse_endpoint, parse_endpoints
from etcdz.client.errors import AuthFailed, DeadlineExceeded, EtcdError
from etcdz.client.methods import Method
from etcdz.client.options import Options, Tls
from etcdz.client.pending import Request, Step
from etcdz.client.reactor import Reactor
from etcdz.config.literals import parse_bool

R = TypeVar("R")


class Session:
    """In a `with` its connections serve all its calls, else one.

    own         variables that are this command's own
    raises      CommandError: the flags do not go together; Refused: nor with the variables
    """

    def __init__(self, values: Values, own: Collection[str] = ()) -> None:
        apply(values, GLOBAL, os.environ, own)
        if parse_bool(values["debug"]):
            show(values, GLOBAL)
        self.options = make_options(values)
        self.printer: Printer = make_printer(values["write-out"], parse_bool(values["hex"]))
        self.values = values
        self._reactor: Reactor | None = None

    @property
    def endpoints(self) -> list[str]:
        return [endpoint.text for endpoint in self.options.endpoints]

    @property
    def timeout_s(self) -> float:
        return self.options.timeout_s

    def at(self, endpoint: str) -> "Session":
        """One of the same flags, for one endpoint alone. raises CommandError: it is none"""
        tls = self.options.tls
        try:
            parsed = parse_endpoint(endpoint, bool(tls.ca or tls.cert))
        except ValueError as error:
            raise CommandError(str(error), BAD_CONNECTION) from None
        return self._with(self.options._replace(endpoints=(parsed,)))

    def without_login(self) -> "Session":
        """One of the same flags, but for --user."""
        return self._with(self.options._replace(user="", password=""))

    def _with(self, options: Options) -> "Session":
        other = copy(self)
        other.options, other._reactor = options, None
        return other

    def __enter__(self) -> Self:
        self._reactor = Reactor(self.options)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        reactor, self._reactor = self._reactor, None
        if reactor is not None:
            reactor.close()

    @property
    def reactor(self) -> Reactor:
        """Requires: in a `with`"""
        assert self._reactor is not None
        return self._reactor

    def do(self, step: Step[R]) -> R:
        """raises EtcdError"""
        if self._reactor is not None:
            return self._reactor.do(step)
        with self:
            return self.reactor.do(step)

    def ask(
        self,
        method: Method,
        body: bytes,
        decode: Callable[[bytes], R],
        *,
        status: int = ERROR,
        failure: str = "{}",
        is_bounded: bool = True,
    ) -> R:
        """One call. status, failure: what it ends with and says if it fails. is_bounded: by --command-timeout"""
        try:
            return self.do(Request(method, body, decode, self.timeout_s if is_bounded else 0))
        except AuthFailed as error:
            raise CommandError(error.text, BAD_CONNECTION) from None
        except EtcdError as error:
            raise CommandError(failure.format(said(error)), status) from None

    def show(self, text: bytes) -> None:
        say(text)


def say(text: bytes) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def said(error: EtcdError) -> str:
    """NB: that the time is over is the client's word, not the server's."""
    return error.text.removeprefix("etcdserver: ") if isinstance(error, DeadlineExceeded) else error.text


def make_options(values: Values) -> Options:
    """raises CommandError"""
    for name in ("cert", "key", "cacert"):
        if name in values.given and not values[name]:
            raise CommandError(f"empty string is passed to --{name} option", BAD_ARGUMENTS)
    given, domain = values["endpoints"], ""
    if values["discovery-srv"]:
        from etcdz.cli.ctl.discovery import discover

        is_insecure = parse_bool(values["insecure-discovery"])
        given = ",".join(discover(values["discovery-srv"], values["discovery-srv-name"], is_insecure)) or given
        domain = "" if is_insecure else values["discovery-srv"]
    tls = Tls(
        values["cacert"],
        values["cert"],
        values["key"],
        domain,
        skip_verify=parse_bool(values["insecure-skip-tls-verify"]),
    )
    if values["auth-jwt-token"]:
        return dialled(given, tls, "", "", values)._replace(token=values["auth-jwt-token"])
    user, password = login(values["user"], values["password"], "Password: ")
    return dialled(given, tls, user, password, values)


def dialled(given: str, tls: Tls, user: str, password: str, values: Values, flags: str = "") -> Options:
    """flags: what the names of the flags begin with that say how. raises CommandError"""
    if bool(tls.cert) != bool(tls.key):
        raise CommandError(
            f"KeyFile and CertFile must both be present[key: {tls.key}, cert: {tls.cert}]", BAD_ARGUMENTS
        )
    is_secure = bool(tls.cert or tls.ca or tls.server_name) or not parse_bool(values[f"{flags}insecure-transport"])
    try:
        endpoints = parse_endpoints(given, is_secure)
    except ValueError as error:
        raise CommandError(str(error), BAD_CONNECTION) from None
    return Options(
        endpoints=endpoints,
        tls=tls,
        user=user,
        password=password,
        timeout_s=max(seconds(values["command-timeout"]), 1e-9),
        dial_timeout_s=seconds(values["dial-timeout"]),
        ping_after_s=seconds(values["keepalive-time"]),
        ping_timeout_s=seconds(values["keepalive-timeout"]),
        user_agent="etcdzctl",
    )


def as_given(word: str) -> bytes:
    """The bytes that an argument has on the command line, UTF-8 or not."""
    return os.fsencode(word)
