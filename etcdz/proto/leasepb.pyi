"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from typing import Literal

from google.protobuf.message import Message as _Message

from etcdz.proto import etcdserverpb

class Lease(_Message):
    ID: int
    TTL: int
    RemainingTTL: int
    def __init__(self, *, ID: int | None = ..., TTL: int | None = ..., RemainingTTL: int | None = ...) -> None: ...

class LeaseInternalRequest(_Message):
    @property
    def LeaseTimeToLiveRequest(self) -> etcdserverpb.LeaseTimeToLiveRequest: ...
    def __init__(self, *, LeaseTimeToLiveRequest: etcdserverpb.LeaseTimeToLiveRequest | None = ...) -> None: ...
    def HasField(self, field_name: Literal["LeaseTimeToLiveRequest"]) -> bool: ...

class LeaseInternalResponse(_Message):
    @property
    def LeaseTimeToLiveResponse(self) -> etcdserverpb.LeaseTimeToLiveResponse: ...
    def __init__(self, *, LeaseTimeToLiveResponse: etcdserverpb.LeaseTimeToLiveResponse | None = ...) -> None: ...
    def HasField(self, field_name: Literal["LeaseTimeToLiveResponse"]) -> bool: ...
