"""Message classes built from `schema.SCHEMA`: `from etcdz.proto import etcdserverpb as pb; pb.PutRequest(key=b"k")`.

Each package of the schema becomes a module here; classes are upb's, about 1 us to parse or build a small message.
What types their fields have is in the `.pyi` of each package, which tests/proto makes from the schema.
NB: a string that is not UTF-8 reads as bytes, whatever its stub says, and cannot be set: etcdz.proto.text.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from etcdz.proto.schema import SCHEMA

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS: dict[str, int] = {
    "bytes": _Field.TYPE_BYTES,
    "string": _Field.TYPE_STRING,
    "bool": _Field.TYPE_BOOL,
    "int32": _Field.TYPE_INT32,
    "int64": _Field.TYPE_INT64,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
}


class _Names:
    """Full names of all messages and enums, to resolve the short type names of fields."""

    def __init__(self, schema: str) -> None:
        self.messages: set[str] = set()
        self.enums: set[str] = set()
        package = ""
        for line in schema.splitlines():
            word, _, rest = line.partition(" ")
            if word == "package":
                package = rest
            elif word == "enum":
                self.enums.add(f"{package}.{rest.partition(':')[0]}")
            elif word in ("message", "message2"):
                self.messages.add(f"{package}.{rest}")

    def resolve(self, name: str, package: str, message: str) -> tuple[str, int]:
        for full in (f"{package}.{message}.{name}", f"{package}.{name}", name):
            if full in self.messages:
                return full, _Field.TYPE_MESSAGE
            if full in self.enums:
                return full, _Field.TYPE_ENUM
        raise ValueError(f"schema: no type {name!r} for {package}.{message}")


def _add_field(message: Any, words: list[str], package: str, names: _Names) -> None:
    number, name, kind, *extras = words
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        full, field.type = names.resolve(kind, package, message.name)
        field.type_name = f".{full}"
    for extra in extras:
        if extra == "repeated":
            field.label = _Field.LABEL_REPEATED
        else:
            oneof = extra.removeprefix("oneof=")
            known = [decl.name for decl in message.oneof_decl]
            if oneof not in known:
                message.oneof_decl.add(name=oneof)
                known.append(oneof)
            field.oneof_index = known.index(oneof)


def _files(schema: str) -> list[Any]:
    """One FileDescriptorProto per package and syntax, in an order in which imports come first."""
    names = _Names(schema)
    files: dict[tuple[str, str], Any] = {}
    nested: list[tuple[Any, str, list[str]]] = []
    package = ""
    message: Any = None

    def file_of(syntax: str) -> Any:
        key = (package, syntax)
        if key not in files:
            file = files[key] = descriptor_pb2.FileDescriptorProto(name=f"etcdz/{package}.{syntax}", package=package)
            _set_syntax(file, syntax)
        return files[key]

    for line in schema.splitlines():
        words = line.split()
        if not words:
            continue
        if line.startswith("  "):
            _add_field(message, words, package, names)
        elif words[0] == "package":
            package = words[1]
        elif words[0] == "enum":
            nested.append((package, words[1].rstrip(":"), words[2:]))
        else:
            message = file_of("proto2" if words[0] == "message2" else "proto3").message_type.add(name=words[1])
    for package, name, values in nested:
        _add_enum(files, package, name, values)
    _add_imports(files)
    return list(files.values())


def _set_syntax(file: Any, syntax: str) -> None:
    """proto3 without its check that strings are UTF-8, which only an edition can say: etcd 3.5 does not look."""
    if syntax == "proto2":
        file.syntax = syntax
        return
    file.syntax, file.edition = "editions", descriptor_pb2.EDITION_2023
    file.options.features.field_presence = descriptor_pb2.FeatureSet.IMPLICIT
    file.options.features.utf8_validation = descriptor_pb2.FeatureSet.NONE


def _add_enum(files: dict[tuple[str, str], Any], package: str, name: str, values: list[str]) -> None:
    outer, _, short = name.rpartition(".")
    for (owner, _syntax), file in files.items():
        if owner != package:
            continue
        homes = [m for m in file.message_type if m.name == outer] if outer else [file]
        for home in homes:
            enum = home.enum_type.add(name=short)
            for value in values:
                word, _, number = value.partition("=")
                enum.value.add(name=word, number=int(number))
            return


def _add_imports(files: dict[tuple[str, str], Any]) -> None:
    home = {f".{f.package}.{m.name}": f.name for f in files.values() for m in f.message_type}
    for file in files.values():
        wanted = {home[f.type_name] for m in file.message_type for f in m.field if f.type_name in home}
        file.dependency.extend(sorted(wanted - {file.name}))


def _build() -> dict[str, ModuleType]:
    pool = descriptor_pool.DescriptorPool()
    waiting = {file.name: file for file in _files(SCHEMA)}
    added: set[str] = set()
    packages: dict[str, ModuleType] = {}
    while waiting:
        ready = [f for f in waiting.values() if added.issuperset(f.dependency)]
        if not ready:
            raise ValueError(f"schema: import cycle among {sorted(waiting)}")
        for file in ready:
            pool.AddSerializedFile(file.SerializeToString())
            added.add(file.name)
            del waiting[file.name]
            space = packages.setdefault(file.package, ModuleType(f"{__name__}.{file.package}"))
            for message in file.message_type:
                descriptor = pool.FindMessageTypeByName(f"{file.package}.{message.name}")
                setattr(space, message.name, message_factory.GetMessageClass(descriptor))
            for enum in file.enum_type:
                setattr(space, enum.name, SimpleNamespace(**{v.name: v.number for v in enum.value}))
    return packages


for _name, _package in _build().items():
    sys.modules[_package.__name__] = globals()[_name] = _package
