"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from collections.abc import Iterable
from typing import Final, Literal

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.message import Message as _Message

class EntryType:
    EntryNormal: Final = 0
    EntryConfChange: Final = 1
    EntryConfChangeV2: Final = 2

class MessageType:
    MsgHup: Final = 0
    MsgBeat: Final = 1
    MsgProp: Final = 2
    MsgApp: Final = 3
    MsgAppResp: Final = 4
    MsgVote: Final = 5
    MsgVoteResp: Final = 6
    MsgSnap: Final = 7
    MsgHeartbeat: Final = 8
    MsgHeartbeatResp: Final = 9
    MsgUnreachable: Final = 10
    MsgSnapStatus: Final = 11
    MsgCheckQuorum: Final = 12
    MsgTransferLeader: Final = 13
    MsgTimeoutNow: Final = 14
    MsgReadIndex: Final = 15
    MsgReadIndexResp: Final = 16
    MsgPreVote: Final = 17
    MsgPreVoteResp: Final = 18

class ConfChangeTransition:
    ConfChangeTransitionAuto: Final = 0
    ConfChangeTransitionJointImplicit: Final = 1
    ConfChangeTransitionJointExplicit: Final = 2

class ConfChangeType:
    ConfChangeAddNode: Final = 0
    ConfChangeRemoveNode: Final = 1
    ConfChangeUpdateNode: Final = 2
    ConfChangeAddLearnerNode: Final = 3

class Entry(_Message):
    Type: int
    Term: int
    Index: int
    Data: bytes
    def __init__(
        self,
        *,
        Type: int | None = ...,
        Term: int | None = ...,
        Index: int | None = ...,
        Data: bytes | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["Type", "Term", "Index", "Data"]) -> bool: ...

class SnapshotMetadata(_Message):
    @property
    def conf_state(self) -> ConfState: ...
    index: int
    term: int
    def __init__(
        self,
        *,
        conf_state: ConfState | None = ...,
        index: int | None = ...,
        term: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["conf_state", "index", "term"]) -> bool: ...

class Snapshot(_Message):
    data: bytes
    @property
    def metadata(self) -> SnapshotMetadata: ...
    def __init__(self, *, data: bytes | None = ..., metadata: SnapshotMetadata | None = ...) -> None: ...
    def HasField(self, field_name: Literal["data", "metadata"]) -> bool: ...

class Message(_Message):
    type: int
    to: int
    term: int
    logTerm: int
    index: int
    @property
    def entries(self) -> RepeatedCompositeFieldContainer[Entry]: ...
    commit: int
    @property
    def snapshot(self) -> Snapshot: ...
    reject: bool
    rejectHint: int
    context: bytes
    def __init__(
        self,
        *,
        type: int | None = ...,
        to: int | None = ...,
        term: int | None = ...,
        logTerm: int | None = ...,
        index: int | None = ...,
        entries: Iterable[Entry] | None = ...,
        commit: int | None = ...,
        snapshot: Snapshot | None = ...,
        reject: bool | None = ...,
        rejectHint: int | None = ...,
        context: bytes | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: Literal[
            "type",
            "to",
            "from",
            "term",
            "logTerm",
            "index",
            "commit",
            "snapshot",
            "reject",
            "rejectHint",
            "context",
        ],
    ) -> bool: ...

class HardState(_Message):
    term: int
    vote: int
    commit: int
    def __init__(self, *, term: int | None = ..., vote: int | None = ..., commit: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["term", "vote", "commit"]) -> bool: ...

class ConfState(_Message):
    @property
    def voters(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def learners(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def voters_outgoing(self) -> RepeatedScalarFieldContainer[int]: ...
    @property
    def learners_next(self) -> RepeatedScalarFieldContainer[int]: ...
    auto_leave: bool
    def __init__(
        self,
        *,
        voters: Iterable[int] | None = ...,
        learners: Iterable[int] | None = ...,
        voters_outgoing: Iterable[int] | None = ...,
        learners_next: Iterable[int] | None = ...,
        auto_leave: bool | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["auto_leave"]) -> bool: ...

class ConfChange(_Message):
    id: int
    type: int
    node_id: int
    context: bytes
    def __init__(
        self,
        *,
        id: int | None = ...,
        type: int | None = ...,
        node_id: int | None = ...,
        context: bytes | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["id", "type", "node_id", "context"]) -> bool: ...

class ConfChangeSingle(_Message):
    type: int
    node_id: int
    def __init__(self, *, type: int | None = ..., node_id: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["type", "node_id"]) -> bool: ...

class ConfChangeV2(_Message):
    transition: int
    @property
    def changes(self) -> RepeatedCompositeFieldContainer[ConfChangeSingle]: ...
    context: bytes
    def __init__(
        self,
        *,
        transition: int | None = ...,
        changes: Iterable[ConfChangeSingle] | None = ...,
        context: bytes | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["transition", "context"]) -> bool: ...
