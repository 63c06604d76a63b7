"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from typing import Literal

from google.protobuf.message import Message as _Message

from etcdz.proto import etcdserverpb

class LockRequest(_Message):
    name: bytes
    lease: int
    def __init__(self, *, name: bytes | None = ..., lease: int | None = ...) -> None: ...

class LockResponse(_Message):
    @property
    def header(self) -> etcdserverpb.ResponseHeader: ...
    key: bytes
    def __init__(self, *, header: etcdserverpb.ResponseHeader | None = ..., key: bytes | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class UnlockRequest(_Message):
    key: bytes
    def __init__(self, *, key: bytes | None = ...) -> None: ...

class UnlockResponse(_Message):
    @property
    def header(self) -> etcdserverpb.ResponseHeader: ...
    def __init__(self, *, header: etcdserverpb.ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...
