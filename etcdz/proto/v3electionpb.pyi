"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from typing import Literal

from google.protobuf.message import Message as _Message

from etcdz.proto import etcdserverpb, mvccpb

class CampaignRequest(_Message):
    name: bytes
    lease: int
    value: bytes
    def __init__(self, *, name: bytes | None = ..., lease: int | None = ..., value: bytes | None = ...) -> None: ...

class CampaignResponse(_Message):
    @property
    def header(self) -> etcdserverpb.ResponseHeader: ...
    @property
    def leader(self) -> LeaderKey: ...
    def __init__(self, *, header: etcdserverpb.ResponseHeader | None = ..., leader: LeaderKey | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header", "leader"]) -> bool: ...

class LeaderKey(_Message):
    name: bytes
    key: bytes
    rev: int
    lease: int
    def __init__(
        self,
        *,
        name: bytes | None = ...,
        key: bytes | None = ...,
        rev: int | None = ...,
        lease: int | None = ...,
    ) -> None: ...

class LeaderRequest(_Message):
    name: bytes
    def __init__(self, *, name: bytes | None = ...) -> None: ...

class LeaderResponse(_Message):
    @property
    def header(self) -> etcdserverpb.ResponseHeader: ...
    @property
    def kv(self) -> mvccpb.KeyValue: ...
    def __init__(
        self,
        *,
        header: etcdserverpb.ResponseHeader | None = ...,
        kv: mvccpb.KeyValue | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header", "kv"]) -> bool: ...

class ResignRequest(_Message):
    @property
    def leader(self) -> LeaderKey: ...
    def __init__(self, *, leader: LeaderKey | None = ...) -> None: ...
    def HasField(self, field_name: Literal["leader"]) -> bool: ...

class ResignResponse(_Message):
    @property
    def header(self) -> etcdserverpb.ResponseHeader: ...
    def __init__(self, *, header: etcdserverpb.ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class ProclaimRequest(_Message):
    @property
    def leader(self) -> LeaderKey: ...
    value: bytes
    def __init__(self, *, leader: LeaderKey | None = ..., value: bytes | None = ...) -> None: ...
    def HasField(self, field_name: Literal["leader"]) -> bool: ...

class ProclaimResponse(_Message):
    @property
    def header(self) -> etcdserverpb.ResponseHeader: ...
    def __init__(self, *, header: etcdserverpb.ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...
