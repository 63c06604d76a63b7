"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from collections.abc import Iterable
from typing import Final, Literal

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message as _Message

class UserAddOptions(_Message):
    no_password: bool
    def __init__(self, *, no_password: bool | None = ...) -> None: ...

class User(_Message):
    name: bytes
    password: bytes
    @property
    def roles(self) -> RepeatedScalarFieldContainer[bytes]: ...
    @property
    def options(self) -> UserAddOptions: ...
    def __init__(
        self,
        *,
        name: bytes | None = ...,
        password: bytes | None = ...,
        roles: Iterable[bytes] | None = ...,
        options: UserAddOptions | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["options"]) -> bool: ...

class Permission(_Message):
    Type: Final[EnumTypeWrapper]
    READ: Final = 0
    WRITE: Final = 1
    READWRITE: Final = 2
    permType: int
    key: bytes
    range_end: bytes
    def __init__(
        self,
        *,
        permType: int | None = ...,
        key: bytes | None = ...,
        range_end: bytes | None = ...,
    ) -> None: ...

class Role(_Message):
    name: bytes
    @property
    def keyPermission(self) -> RepeatedCompositeFieldContainer[Permission]: ...
    def __init__(self, *, name: bytes | None = ..., keyPermission: Iterable[Permission] | None = ...) -> None: ...
