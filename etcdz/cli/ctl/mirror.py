"""make-mirror: the keys of a prefix, and then each change of them, written to another cluster."""

import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS
from etcdz.cli.ctl.numbers import flag_integer, flag_unsigned
from etcdz.cli.ctl.passwords import login
from etcdz.cli.ctl.session import Session, as_given, dialled, said
from etcdz.client import requests
from etcdz.client.errors import EtcdError
from etcdz.client.keys import ALL, prefix_end
from etcdz.client.options import Options, Tls
from etcdz.client.pages import Pages
from etcdz.client.pending import Ask
from etcdz.client.reactor import Reactor
from etcdz.client.transactions import delete, put, txn
from etcdz.client.watches import WatchOptions

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb
    from etcdz.proto import mvccpb

_REPORT_S: Final = 30.0


def make_mirror(arguments: list[str], values: Values) -> int:
    """Ends with an error alone."""
    if len(arguments) != 1:
        raise CommandError("make-mirror takes one destination argument", BAD_ARGUMENTS)
    target = _target(arguments[0], values)
    session = Session(values)
    mirror = _Mirror(session, Reactor(target), as_given(values["prefix"]), _target_prefix(values))
    mirror.ops_max = flag_unsigned(values["max-txn-ops"]) or 1
    start = max(0, flag_integer(values["rev"]) - 1)
    threading.Thread(target=mirror.report, name="etcdzctl-report", daemon=True).start()
    try:
        with session:
            if start:
                mirror.revision = start
            else:
                mirror.copy()
            mirror.follow()
    except EtcdError as error:
        raise CommandError(said(error)) from None
    finally:
        mirror.close()
    raise CommandError("the watch has ended")


def _target(endpoint: str, values: Values) -> Options:
    tls = Tls(values["dest-cacert"], values["dest-cert"], values["dest-key"])
    user, password = login(values["dest-user"], values["dest-password"], "Destination Password: ")
    return dialled(endpoint, tls, user, password, values, "dest-")


def _target_prefix(values: Values) -> bytes:
    """raises CommandError"""
    if values["no-dest-prefix"] == "true":
        if values["dest-prefix"]:
            text = "`--dest-prefix` and `--no-dest-prefix` cannot be set at the same time, choose one"
            raise CommandError(text, BAD_ARGUMENTS)
        return b""
    return as_given(values["dest-prefix"] or values["prefix"])


class _Mirror:
    """written: keys so far; revision: of the source, up to which it is a mirror; ops_max: of a transaction."""

    def __init__(self, source: Session, target: Reactor, prefix: bytes, target_prefix: bytes) -> None:
        self.written = 0
        self.revision = 0
        self.ops_max = 128
        self._source = source
        self._target = target
        self._prefix = prefix
        self._target_prefix = target_prefix
        self._ended = threading.Event()

    def report(self) -> None:
        """Every half minute: how many keys were written."""
        while not self._ended.wait(_REPORT_S):
            sys.stdout.write(f"{self.written}\n")
            sys.stdout.flush()

    def close(self) -> None:
        self._ended.set()
        self._target.close()

    @property
    def _end(self) -> bytes:
        return prefix_end(self._prefix) if self._prefix else ALL

    def _renamed(self, key: bytes) -> bytes:
        return self._target_prefix + key[len(self._prefix) :]

    def copy(self) -> None:
        """What is there, as of one revision. raises EtcdError"""
        self.revision = self._source.do(requests.page(ALL, limit=1, timeout=0)).revision
        pages = Pages(self._prefix or ALL, self._end, 0, self.revision, False, False)
        while not pages.done:
            for kv in pages.take(self._source.do(pages.request(0))):
                self._target.do(requests.put(self._renamed(kv.key), kv.value, timeout=0))
                self.written += 1

    def follow(self) -> None:
        """Each change: what was changed at once is so here, too. raises EtcdError"""
        options = WatchOptions(self._prefix or ALL, self._end, self.revision + 1, whole=True)
        watcher = self._source.reactor.enter(lambda core: core.watches.add(options))
        while True:
            answer: pb.WatchResponse | None = self._source.do(Ask(lambda core: watcher.take()))
            if answer is None:
                return
            for _, events in groupby(answer.events, lambda event: event.kv.mod_revision):
                for part in _parts(list(events), self.ops_max):
                    self._write(part)

    def _write(self, events: "Sequence[mvccpb.Event]") -> None:
        ops = [
            delete(self._renamed(event.kv.key)) if event.type else put(self._renamed(event.kv.key), event.kv.value)
            for event in events
        ]
        self._target.do(txn().then(*ops).request(0))
        self.written += len(ops)


def _parts(events: "list[mvccpb.Event]", ops_max: int) -> "Iterator[list[mvccpb.Event]]":
    """NB: a deletion of a range is more than one transaction may do, if the range is large."""
    for start in range(0, len(events), ops_max):
        yield events[start : start + ops_max]
