"""Type stubs of `etcdz.proto`'s packages, made from the classes themselves: what mypy knows of `pb.RangeRequest`.

The classes are built at import from a table, so that mypy sees none of them. `etcdz/proto/<package>.pyi` says what they
have: fields with their types, constructors, and which names HasField and WhichOneof take.
`pytest tests/proto --rewrite-stubs` writes the files anew after a change of the schema.
"""

import keyword
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

LINE_LENGTH: Final = 120
_SCALARS: Final = {
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_STRING: "str",
    FieldDescriptor.TYPE_BOOL: "bool",
}
"""Field type -> Python type; all others but messages are int. Enums are, too: they are open, any number may arrive."""
_HEAD: Final = '''\
"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from collections.abc import Iterable
from typing import Final, Literal

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message as _Message
'''


def stub_of(package: ModuleType) -> str:
    """The text of one package's stub."""
    name = package.__name__.rpartition(".")[2]
    classes = [thing for thing in vars(package).values() if isinstance(thing, type) and issubclass(thing, Message)]
    enums = {word: thing for word, thing in vars(package).items() if isinstance(thing, SimpleNamespace)}
    body = [text for word, values in enums.items() for text in _enum_stub(word, vars(values))]
    body += [text for kind in classes for text in _message_stub(kind.DESCRIPTOR, name)]
    return _without_unused(_HEAD, _imports(classes, name), "\n".join(body))


def _imports(classes: list[Any], package: str) -> str:
    """Of the packages that fields name."""
    kinds = [field.message_type for kind in classes for field in kind.DESCRIPTOR.fields if field.message_type]
    others = sorted({kind.file.package for kind in kinds} - {package})
    return f"\nfrom etcdz.proto import {', '.join(others)}\n" if others else ""


def _without_unused(head: str, imports: str, body: str) -> str:
    """The head's imports without the names that body has no use for."""
    lines = []
    for line in head.splitlines():
        if line.startswith("from "):
            front, _, names = line.partition(" import ")
            used = [name for name in names.split(", ") if name.split()[-1] in body]
            lines += [f"{front} import {', '.join(used)}"] if used else []
        else:
            lines.append(line)
    return "\n".join(lines) + "\n" + imports + "\n" + body


def _enum_stub(name: str, values: dict[str, int]) -> Iterator[str]:
    yield f"class {name}:"
    for word, number in values.items():
        yield f"    {word}: Final = {number}"
    yield ""


def _message_stub(kind: Descriptor, package: str) -> Iterator[str]:
    yield f"class {kind.name}(_Message):"
    for enum in kind.enum_types:
        yield f"    {enum.name}: Final[EnumTypeWrapper]"
        for value in enum.values:
            yield f"    {value.name}: Final = {value.number}"
    # NB: a field whose name is a keyword (`from`) is there, but only getattr and ** reach it.
    fields = [field for field in kind.fields if not keyword.iskeyword(field.name)]
    for field in fields:
        yield from _field_stub(field, package)
    arguments = [f"{field.name}: {_argument_type(field, package)} = ..." for field in fields]
    yield from _function("__init__", ["*", *arguments] if arguments else [], "None")
    yield from _presence_stubs(kind)
    yield ""


def _field_stub(field: FieldDescriptor, package: str) -> Iterator[str]:
    if field.message_type is None and not field.is_repeated:
        yield f"    {field.name}: {_item_type(field, package)}"
    else:  # such a field changes in place, and cannot be assigned
        yield "    @property"
        yield f"    def {field.name}(self) -> {_value_type(field, package)}: ..."


def _presence_stubs(kind: Descriptor) -> Iterator[str]:
    """HasField, where a field can be told from one that was never set, and WhichOneof."""
    present = [field.name for field in kind.fields if field.has_presence]
    if present:
        names = present + [oneof.name for oneof in kind.oneofs]
        yield from _function("HasField", [f"field_name: {_literal(names)}"], "bool")
    if len(kind.oneofs) > 1:
        raise NotImplementedError("a message with two oneofs needs overloads of WhichOneof")
    for oneof in kind.oneofs:
        names = [field.name for field in oneof.fields]
        yield from _function("WhichOneof", [f"oneof_group: {_literal([oneof.name])}"], f"{_literal(names)} | None")


def _function(name: str, arguments: list[str], result: str) -> Iterator[str]:
    line = f"    def {name}({', '.join(['self', *arguments])}) -> {result}: ..."
    if len(line) <= LINE_LENGTH:
        yield line
        return
    yield f"    def {name}("
    for argument in ["self", *arguments]:
        yield from _exploded(f"        {argument},")
    yield from _exploded(f"    ) -> {result}: ...")


def _exploded(line: str) -> Iterator[str]:
    """A line, or a few if it is too long, by breaking its Literal."""
    if len(line) <= LINE_LENGTH:
        yield line
        return
    front, _, rest = line.partition("[")
    names, _, back = rest.partition("]")
    indent = " " * (len(line) - len(line.lstrip()))
    yield f"{front}["
    yield from (f"{indent}    {name}," for name in names.split(", "))
    yield f"{indent}]{back}"


def _literal(names: list[str]) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return f"Literal[{quoted}]"


def _argument_type(field: FieldDescriptor, package: str) -> str:
    item = _item_type(field, package)
    return f"Iterable[{item}] | None" if field.is_repeated else f"{item} | None"


def _value_type(field: FieldDescriptor, package: str) -> str:
    item = _item_type(field, package)
    if not field.is_repeated:
        return item
    return f"RepeatedScalarFieldContainer[{item}]" if field.message_type is None else _composite(item)


def _composite(item: str) -> str:
    return f"RepeatedCompositeFieldContainer[{item}]"


def _item_type(field: FieldDescriptor, package: str) -> str:
    kind = field.message_type
    if kind is None:
        return _SCALARS.get(field.type, "int")
    name = str(kind.full_name)
    return name.removeprefix(f"{package}.")
