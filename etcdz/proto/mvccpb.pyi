"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from typing import Final, Literal

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message as _Message

class KeyValue(_Message):
    key: bytes
    create_revision: int
    mod_revision: int
    version: int
    value: bytes
    lease: int
    def __init__(
        self,
        *,
        key: bytes | None = ...,
        create_revision: int | None = ...,
        mod_revision: int | None = ...,
        version: int | None = ...,
        value: bytes | None = ...,
        lease: int | None = ...,
    ) -> None: ...

class Event(_Message):
    EventType: Final[EnumTypeWrapper]
    PUT: Final = 0
    DELETE: Final = 1
    type: int
    @property
    def kv(self) -> KeyValue: ...
    @property
    def prev_kv(self) -> KeyValue: ...
    def __init__(
        self,
        *,
        type: int | None = ...,
        kv: KeyValue | None = ...,
        prev_kv: KeyValue | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["kv", "prev_kv"]) -> bool: ...
