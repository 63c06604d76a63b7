"""`etcdz monitor --endpoints`: several members side by side, asked over the network for what every etcd tells."""

import argparse
import http.client
import json
import os
import select
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from etcdz.api.errors import Code
from etcdz.cli.access import Access
from etcdz.cli.endpoints import Endpoint
from etcdz.cli.monitor.terminal import ASCII, Terminal
from etcdz.monitor.members import Members, MemberSample, MemberView, Status, as_json, read_figures, table
from etcdz.monitor.paint import Line, Span, filled, line, plain
from etcdz.net.blocking_channel import RpcError
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import printable

ANSWER_S: Final = 2.0
"""Longest wait for one member, which holds up the next sample of the others."""
AGAIN_S: Final = 0.5
"""Between the two samples of --once: rates need two."""
KEYS_S: Final = 0.1
"""How often it is checked whether the answers have come."""

Views = tuple[MemberView, ...]


class Fleet:
    """The members at some endpoints, asked from threads."""

    def __init__(self, endpoints: Sequence[Endpoint], access: Access) -> None:
        self._visits = [Visit(endpoint, access) for endpoint in endpoints]
        self._members = Members()
        self._threads = ThreadPoolExecutor(len(endpoints) + 1, thread_name_prefix="monitor")

    def sample(self) -> Views:
        """One sample of all members at once; takes ANSWER_S at most, or a little more."""
        return self._members.feed(list(self._threads.map(Visit.sample, self._visits)))

    def sample_soon(self) -> "Future[Views]":
        """sample() in a thread."""
        return self._threads.submit(self.sample)

    def close(self) -> None:
        """NB: a thread that waits for an answer is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Visit:
    """One member, asked again and again."""

    def __init__(self, endpoint: Endpoint, access: Access) -> None:
        self._endpoint = endpoint
        self._access = access
        self._has_logged_in = not access.user

    def sample(self) -> MemberSample:
        """What the member says of itself. Never raises: one that does not answer is shown so."""
        status, figures, trouble = None, {}, ""
        try:
            status = self._status()
            figures = read_figures(_metrics(self._endpoint))
        except (OSError, RpcError, http.client.HTTPException, ValueError) as error:
            why = error.text if isinstance(error, RpcError) else str(error)
            trouble = f"no answer: {why}" if status is None else f"no metrics: {why}"
        name = self._endpoint.text.removeprefix("http://").removeprefix("https://").rstrip("/")
        return MemberSample(name, time.monotonic(), time.time(), status, figures, trouble)

    def _status(self) -> Status:
        """raises RpcError"""
        if not self._has_logged_in:
            self._endpoint = self._access.log_in(self._endpoint, ANSWER_S)
            self._has_logged_in = True
        try:
            return _status(self._endpoint)
        except RpcError as error:
            if (
                error.code == Code.UNAUTHENTICATED
            ):  # the token is forgotten after minutes, and with each change of users
                self._has_logged_in = not self._access.user
            raise


def _status(endpoint: Endpoint) -> Status:
    with endpoint.open_channel(ANSWER_S) as channel:
        request = pb.StatusRequest().SerializeToString()
        body = channel.unary("/etcdserverpb.Maintenance/Status", request, timeout=ANSWER_S)
    found = pb.StatusResponse.FromString(body)
    return Status(
        cluster_id=found.header.cluster_id,
        member_id=found.header.member_id,
        leader_id=found.leader,
        version=printable(found.version),
        term=found.raftTerm,
        revision=found.header.revision,
        raft_index=found.raftIndex,
        applied_index=found.raftAppliedIndex,
        db_bytes=found.dbSize,
        is_learner=found.isLearner,
        errors=tuple(map(printable, found.errors)),
    )


def _metrics(endpoint: Endpoint) -> str:
    connection = http.client.HTTPConnection(endpoint.authority.decode())
    connection.sock = endpoint.open_socket(endpoint.http_tls, ANSWER_S)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    if answer.status != 200:
        raise ValueError(f"/metrics says {answer.status}")
    return text


# ---- what the command does ----


def run(args: argparse.Namespace, interval_s: float, is_screen: bool) -> int:
    """args.endpoints: of parse_endpoints. return the exit status: 1 if --once reached none of them"""
    fleet = Fleet(args.endpoints, args.access)
    try:
        if args.once or (args.json and args.watch is None):
            return _once(args, fleet)
        return _live(fleet, interval_s) if is_screen and not args.json else _watch(args, fleet, interval_s)
    finally:
        fleet.close()


def _once(args: argparse.Namespace, fleet: Fleet) -> int:
    fleet.sample()
    time.sleep(AGAIN_S)
    views = fleet.sample()
    _print(args, views)
    return 0 if any(view.status is not None for view in views) else 1


def _watch(args: argparse.Namespace, fleet: Fleet, interval_s: float) -> int:
    """Until interrupted."""
    while True:
        _print(args, fleet.sample())
        time.sleep(interval_s)


def _print(args: argparse.Namespace, views: Views) -> None:
    if args.json:
        print(json.dumps({"members": [as_json(view) for view in views]}), flush=True)
        return
    width, height = shutil.get_terminal_size()
    title = f"etcdz monitor  {len(views)} members  {time.strftime('%H:%M:%S')}"
    text = "\n".join([title, *(plain(one).rstrip() for one in table(views, width, max(height, len(views) + 2)))])
    print(text if (sys.stdout.encoding or "").lower() == "utf-8" else text.translate(ASCII), flush=True)


def _live(fleet: Fleet, interval_s: float) -> int:
    """The full screen, until q or ^C."""
    views: Views = ()
    coming, next_sample = fleet.sample_soon(), time.monotonic() + interval_s
    with Terminal(sys.stdin, sys.stdout, os.environ) as terminal, suppress(EOFError):
        while True:
            if coming.done() and time.monotonic() >= next_sample:
                views = coming.result()
                coming, next_sample = fleet.sample_soon(), time.monotonic() + interval_s
            elif coming.done() and not views:
                views = coming.result()
            terminal.draw(_screen(views, *terminal.size()))
            if select.select(terminal.files, [], [], KEYS_S)[0] and {"q", "^C"} & set(terminal.read_keys()):
                return 0
    return 1


def _screen(views: Views, width: int, height: int) -> list[Line]:
    answer = sum(view.status is not None for view in views)
    title = f" etcdz monitor  {answer} of {len(views)} answer  {time.strftime('%H:%M:%S')}"
    head = filled(line(title), width, "title" if answer == len(views) else "alarm")
    body = table(views, width, height - 2)
    body += [[] for _ in range(height - 2 - len(body))]
    return [head, *body, line(Span(" q", "key"), Span(" quit", "dim"))]
