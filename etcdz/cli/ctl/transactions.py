"""txn: compares, then what is done if they hold, then what is done if not, each a line, with an empty line behind.

compare   target("key") op "value"      target: ver, version, c, create, m, mod, val, value, lease; op: = != < >
request   put ... | get ... | del ...   as on the command line
"""

import operator
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

from etcdz.cli.command_tree import Command, CommandError, UsageError, Values, descend, parse
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, INVALID_INPUT
from etcdz.cli.ctl.keys import delete_body, get_body, put_body_of
from etcdz.cli.ctl.numbers import integer
from etcdz.cli.ctl.quoting import quote_bytes, take_quoted, words_of
from etcdz.cli.ctl.session import Session
from etcdz.client import methods
from etcdz.client.transactions import Compare, key
from etcdz.proto import etcdserverpb as pb

_OPERATORS: Final[dict[str, Callable[[Any, Any], Compare]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
_TARGETS: Final = {
    "ver": "version",
    "version": "version",
    "c": "create_revision",
    "create": "create_revision",
    "m": "mod_revision",
    "mod": "mod_revision",
    "val": "value",
    "value": "value",
    "lease": "lease",
}


def txn(arguments: list[str], values: Values) -> int:
    if arguments:
        raise CommandError("txn command does not accept argument", BAD_ARGUMENTS)
    session = Session(values)
    is_interactive = values["interactive"] == "true"
    body = pb.TxnRequest()
    _prompt(is_interactive, b"compares:\n")
    for line in _paragraph():
        body.compare.append(_compare(line).body)
    _prompt(is_interactive, b"success requests (get, put, del):\n")
    for line in _paragraph():
        body.success.append(_request(line))
    _prompt(is_interactive, b"failure requests (get, put, del):\n")
    for line in _paragraph():
        body.failure.append(_request(line))
    writes = any(not op.HasField("request_range") for op in (*body.success, *body.failure))
    method = methods.TXN if writes else methods.READ_TXN
    answer = session.ask(method, body.SerializeToString(), pb.TxnResponse.FromString, is_bounded=False)
    session.show(session.printer.txn(answer))
    return 0


def _prompt(is_interactive: bool, text: bytes) -> None:
    if is_interactive:
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


def _paragraph() -> Iterator[str]:
    """The lines up to an empty one. raises CommandError: stdin ends before it"""
    while True:
        raw = sys.stdin.buffer.readline()
        if not raw.endswith(b"\n"):
            raise CommandError("EOF", INVALID_INPUT)
        line = raw.decode(errors="surrogateescape").strip()
        if not line:
            return
        yield line


def _compare(line: str) -> Compare:
    """raises CommandError"""
    target, parenthesis, rest = line.partition("(")
    if not parenthesis:
        raise CommandError(f"malformed comparison: {line}", INVALID_INPUT)
    name, sign, value = _scan(target, rest, line)
    if target not in _TARGETS:
        raise CommandError(f"malformed comparison: {line} (unknown target {target})", INVALID_INPUT)
    if sign not in _OPERATORS:
        raise CommandError(f"malformed comparison: {line} (unknown operator {sign})", INVALID_INPUT)
    field = _TARGETS[target]
    given: int | bytes = value
    if field != "value":
        try:
            given = integer(value.decode(errors="replace"), 16 if field == "lease" else 10)
        except ValueError:
            raise CommandError(f"invalid txn compare request: {line}", INVALID_INPUT) from None
    return _OPERATORS[sign](getattr(key(name), field), given)


def _scan(target: str, rest: str, line: str) -> tuple[bytes, str, bytes]:
    """(key, operator, value) of `"key") op "value"`. raises CommandError: what could be read of it"""
    name, sign, value = b"", "", b""
    try:
        name, rest = take_quoted(rest.lstrip(" "))
        if not rest.startswith(")"):
            raise ValueError
        found = re.match(r"[ \t]*(\S+)[ \t]*", rest[1:])
        if found is None:
            raise ValueError
        sign = found[1]
        value, _ = take_quoted(rest[1 + found.end() :])
    except ValueError:
        got = f"{target}({quote_bytes(name)}) {sign} {quote_bytes(value)}"
        raise CommandError(f"malformed comparison: {line}; got {got}", INVALID_INPUT) from None
    return name, sign, value


def _request(line: str) -> "pb.RequestOp":
    """raises CommandError"""
    from etcdz.cli.ctl.tree import ROOT

    try:
        words = words_of(line)
    except ValueError as error:
        raise CommandError(str(error), INVALID_INPUT) from None
    if len(words) < 2:
        raise CommandError(f"invalid txn compare request: {line}", INVALID_INPUT)
    requests = {"put": _put, "get": _get, "del": _delete}
    root = Command("", "", children=tuple(each for each in ROOT.children if each.name in requests))
    path, rest = descend(root, words)
    try:
        arguments, values = parse(path[-1], root, rest)
    except UsageError:
        arguments, values, path = [], Values({}), [root]
    if path[-1] is root:
        raise CommandError(f"invalid txn request: {line}", INVALID_INPUT)
    return requests[path[-1].name](arguments, values)


def _put(arguments: list[str], values: Values) -> "pb.RequestOp":
    return pb.RequestOp(request_put=put_body_of(arguments, values))


def _get(arguments: list[str], values: Values) -> "pb.RequestOp":
    return pb.RequestOp(request_range=get_body(arguments, values))


def _delete(arguments: list[str], values: Values) -> "pb.RequestOp":
    return pb.RequestOp(request_delete_range=delete_body(arguments, values))
