"""Descriptors of the schema's messages, encoded as `descriptor.proto` has them.

By hand rather than with protobuf's own descriptor_pb2: that and what it loads is a third of what a command of etcdzctl
loads at all. protobuf reads every byte of them when they enter its pool, and tests/proto with descriptor_pb2.
Source: google/protobuf/descriptor.proto.
"""

from typing import Final, NamedTuple

from etcdz.proto.varints import plain_varint

TYPE_MESSAGE: Final = 11
TYPE_ENUM: Final = 14
_SCALARS: Final = {"int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13}
_OPTIONAL, _REPEATED = 1, 3
_EDITION_2023: Final = 1000
_IMPLICIT, _UTF8_NONE = 2, 3
"""Values of FeatureSet.FieldPresence and of FeatureSet.Utf8Validation."""
_TYPE_NAME: Final = 6


class File(NamedTuple):
    """All messages of one package in one syntax.

    wanted    files that must be known before it, by name
    body      a FileDescriptorProto
    messages  names without the package
    enums     of the package itself: name -> word -> number
    """

    name: str
    package: str
    wanted: set[str]
    body: bytes
    messages: list[str]
    enums: dict[str, dict[str, int]]


class _Message:
    def __init__(self, name: str) -> None:
        self.name = name
        self.fields: list[bytes] = []
        self.enums: list[bytes] = []
        self.oneofs: list[str] = []
        self.wanted: set[str] = set()

    def encode(self) -> bytes:
        parts = [_text(1, self.name), *(_bytes(2, field) for field in self.fields)]
        parts += (_bytes(4, enum) for enum in self.enums)
        parts += (_bytes(8, _text(1, oneof)) for oneof in self.oneofs)
        return b"".join(parts)


class _File:
    def __init__(self, package: str, syntax: str) -> None:
        self.package = package
        self.syntax = syntax
        self.name = f"etcdz/{package}.{syntax}"
        self.messages: dict[str, _Message] = {}
        self.enums: dict[str, dict[str, int]] = {}


def files_of(schema: str) -> list[File]:
    """In an order in which a file comes after those that it wants. raises ValueError: no such type, or a circle"""
    files: dict[tuple[str, str], _File] = {}
    kinds = _kinds_of(schema)
    enums: list[tuple[str, list[str]]] = []
    package = ""
    message = _Message("")
    for line in schema.splitlines():
        words = line.split()
        if line.startswith("  "):
            _add_field(message, words, package, kinds)
        elif line.startswith("package "):
            package = words[1]
        elif line.startswith("enum "):
            enums.append((package, words[1:]))
        elif words:
            syntax = "proto2" if words[0] == "message2" else "proto3"
            file = files.setdefault((package, syntax), _File(package, syntax))
            message = file.messages[words[1]] = _Message(words[1])
    for package, words in enums:
        _add_enum([file for file in files.values() if file.package == package], words)
    return _ordered(_finished(list(files.values())))


def _kinds_of(schema: str) -> dict[str, int]:
    """Full name -> TYPE_MESSAGE or TYPE_ENUM."""
    kinds: dict[str, int] = {}
    package = ""
    for line in schema.splitlines():
        word, _, rest = line.partition(" ")
        if word == "package":
            package = rest
        elif word == "enum":
            kinds[f"{package}.{rest.partition(':')[0]}"] = TYPE_ENUM
        elif word in ("message", "message2"):
            kinds[f"{package}.{rest}"] = TYPE_MESSAGE
    return kinds


def _add_field(message: _Message, words: list[str], package: str, kinds: dict[str, int]) -> None:
    number, name, kind, *extras = words
    label = _REPEATED if "repeated" in extras else _OPTIONAL
    parts = [_text(1, name), _int(3, int(number)), _int(4, label)]
    if kind in _SCALARS:
        parts.append(_int(5, _SCALARS[kind]))
    else:
        full = _resolve(kind, package, message.name, kinds)
        parts += [_int(5, kinds[full]), _text(_TYPE_NAME, f".{full}")]
        message.wanted.add(full)
    for extra in extras:
        if extra.startswith("oneof="):
            oneof = extra.removeprefix("oneof=")
            if oneof not in message.oneofs:
                message.oneofs.append(oneof)
            parts.append(_int(9, message.oneofs.index(oneof)))
    message.fields.append(b"".join(parts))


def _resolve(name: str, package: str, message: str, kinds: dict[str, int]) -> str:
    for full in (f"{package}.{message}.{name}", f"{package}.{name}", name):
        if full in kinds:
            return full
    raise ValueError(f"schema: no type {name!r} for {package}.{message}")


def _add_enum(files: list[_File], words: list[str]) -> None:
    """Into the message that its name begins with, or into its package's first file."""
    outer, _, name = words[0].rstrip(":").rpartition(".")
    values = {word: int(number) for word, _, number in (value.partition("=") for value in words[1:])}
    if not outer:
        files[0].enums[name] = values
        return
    home = next(file.messages[outer] for file in files if outer in file.messages)
    home.enums.append(_enum(name, values))


def _enum(name: str, values: dict[str, int]) -> bytes:
    return _text(1, name) + b"".join(_bytes(2, _text(1, word) + _int(2, number)) for word, number in values.items())


def _finished(files: list[_File]) -> list[File]:
    home = {f"{file.package}.{name}": file.name for file in files for name in file.messages}
    finished = []
    for file in files:
        types = {full for message in file.messages.values() for full in message.wanted}
        wanted = {home[full] for full in types if full in home} - {file.name}
        finished.append(File(file.name, file.package, wanted, _encode(file, wanted), list(file.messages), file.enums))
    return finished


def _encode(file: _File, wanted: set[str]) -> bytes:
    parts = [_text(1, file.name), _text(2, file.package)]
    parts += (_text(3, name) for name in sorted(wanted))
    parts += (_bytes(4, message.encode()) for message in file.messages.values())
    parts += (_bytes(5, _enum(name, values)) for name, values in file.enums.items())
    return b"".join((*parts, _syntax(file.syntax)))


def _syntax(syntax: str) -> bytes:
    """proto3 without its check that strings are UTF-8, which only an edition can say: etcd 3.5 does not look."""
    if syntax == "proto2":
        return _text(12, syntax)
    features = _int(1, _IMPLICIT) + _int(4, _UTF8_NONE)
    return _bytes(8, _bytes(50, features)) + _text(12, "editions") + _int(14, _EDITION_2023)


def _ordered(files: list[File]) -> list[File]:
    ordered: list[File] = []
    while len(ordered) < len(files):
        known = {file.name for file in ordered}
        ready = [file for file in files if file.name not in known and file.wanted <= known]
        if not ready:
            raise ValueError(f"schema: import cycle among {sorted({file.name for file in files} - known)}")
        ordered += ready
    return ordered


def _int(number: int, value: int) -> bytes:
    return plain_varint(number << 3) + plain_varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return plain_varint(number << 3 | 2) + plain_varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode())
