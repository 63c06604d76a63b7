"""Decodes messages that are nested deeper than the protobuf library allows: it refuses what lies more than 100 below.

    message := field*            field of a known message: decoded here, level by level
                                 group (wire types 3, 4): unknown to all of etcd's messages, passed over
                                 any other field: left to the library

etcd's decoder has no such limit: it takes transactions as deep as --max-txn-ops lets them be, and passes over unknown
groups however deep they are. What this decodes alone it also decodes inside an entry of the log, where one level more
lies around it.
"""

from typing import Any, Final

from google.protobuf.message import DecodeError

from etcdz.proto.fields import decode_varint

LEVELS_MAX: Final = 520
"""Messages in one another. Each level of transactions is two, and etcd takes 128 unless --max-txn-ops says more.
What checks and applies transactions calls itself twice for each, and Python's own limit is 1,000 calls."""

_VARINT, _FIXED64, _BYTES, _GROUP, _GROUP_END, _FIXED32 = range(6)


class TooDeep(DecodeError):
    """More than LEVELS_MAX messages in one another."""


def decode(cls: Any, body: bytes, levels_max: int = LEVELS_MAX) -> Any:
    """A message of this class, however deep it is. It is as fast as cls.FromString where that can do it.

    levels_max  how many messages may lie in one another. NB: an entry has one more than the request in it, or a request
                that was accepted could not be applied
    raises  DecodeError; of these TooDeep if that is all that is wrong so far
    """
    try:
        return cls.FromString(body)
    except DecodeError as error:
        problem = error
    message = cls()
    try:
        _fill(message, body, levels_max)
    except (IndexError, ValueError):  # it ends inside a field, or has one that is too long
        raise problem from None
    return message


def without_groups(body: bytes) -> bytes | None:
    """A message's fields without its groups, but for those in inner messages.

    return  None: there are none, or body is damaged
    """
    parts: list[bytes] = []
    at = 0
    try:
        while at < len(body):
            tag, value_at = decode_varint(body, at)
            behind = _end_of_value(body, tag & 7, value_at)
            if tag & 7 != _GROUP:
                parts.append(body[at:behind])
            at = behind
    except (IndexError, ValueError):
        return None
    plain = b"".join(parts)
    return None if len(plain) == len(body) else plain


def _fill(message: Any, body: bytes, levels_max: int) -> None:
    """Adds what body holds to an empty message. NB: no recursion: body's sender chooses how deep it goes."""
    waiting = [(message, body, 1)]
    while waiting:
        target, data, level = waiting.pop()
        if level > levels_max:
            raise TooDeep(f"more than {levels_max} messages in one another")
        plain, inner = _split(target.DESCRIPTOR.fields_by_number, data)
        target.MergeFromString(plain)
        for field, part in inner:
            child = getattr(target, field.name)
            if hasattr(child, "add"):
                child = child.add()
            else:
                target.ClearField(field.name)  # the last one counts, as in etcd
                child = getattr(target, field.name)
                child.SetInParent()
            waiting.append((child, part, level + 1))


def _split(fields: Any, data: bytes) -> tuple[bytes, list[tuple[Any, bytes]]]:
    """(fields that are no messages, messages by their fields). raises IndexError, ValueError"""
    plain: list[bytes] = []
    inner: list[tuple[Any, bytes]] = []
    at, end = 0, len(data)
    while at < end:
        tag, value_at = decode_varint(data, at)
        field = fields.get(tag >> 3) if tag & 7 == _BYTES else None
        behind = _end_of_value(data, tag & 7, value_at)
        if field is not None and field.message_type is not None:
            inner.append((field, data[decode_varint(data, value_at)[1] : behind]))
        elif tag & 7 != _GROUP:
            plain.append(data[at:behind])
        at = behind
    return b"".join(plain), inner


def _end_of_value(data: bytes, wire_type: int, at: int) -> int:
    """Offset behind a field's value, which begins at `at`; of a group: behind its end. raises IndexError, ValueError"""
    depth = 0
    while True:
        if wire_type == _VARINT:
            at = decode_varint(data, at)[1]
        elif wire_type == _BYTES:
            size, at = decode_varint(data, at)
            at += size
        elif wire_type in (_FIXED64, _FIXED32):
            at += 8 if wire_type == _FIXED64 else 4
        elif wire_type == _GROUP:
            depth += 1
        elif wire_type == _GROUP_END and depth:
            depth -= 1
        else:
            raise ValueError(f"wire type {wire_type}")
        if at > len(data):
            raise IndexError("value behind the end")
        if not depth:
            return at
        tag, at = decode_varint(data, at)
        wire_type = tag & 7
