"""Random messages of a schema, for comparing codecs."""

from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

_NUMBERS = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
}


def _values(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        return messages(field.message_type._concrete_class, depth - 1)
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=8)
    if field.type == FieldDescriptor.TYPE_STRING:
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    lo, hi = _NUMBERS[field.type]
    return st.one_of(st.integers(0, 300), st.integers(lo, hi)).map(lambda value: max(lo, value))


def messages(kind: type[Message], depth: int = 5) -> st.SearchStrategy[Message]:
    """Messages of this type, with any of their fields, no deeper than depth."""

    @st.composite
    def draw_message(draw: st.DrawFn) -> Message:
        message: Any = kind()
        taken: set[str] = set()
        for field in kind.DESCRIPTOR.fields:
            oneof = field.containing_oneof.name if field.containing_oneof else field.name
            if oneof in taken or (field.message_type is not None and not depth) or draw(st.booleans()):
                continue
            taken.add(oneof)
            if field.is_repeated:
                values = draw(st.lists(_values(field, depth), max_size=3))
                getattr(message, field.name).extend(values)
            elif field.message_type is not None:
                getattr(message, field.name).CopyFrom(draw(_values(field, depth)))
            else:
                setattr(message, field.name, draw(_values(field, depth)))
        return message

    return draw_message()
