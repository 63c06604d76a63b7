"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from typing import Literal

from google.protobuf.message import Message as _Message

from etcdz.proto import raftpb

class Record(_Message):
    type: int
    crc: int
    data: bytes
    def __init__(self, *, type: int | None = ..., crc: int | None = ..., data: bytes | None = ...) -> None: ...
    def HasField(self, field_name: Literal["type", "crc", "data"]) -> bool: ...

class Snapshot(_Message):
    index: int
    term: int
    @property
    def conf_state(self) -> raftpb.ConfState: ...
    def __init__(
        self,
        *,
        index: int | None = ...,
        term: int | None = ...,
        conf_state: raftpb.ConfState | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["index", "term", "conf_state"]) -> bool: ...
