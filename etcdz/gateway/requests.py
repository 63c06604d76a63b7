"""JSON -> request, as protojson reads it with unknown fields discarded.

    names      as in the schema, or in camelCase; others are ignored
    null       the field is not set
    int64      a number, or a string that holds one; 1.0 is one
    enum       a name or a number; an unknown name is ignored, an unknown number kept
    bytes      base64, of either alphabet, with or without padding
    twice      a field, or two of a oneof: refused

Not `google.protobuf.json_format`: it takes 60 us for a put, this 6, and passes over wrong base64. It is this one's slow
twin in tests. Objects are tuples of pairs here, which tells them from lists and keeps names that come twice.
"""

import json
import re
from binascii import a2b_base64
from collections.abc import Callable
from typing import Any, Final, NoReturn

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import EncodeError, Message

from etcdz.proto import etcdserverpb as pb
from etcdz.proto.fields import bytes_field
from etcdz.proto.tags import tag_of

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_SHOWN: Final = 60
"""Characters of a wrong value that an error shows."""
_DIGITS_MAX: Final = 40
"""Of a number in a string: more than any that is in range has."""
_BLANK: Final = " \t\r\n"


class BadJson(ValueError):
    """The body is no JSON, or not that of the request; its text is for the client."""


def decode_request(body: bytes, request: type[Message]) -> bytes:
    """The first JSON value of body as an encoded request; what follows it is ignored, and nothing is {}.

    raises  BadJson
    """
    try:
        text = body.decode().lstrip(_BLANK)
        if not text:
            return b""
        value, _ = _SCAN(text)
        if (tags := _PLAIN.get(request)) is not None and (encoded := _encode_plain(tags, value)) is not None:
            return encoded
        message = request()
        _fill(message, _fields_of(message.DESCRIPTOR), value)
        return message.SerializeToString()
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("exceeded maximum recursion depth") from None
    except (ValueError, EncodeError) as problem:
        raise BadJson(str(problem)) from None


# ---- the requests that come most ----

_PLAIN: Final[dict[type[Message], dict[str, bytes]]] = {
    pb.PutRequest: {name: tag_of(pb.PutRequest, name) for name in ("key", "value")},
    pb.RangeRequest: {name: tag_of(pb.RangeRequest, name) for name in ("key", "range_end")},
    pb.DeleteRangeRequest: {name: tag_of(pb.DeleteRangeRequest, name) for name in ("key", "range_end")},
}
"""Tags of the fields of plain requests, in the order in which they are encoded."""


def _encode_plain(tags: dict[str, bytes], value: Any) -> bytes | None:
    """An object that has some of these fields in their order, in usual base64, and nothing else; None: any other."""
    encoded = b""
    last = b""
    try:
        for name, text in value if type(value) is tuple else (value,):
            tag = tags[name]
            if tag <= last:
                return None
            last = tag
            encoded += bytes_field(tag, a2b_base64(text, strict_mode=True))
    except (TypeError, KeyError, ValueError):
        return None
    return encoded


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"invalid value {name}")


_SCAN: Final = json.JSONDecoder(object_pairs_hook=tuple, parse_constant=_refuse_constant).raw_decode


# ---- messages ----

_Read = Callable[["_Field", Any], Any]


class _Field:
    """One field of a message.

    bit         set in the fields that are seen; fields of one oneof share it
    read        (field, JSON value) -> value, or None: as if it were not there. Not for messages
    descriptor  of a message
    """

    __slots__ = ("bit", "descriptor", "is_repeated", "name", "read", "type_name")

    def __init__(self, field: FieldDescriptor, bit: int) -> None:
        self.name = field.name
        self.bit = bit
        self.is_repeated = field.is_repeated
        self.descriptor: Any = field.message_type
        self.read: _Read | None = None if field.message_type is not None else _READS[field.type]
        self.type_name = _TYPE_NAMES.get(field.type, "enum")


class _EnumField(_Field):
    __slots__ = ("numbers",)

    def __init__(self, field: FieldDescriptor, bit: int) -> None:
        super().__init__(field, bit)
        kind: Any = field.enum_type
        self.numbers: dict[str, int] = {value.name: value.number for value in kind.values}


_TABLES: Final[dict[Any, dict[str, _Field]]] = {}
"""By descriptor."""


