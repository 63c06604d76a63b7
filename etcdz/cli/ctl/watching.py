"""watch: what happens to keys, as it happens, until the server ends it; with -i, watches that stdin asks for.

With a command behind `--` it is run for each event, which it finds in its variables ETCD_WATCH_*.
"""

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from etcdz.cli.command_tree import Command, CommandError, UsageError, Values, descend, parse
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, INTERRUPTED, INVALID_INPUT
from etcdz.cli.ctl.numbers import flag_integer
from etcdz.cli.ctl.quoting import quote_bytes, words_of
from etcdz.cli.ctl.session import Session, as_given
from etcdz.client.errors import ClientClosed, EtcdError
from etcdz.client.keys import prefix_end
from etcdz.client.pending import Ask
from etcdz.client.watches import WatchOptions
from etcdz.config.literals import quote

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb
    from etcdz.proto import mvccpb

KEY: Final = "ETCDCTL_WATCH_KEY"
RANGE_END: Final = "ETCDCTL_WATCH_RANGE_END"
_NUMBER: Final = "bad number of arguments"


class _Wanted(NamedTuple):
    """command: to be run for each event, or empty."""

    options: WatchOptions
    command: list[str]


class _CommandFailed(Exception):
    """The command that an event has started; the text says why."""


def watch(arguments: list[str], values: Values) -> int:
    if os.environ.get(RANGE_END) and not os.environ.get(KEY):
        text = f"{KEY} is empty but got {RANGE_END}={quote(os.environ[RANGE_END])}"
        raise CommandError(text, BAD_ARGUMENTS)
    if values["interactive"] == "true":
        return _interactive(values)
    names, command = _parted(arguments, values)
    session = Session(values, (KEY, RANGE_END))
    wanted = _wanted(names, command, values)
    with session:
        try:
            _follow(session, wanted)
        except _CommandFailed as failure:
            sys.stderr.write(f"{failure}\n")
            return 1
    raise CommandError("watch is canceled by the server", INTERRUPTED)


def _parted(arguments: list[str], values: Values) -> tuple[list[str], list[str]]:
    """(key and end, the command). raises CommandError"""
    after, key = values.after_dashes, os.environ.get(KEY, "")
    names = arguments if after is None else arguments[: len(arguments) - len(after)]
    if after == []:
        raise CommandError(f"{_NUMBER} (found separator --, but no commands)", BAD_ARGUMENTS)
    if names and key:
        raise CommandError(f"{_NUMBER} (found conflicting environment key)", BAD_ARGUMENTS)
    if key:
        names = [key, *filter(None, [os.environ.get(RANGE_END, "")])]
    if not names and after is None:
        raise CommandError(_NUMBER, BAD_ARGUMENTS)
    return names, after or []


def _wanted(names: list[str], command: list[str], values: Values) -> _Wanted:
    """raises CommandError"""
    if not names:
        raise CommandError(_NUMBER, BAD_ARGUMENTS)
    is_prefix = values["prefix"] == "true"
    if len(names) == 2 and is_prefix:
        raise CommandError("`range_end` and `--prefix` are mutually exclusive", BAD_ARGUMENTS)
    key = as_given(names[0])
    end = as_given(names[1]) if len(names) == 2 else prefix_end(key) if is_prefix else b""
    options = WatchOptions(
        key or b"\0",
        end,
        flag_integer(values["rev"]),
        values["prev-kv"] == "true",
        values["progress-notify"] == "true",
        requires_leader=True,
        whole=True,
    )
    return _Wanted(options, command)


def _follow(session: Session, wanted: _Wanted) -> None:
    """Returns when the watch has ended. raises _CommandFailed"""
    watcher = session.reactor.enter(lambda core: core.watches.add(wanted.options))
    was_told = False
    while True:
        try:
            answer = session.do(Ask(lambda core: watcher.take()))
        except ClientClosed:
            return
        except EtcdError as error:
            if not was_told:
                sys.stderr.write(f"watch was canceled ({error.text})\n")
            return
        if answer is None:
            return
        was_told = _tell(session, answer)
        for event in answer.events if wanted.command else ():
            _run(wanted.command, answer.header.revision, event)


def _tell(session: Session, answer: "pb.WatchResponse") -> bool:
    """return whether it is the last."""
    if answer.canceled:
        sys.stderr.write("watch was canceled (etcdserver: mvcc: required revision has been compacted)\n")
    is_progress = not (answer.events or answer.canceled)
    progress = b"progress notify: %d\n" % answer.header.revision if is_progress else b""
    session.show(progress + session.printer.watch(answer))
    return answer.canceled


def _run(command: list[str], revision: int, event: "mvccpb.Event") -> None:
    """raises _CommandFailed"""
    said = {
        "ETCD_WATCH_REVISION": str(revision),
        "ETCD_WATCH_EVENT_TYPE": '"DELETE"' if event.type else '"PUT"',
        "ETCD_WATCH_KEY": quote_bytes(event.kv.key),
        "ETCD_WATCH_VALUE": quote_bytes(event.kv.value),
    }
    shown = " ".join(map(quote, command))
    try:
        ended = subprocess.run(command, env={**os.environ, **said}, check=False)
    except OSError:
        why = f"exec: {quote(command[0])}: executable file not found in $PATH"
        raise _CommandFailed(f"command [{shown}] error ({why})") from None
    if ended.returncode:
        raise _CommandFailed(f"command [{shown}] error (exit status {ended.returncode})")


# ---- interactive ----


def _interactive(values: Values) -> int:
    with Session(values, (KEY, RANGE_END)) as session:
        while True:
            raw = sys.stdin.buffer.readline()
            if not raw.endswith(b"\n"):
                raise CommandError("error reading watch request line: EOF", INVALID_INPUT)
            line = raw[:-1].decode(errors="surrogateescape")
            try:
                words = words_of(line)
            except ValueError as error:
                raise CommandError(str(error), INVALID_INPUT) from None
            if not words:
                _refuse(f": {line} (watch and progress supported)")
            elif words[0] == "progress":
                session.reactor.enter(lambda core: core.watches.request_progress())
            elif words[0] != "watch":
                _refuse(f" {line} (only support watch)")
            elif len(words) < 2 and not os.environ.get(KEY):
                _refuse(f" {line} (command type or key is not provided)")
            else:
                _begin(session, line, words)


def _refuse(text: str) -> None:
    sys.stderr.write(f"Invalid command{text}\n")
    sys.stderr.flush()


def _begin(session: Session, line: str, words: list[str]) -> None:
    """A watch of its own, in a thread. raises CommandError: the line cannot be read"""
    from etcdz.cli.ctl.tree import ROOT

    root = Command("", "", children=tuple(each for each in ROOT.children if each.name == "watch"))
    path, rest = descend(root, words)
    try:
        arguments, values = parse(path[-1], root, rest)
    except UsageError as error:
        raise CommandError(str(error), BAD_ARGUMENTS) from None
    names, command = _parted(arguments, values)
    try:
        wanted = _wanted(names, command, values)
    except CommandError as error:
        _refuse(f" {line} ({error})")
        return
    threading.Thread(target=_follow_or_exit, args=(session, wanted), name="etcdzctl-watch", daemon=True).start()


def _follow_or_exit(session: Session, wanted: _Wanted) -> None:
    """NB: a command that fails ends all watches, as in etcdctl."""
    try:
        _follow(session, wanted)
    except _CommandFailed as failure:
        sys.stderr.write(f"{failure}\n")
        sys.stderr.flush()
        os._exit(1)
