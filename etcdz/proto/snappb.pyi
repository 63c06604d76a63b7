"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from typing import Literal

from google.protobuf.message import Message as _Message

class snapshot(_Message):
    crc: int
    data: bytes
    def __init__(self, *, crc: int | None = ..., data: bytes | None = ...) -> None: ...
    def HasField(self, field_name: Literal["crc", "data"]) -> bool: ...