def _fields_of(descriptor: Any) -> dict[str, _Field]:
    """By both names of each field."""
    found = _TABLES.get(descriptor)
    if found is None:
        found = _TABLES[descriptor] = {}
        bits: dict[str, int] = {}
        for field in descriptor.fields:
            shared = field.containing_oneof
            bit = bits.setdefault(shared.name if shared else f".{field.name}", 1 << len(bits))
            made = (_EnumField if field.enum_type else _Field)(field, bit)
            found[field.name] = found[field.json_name] = made
    return found


def _fill(message: Any, fields: dict[str, _Field], value: Any) -> None:
    if type(value) is not tuple:
        raise BadJson(f"unexpected value {_show(value)}, an object is wanted")
    seen = 0
    for name, one in value:
        field = fields.get(name)
        if field is None or one is None:
            continue
        if seen & field.bit:
            raise BadJson(f"duplicate field {name}, or another one of its oneof")
        seen |= field.bit
        if field.is_repeated:
            _fill_repeated(message, field, one)
        elif field.read is None:
            part = getattr(message, field.name)
            part.SetInParent()
            _fill(part, _fields_of(field.descriptor), one)
        else:
            made = field.read(field, one)
            if made is not None:
                setattr(message, field.name, made)


def _fill_repeated(message: Any, field: _Field, value: Any) -> None:
    if type(value) is not list:
        _refuse(field, value)
    target = getattr(message, field.name)
    for one in value:
        if field.read is None:
            _fill(target.add(), _fields_of(field.descriptor), one)
        else:
            made = field.read(field, one)
            if made is not None:
                target.append(made)


# ---- values ----


def _read_bool(field: _Field, value: Any) -> bool:
    if type(value) is not bool:
        _refuse(field, value)
    return value


def _read_string(field: _Field, value: Any) -> str:
    if type(value) is not str:
        _refuse(field, value)
    return value


def _read_bytes(field: _Field, value: Any) -> bytes:
    if type(value) is not str:
        _refuse(field, value)
    try:
        return a2b_base64(value, strict_mode=True)
    except ValueError:
        return _read_odd_base64(field, value)


def _read_odd_base64(field: _Field, value: str) -> bytes:
    """NB: line ends within it are passed over, as Go does."""
    text = value.replace("\r", "").replace("\n", "")
    if "-" in text or "_" in text:
        if "+" in text or "/" in text:
            _refuse(field, value)
        text = text.replace("-", "+").replace("_", "/")
    if len(text) % 4:
        if "=" in text:
            _refuse(field, value)
        text += "=" * (-len(text) % 4)
    try:
        return a2b_base64(text, strict_mode=True)
    except ValueError:
        _refuse(field, value)


def _reader_of_ints(lo: int, hi: int) -> _Read:
    def read(field: _Field, value: Any) -> int:
        number = value if type(value) is int else _whole_number(field, value)
        if not lo <= number < hi:
            _refuse(field, value)
        return number

    return read


def _whole_number(field: _Field, value: Any) -> int:
    if type(value) is str:
        if len(value) > _DIGITS_MAX or _NUMBER.fullmatch(value) is None:
            _refuse(field, value)
        if value.lstrip("-").isdigit():
            return int(value)
        value = float(value)
    if type(value) is not float or not value.is_integer():
        _refuse(field, value)
    return int(value)


def _read_enum(field: _Field, value: Any) -> int | None:
    assert isinstance(field, _EnumField)
    return field.numbers.get(value) if type(value) is str else _read_enum_number(field, value)


_read_enum_number = _reader_of_ints(-(1 << 31), 1 << 31)

_READS: Final[dict[int, _Read]] = {
    FieldDescriptor.TYPE_BOOL: _read_bool,
    FieldDescriptor.TYPE_STRING: _read_string,
    FieldDescriptor.TYPE_BYTES: _read_bytes,
    FieldDescriptor.TYPE_ENUM: _read_enum,
    FieldDescriptor.TYPE_INT32: _reader_of_ints(-(1 << 31), 1 << 31),
    FieldDescriptor.TYPE_INT64: _reader_of_ints(-(1 << 63), 1 << 63),
    FieldDescriptor.TYPE_UINT32: _reader_of_ints(0, 1 << 32),
    FieldDescriptor.TYPE_UINT64: _reader_of_ints(0, 1 << 64),
}
_TYPE_NAMES: Final[dict[int, str]] = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_MESSAGE: "message",
}


def _refuse(field: _Field, value: Any) -> NoReturn:
    raise BadJson(f"invalid value for {field.type_name} field {field.name}: {_show(value)}")


def _show(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[...]" if isinstance(value, list) else "{...}"
    if isinstance(value, str):
        value = value[:_SHOWN]
    return json.dumps(value)[:_SHOWN]
