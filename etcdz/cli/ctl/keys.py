"""put, get, del, compaction."""

import sys
from typing import Final

from etcdz.cli.command_tree import CommandError, Values
from etcdz.cli.ctl.exits import BAD_ARGUMENTS, BAD_FEATURE
from etcdz.cli.ctl.numbers import flag_integer, integer
from etcdz.cli.ctl.session import Session, as_given
from etcdz.client import methods
from etcdz.client.keys import prefix_end
from etcdz.client.requests import put_body, range_body
from etcdz.config.literals import quote
from etcdz.proto import etcdserverpb as pb

_PUT_ARGUMENTS: Final = "put command needs 1 argument and input from stdin or 2 arguments"
_TARGETS: Final = {"": "key", "CREATE": "create", "KEY": "key", "MODIFY": "mod", "VALUE": "value", "VERSION": "version"}


def put(arguments: list[str], values: Values) -> int:
    body = put_body_of(arguments, values)
    session = Session(values)
    answer = session.ask(methods.PUT, body.SerializeToString(), pb.PutResponse.FromString)
    session.show(session.printer.put(answer))
    return 0


def put_body_of(arguments: list[str], values: Values) -> "pb.PutRequest":
    """What the command line asks for; a value that it lacks is read from stdin. raises CommandError"""
    ignores_value = values["ignore-value"] == "true"
    if not arguments:
        raise CommandError(_PUT_ARGUMENTS, BAD_ARGUMENTS)
    if ignores_value and len(arguments) > 1:
        raise CommandError("put command needs only 1 argument when 'ignore-value' is set", BAD_ARGUMENTS)
    value = b"" if ignores_value else _value(arguments)
    try:
        lease = integer(values["lease"], 16)
    except ValueError as error:
        raise CommandError(f"bad lease ID ({error}), expecting ID in Hex", BAD_ARGUMENTS) from None
    prev, ignores_lease = values["prev-kv"] == "true", values["ignore-lease"] == "true"
    return put_body(as_given(arguments[0]), value, lease, prev, ignores_value, ignores_lease)


def _value(arguments: list[str]) -> bytes:
    if len(arguments) > 1:
        return as_given(arguments[1])
    value = sys.stdin.buffer.read()
    if not value:
        raise CommandError(_PUT_ARGUMENTS, BAD_ARGUMENTS)
    return value


def get(arguments: list[str], values: Values) -> int:
    body = get_body(arguments, values)
    session = Session(values)
    answer = session.ask(methods.RANGE, body.SerializeToString(), pb.RangeResponse.FromString)
    if values["count-only"] == "true" and session.printer.name != "fields":
        raise CommandError("--count-only is only for `--write-out=fields`", BAD_ARGUMENTS)
    value_only = values["print-value-only"] == "true"
    if value_only and session.printer.name != "simple":
        raise CommandError("print-value-only is only for `--write-out=simple`", BAD_ARGUMENTS)
    session.show(session.printer.get(answer, value_only))
    return 0


def get_body(arguments: list[str], values: Values) -> "pb.RangeRequest":
    """What the command line asks for. raises CommandError"""
    if not arguments:
        text = "get command needs one argument as key and an optional argument as range_end"
        raise CommandError(text, BAD_ARGUMENTS)
    _refuse_both(values, "prefix", "from-key")
    _refuse_both(values, "keys-only", "count-only")
    if values["consistency"] not in ("l", "s"):
        raise CommandError(f"unknown consistency flag {quote(values['consistency'])}", BAD_FEATURE)
    key, end = _span(arguments, values)
    order, target = values["order"].upper(), values["sort-by"].upper()
    if order not in ("", "ASCEND", "DESCEND"):
        raise CommandError(f"bad sort order {values['order']}", BAD_FEATURE)
    if target not in _TARGETS:
        raise CommandError(f"bad sort target {values['sort-by']}", BAD_FEATURE)
    return range_body(
        key,
        end,
        **_revisions(values),
        limit=flag_integer(values["limit"]),
        at=max(0, flag_integer(values["rev"])),
        sort=_TARGETS[target],
        order=order.lower(),
        keys_only=values["keys-only"] == "true",
        count_only=values["count-only"] == "true",
        serializable=values["consistency"] == "s",
    )


def _revisions(values: Values) -> dict[str, int]:
    """The bounds of --min-mod-rev and its like, by what range_body calls them. raises CommandError"""
    bounds = {}
    for kind, shown in (("create", "Create"), ("mod", "Mod")):
        least, most = (max(0, flag_integer(values[f"{end}-{kind}-rev"])) for end in ("min", "max"))
        if 0 < most < least:
            raise CommandError(f"getMin{shown}Rev(={least}) > getMax{shown}Rev(={most})", BAD_FEATURE)
        bounds[f"min_{kind}_revision"], bounds[f"max_{kind}_revision"] = least, most
    return bounds


def delete(arguments: list[str], values: Values) -> int:
    body = delete_body(arguments, values)
    session = Session(values)
    answer = session.ask(methods.DELETE_RANGE, body.SerializeToString(), pb.DeleteRangeResponse.FromString)
    session.show(session.printer.delete(answer))
    return 0


def delete_body(arguments: list[str], values: Values) -> "pb.DeleteRangeRequest":
    """What the command line asks for. raises CommandError"""
    if not 1 <= len(arguments) <= 2:
        text = "del command needs one argument as key and an optional argument as range_end"
        raise CommandError(text, BAD_ARGUMENTS)
    _refuse_both(values, "prefix", "from-key")
    key, end = _span(arguments, values)
    return pb.DeleteRangeRequest(key=key, range_end=end, prev_kv=values["prev-kv"] == "true")


def compaction(arguments: list[str], values: Values) -> int:
    if len(arguments) != 1:
        raise CommandError("compaction command needs 1 argument", BAD_ARGUMENTS)
    try:
        revision = integer(arguments[0])
    except ValueError as error:
        raise CommandError(str(error)) from None
    body = pb.CompactionRequest(revision=revision, physical=values["physical"] == "true")
    session = Session(values)
    session.ask(methods.COMPACT, body.SerializeToString(), pb.CompactionResponse.FromString)
    session.show(b"compacted revision %d\n" % revision)
    return 0


def _refuse_both(values: Values, one: str, other: str) -> None:
    if values[one] == "true" and values[other] == "true":
        text = f"`--{one}` and `--{other}` cannot be set at the same time, choose one"
        raise CommandError(text, BAD_ARGUMENTS)


def _span(arguments: list[str], values: Values) -> tuple[bytes, bytes]:
    """(key, end of the range) as the arguments, --prefix and --from-key say. raises CommandError"""
    key = as_given(arguments[0])
    is_prefix, is_from = values["prefix"] == "true", values["from-key"] == "true"
    if len(arguments) > 1:
        if is_prefix or is_from:
            text = "too many arguments, only accept one argument when `--prefix` or `--from-key` is set"
            raise CommandError(text, BAD_ARGUMENTS)
        return key, as_given(arguments[1])
    if is_from or (is_prefix and not key):
        return key or b"\0", b"\0"
    return key, prefix_end(key) if is_prefix else b""
