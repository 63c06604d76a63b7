"""What a v2 command has: the global options with the variables, endpoints, and how it fails."""

import os
import sys
import time
from typing import Any, NoReturn

from etcdz.cli.ctl.passwords import ask
from etcdz.cli.ctl_v2.requests import Answer, ClusterError, Endpoints, Login, Request, RequestError
from etcdz.cli.ctl_v2.words import Values
from etcdz.client.options import Tls
from etcdz.config.literals import parse_duration

ERROR, BAD_CONNECTION, SERVER_ERROR, UNHEALTHY, BAD_ARGUMENTS = 1, 2, 4, 5, 128


class Failed(Exception):
    """The command ends; stderr is told `text`."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


def fail(error: object, status: int) -> NoReturn:
    """In the words of a command of keys: what an endpoint said, and of several what each did."""
    detail = "".join(f"\n{line}" for line in error.lines) + "\n" if isinstance(error, ClusterError) else ""
    raise Failed(f"Error:  {error}{detail}", status)


def refuse(error: object) -> NoReturn:
    """In the words of the other commands."""
    raise Failed(str(error), ERROR)


class Session:
    """raises Failed: no such endpoint, or with `syncs` none that answers"""

    def __init__(self, options: Values, syncs: bool = True) -> None:
        self.output = options["output"]
        self._until = time.monotonic() + parse_duration(options["total-timeout"]) / 1e9
        is_told = options["debug"] == "true"
        self.endpoints = Endpoints(
            _given(options), _tls(options), _login(options), parse_duration(options["timeout"]) / 1e9
        )
        if is_told:
            self.endpoints.tell = lambda line: print(line, file=sys.stderr)
        if syncs and options["no-sync"] != "true":
            self._sync(is_told)
        if is_told:
            print(f"Cluster-Endpoints: {', '.join(self.endpoints.urls)}", file=sys.stderr)

    def _sync(self, is_told: bool) -> None:
        """Goes on with the members' own addresses. What fails but for the connection, etcdctl does not mind."""
        if is_told:
            print(f"start to sync cluster using endpoints({','.join(self.endpoints.urls)})", file=sys.stderr)
        try:
            members = self.do(Request("GET", "/v2/members")).json()["members"]
        except ClusterError as error:
            if error.is_of_connections:
                fail(error, BAD_CONNECTION)
            return
        except (RequestError, KeyError, TypeError):
            return
        urls = [url for member in members for url in member["clientURLs"]]
        if not urls:
            print("etcd cluster has no published client endpoints.", file=sys.stderr)
            print(
                "Try '--no-sync' if you want to access non-published client endpoints"
                f"({','.join(self.endpoints.urls)}).",
                file=sys.stderr,
            )
            fail("client: no endpoints available", SERVER_ERROR)
        self.endpoints.urls = urls
        if is_told:
            print(f"got endpoints({','.join(urls)}) after sync", file=sys.stderr)

    def do(self, request: Request, waits: bool = False) -> Answer:
        """waits: for however long it takes. raises RequestError"""
        return self.endpoints.do(request, None if waits else self._until)

    def json(self, request: Request, *good: int) -> Any:
        """What an answer of one of these statuses says. raises Failed: what another one says"""
        try:
            answer = self.do(request)
            if answer.status in good:
                return answer.json() if answer.body else None
            refuse(answer.message())
        except RequestError as error:
            refuse(error)


def _option(options: Values, *names: str) -> str:
    """The first that is given, or whose variable is."""
    for name in names:
        if value := options[name] or os.environ.get(f"ETCDCTL_{name.upper().replace('-', '_')}", ""):
            return value
    return ""


def _given(options: Values) -> list[str]:
    """raises Failed"""
    urls: list[str] = []
    if domain := _option(options, "discovery-srv"):
        from etcdz.cli.ctl.discovery import discover

        urls = discover(
            domain, os.environ.get("ETCDCTL_DISCOVERY_SRV_NAME", ""), options["insecure-discovery"] == "true"
        )
    if not urls:
        urls = (
            _option(options, "endpoints", "endpoint", "peers") or "http://127.0.0.1:2379,http://127.0.0.1:4001"
        ).split(",")
    for url in urls:
        if "://" not in url and ":" in url.partition("/")[0]:
            raise Failed(f'parse "{url}": first path segment in URL cannot contain colon', ERROR)
    return [url if "://" in url else f"http://{url}" for url in urls]


def _tls(options: Values) -> Tls:
    return Tls(_option(options, "ca-file"), _option(options, "cert-file"), _option(options, "key-file"))


def _login(options: Values) -> Login | None:
    given = _option(options, "username")
    if not given:
        return None
    name, colon, password = given.partition(":")
    return Login(name, password if colon else ask("Password: "))
