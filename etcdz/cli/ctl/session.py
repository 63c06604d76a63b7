"""What a command has: its flags with the variables applied, a client for as long as it runs, and a printer."""

import os
import sys
from collections.abc import Callable
from typing import Final, TypeVar

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.environment import apply
from etcdz.cli.ctl.flags import GLOBAL
from etcdz.cli.ctl.numbers import seconds
from etcdz.cli.ctl.printers import Printer, make_printer
from etcdz.client.endpoints import parse_endpoints
from etcdz.client.errors import EtcdError
from etcdz.client.methods import Method
from etcdz.client.options import Options, Tls
from etcdz.client.pending import Request
from etcdz.client.reactor import Reactor
from etcdz.config.literals import parse_bool

R = TypeVar("R")

ERROR: Final = 1
BAD_CONNECTION: Final = 2
BAD_FEATURE: Final = 4
BAD_ARGUMENTS: Final = 128


class Session:
    """raises CommandError: the flags do not go together; Refused: nor with the variables"""

    def __init__(self, values: Values) -> None:
        apply(values, GLOBAL, os.environ)
        self._options = _options(values)
        self.printer: Printer = make_printer(values["write-out"], parse_bool(values["hex"]))

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
        timeout_s = self._options.timeout_s if is_bounded else 0
        reactor = Reactor(self._options)
        try:
            return reactor.do(Request(method, body, decode, timeout_s))
        except EtcdError as error:
            raise CommandError(failure.format(error.text), status) from None
        finally:
            reactor.close()

    def show(self, text: bytes) -> None:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


def _options(values: Values) -> Options:
    for name in ("cert", "key", "cacert"):
        if name in values.given and not values[name]:
            raise CommandError(f"empty string is passed to --{name} option", BAD_ARGUMENTS)
    if values["discovery-srv"]:
        raise CommandError("etcdzctl --discovery-srv is not supported yet")
    cert, key, ca = values["cert"], values["key"], values["cacert"]
    if bool(cert) != bool(key):
        raise CommandError(f"KeyFile and CertFile must both be present[key: {key}, cert: {cert}]", BAD_ARGUMENTS)
    is_secure = bool(cert or ca) or values["insecure-transport"] == "false"
    try:
        endpoints = parse_endpoints(values["endpoints"], is_secure)
    except ValueError as error:
        raise CommandError(str(error), BAD_CONNECTION) from None
    user, password = _login(values)
    return Options(
        endpoints=endpoints,
        tls=Tls(ca, cert, key, skip_verify=values["insecure-skip-tls-verify"] == "true"),
        user=user,
        password=password,
        timeout_s=max(seconds(values["command-timeout"]), 1e-9),
        dial_timeout_s=seconds(values["dial-timeout"]),
        ping_after_s=seconds(values["keepalive-time"]),
        ping_timeout_s=seconds(values["keepalive-timeout"]),
        user_agent="etcdzctl",
    )


def _login(values: Values) -> tuple[str, str]:
    user, password = values["user"], values["password"]
    if not user or password:
        return user, password if user else ""
    name, colon, word = user.partition(":")
    if colon:
        return name, word
    from getpass import getpass

    return user, getpass("Password: ")


def as_given(word: str) -> bytes:
    """The bytes that an argument has on the command line, UTF-8 or not."""
    return os.fsencode(word)
