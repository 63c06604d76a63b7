"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from collections.abc import Iterable
from typing import Literal

from google.protobuf.internal.containers import RepeatedScalarFieldContainer
from google.protobuf.message import Message as _Message

class RaftAttributes(_Message):
    @property
    def peer_urls(self) -> RepeatedScalarFieldContainer[str]: ...
    is_learner: bool
    def __init__(self, *, peer_urls: Iterable[str] | None = ..., is_learner: bool | None = ...) -> None: ...

class Attributes(_Message):
    name: str
    @property
    def client_urls(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, name: str | None = ..., client_urls: Iterable[str] | None = ...) -> None: ...

class Member(_Message):
    ID: int
    @property
    def raft_attributes(self) -> RaftAttributes: ...
    @property
    def member_attributes(self) -> Attributes: ...
    def __init__(
        self,
        *,
        ID: int | None = ...,
        raft_attributes: RaftAttributes | None = ...,
        member_attributes: Attributes | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["raft_attributes", "member_attributes"]) -> bool: ...

class ClusterVersionSetRequest(_Message):
    ver: str
    def __init__(self, *, ver: str | None = ...) -> None: ...

class ClusterMemberAttrSetRequest(_Message):
    member_ID: int
    @property
    def member_attributes(self) -> Attributes: ...
    def __init__(self, *, member_ID: int | None = ..., member_attributes: Attributes | None = ...) -> None: ...
    def HasField(self, field_name: Literal["member_attributes"]) -> bool: ...

class DowngradeInfoSetRequest(_Message):
    enabled: bool
    ver: str
    def __init__(self, *, enabled: bool | None = ..., ver: str | None = ...) -> None: ...
