"""Made by tests/proto/stubs.py from etcdz/proto/schema.py; `pytest tests/proto --rewrite-stubs` makes it anew."""

from collections.abc import Iterable
from typing import Final, Literal

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer, RepeatedScalarFieldContainer
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.message import Message as _Message

from etcdz.proto import authpb, membershippb, mvccpb

class AlarmType:
    NONE: Final = 0
    NOSPACE: Final = 1
    CORRUPT: Final = 2

class Request(_Message):
    ID: int
    Method: str
    Path: str
    Val: str
    Dir: bool
    PrevValue: str
    PrevIndex: int
    PrevExist: bool
    Expiration: int
    Wait: bool
    Since: int
    Recursive: bool
    Sorted: bool
    Quorum: bool
    Time: int
    Stream: bool
    Refresh: bool
    def __init__(
        self,
        *,
        ID: int | None = ...,
        Method: str | None = ...,
        Path: str | None = ...,
        Val: str | None = ...,
        Dir: bool | None = ...,
        PrevValue: str | None = ...,
        PrevIndex: int | None = ...,
        PrevExist: bool | None = ...,
        Expiration: int | None = ...,
        Wait: bool | None = ...,
        Since: int | None = ...,
        Recursive: bool | None = ...,
        Sorted: bool | None = ...,
        Quorum: bool | None = ...,
        Time: int | None = ...,
        Stream: bool | None = ...,
        Refresh: bool | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: Literal[
            "ID",
            "Method",
            "Path",
            "Val",
            "Dir",
            "PrevValue",
            "PrevIndex",
            "PrevExist",
            "Expiration",
            "Wait",
            "Since",
            "Recursive",
            "Sorted",
            "Quorum",
            "Time",
            "Stream",
            "Refresh",
        ],
    ) -> bool: ...

class Metadata(_Message):
    NodeID: int
    ClusterID: int
    def __init__(self, *, NodeID: int | None = ..., ClusterID: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["NodeID", "ClusterID"]) -> bool: ...

class ResponseHeader(_Message):
    cluster_id: int
    member_id: int
    revision: int
    raft_term: int
    def __init__(
        self,
        *,
        cluster_id: int | None = ...,
        member_id: int | None = ...,
        revision: int | None = ...,
        raft_term: int | None = ...,
    ) -> None: ...

class RangeRequest(_Message):
    SortOrder: Final[EnumTypeWrapper]
    NONE: Final = 0
    ASCEND: Final = 1
    DESCEND: Final = 2
    SortTarget: Final[EnumTypeWrapper]
    KEY: Final = 0
    VERSION: Final = 1
    CREATE: Final = 2
    MOD: Final = 3
    VALUE: Final = 4
    key: bytes
    range_end: bytes
    limit: int
    revision: int
    sort_order: int
    sort_target: int
    serializable: bool
    keys_only: bool
    count_only: bool
    min_mod_revision: int
    max_mod_revision: int
    min_create_revision: int
    max_create_revision: int
    def __init__(
        self,
        *,
        key: bytes | None = ...,
        range_end: bytes | None = ...,
        limit: int | None = ...,
        revision: int | None = ...,
        sort_order: int | None = ...,
        sort_target: int | None = ...,
        serializable: bool | None = ...,
        keys_only: bool | None = ...,
        count_only: bool | None = ...,
        min_mod_revision: int | None = ...,
        max_mod_revision: int | None = ...,
        min_create_revision: int | None = ...,
        max_create_revision: int | None = ...,
    ) -> None: ...

class RangeResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def kvs(self) -> RepeatedCompositeFieldContainer[mvccpb.KeyValue]: ...
    more: bool
    count: int
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        kvs: Iterable[mvccpb.KeyValue] | None = ...,
        more: bool | None = ...,
        count: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class PutRequest(_Message):
    key: bytes
    value: bytes
    lease: int
    prev_kv: bool
    ignore_value: bool
    ignore_lease: bool
    def __init__(
        self,
        *,
        key: bytes | None = ...,
        value: bytes | None = ...,
        lease: int | None = ...,
        prev_kv: bool | None = ...,
        ignore_value: bool | None = ...,
        ignore_lease: bool | None = ...,
    ) -> None: ...

class PutResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def prev_kv(self) -> mvccpb.KeyValue: ...
    def __init__(self, *, header: ResponseHeader | None = ..., prev_kv: mvccpb.KeyValue | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header", "prev_kv"]) -> bool: ...

class DeleteRangeRequest(_Message):
    key: bytes
    range_end: bytes
    prev_kv: bool
    def __init__(
        self,
        *,
        key: bytes | None = ...,
        range_end: bytes | None = ...,
        prev_kv: bool | None = ...,
    ) -> None: ...

class DeleteRangeResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    deleted: int
    @property
    def prev_kvs(self) -> RepeatedCompositeFieldContainer[mvccpb.KeyValue]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        deleted: int | None = ...,
        prev_kvs: Iterable[mvccpb.KeyValue] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class RequestOp(_Message):
    @property
    def request_range(self) -> RangeRequest: ...
    @property
    def request_put(self) -> PutRequest: ...
    @property
    def request_delete_range(self) -> DeleteRangeRequest: ...
    @property
    def request_txn(self) -> TxnRequest: ...
    def __init__(
        self,
        *,
        request_range: RangeRequest | None = ...,
        request_put: PutRequest | None = ...,
        request_delete_range: DeleteRangeRequest | None = ...,
        request_txn: TxnRequest | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: Literal["request_range", "request_put", "request_delete_range", "request_txn", "request"],
    ) -> bool: ...
    def WhichOneof(
        self,
        oneof_group: Literal["request"],
    ) -> Literal["request_range", "request_put", "request_delete_range", "request_txn"] | None: ...

class ResponseOp(_Message):
    @property
    def response_range(self) -> RangeResponse: ...
    @property
    def response_put(self) -> PutResponse: ...
    @property
    def response_delete_range(self) -> DeleteRangeResponse: ...
    @property
    def response_txn(self) -> TxnResponse: ...
    def __init__(
        self,
        *,
        response_range: RangeResponse | None = ...,
        response_put: PutResponse | None = ...,
        response_delete_range: DeleteRangeResponse | None = ...,
        response_txn: TxnResponse | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: Literal["response_range", "response_put", "response_delete_range", "response_txn", "response"],
    ) -> bool: ...
    def WhichOneof(
        self,
        oneof_group: Literal["response"],
    ) -> Literal["response_range", "response_put", "response_delete_range", "response_txn"] | None: ...

class Compare(_Message):
    CompareResult: Final[EnumTypeWrapper]
    EQUAL: Final = 0
    GREATER: Final = 1
    LESS: Final = 2
    NOT_EQUAL: Final = 3
    CompareTarget: Final[EnumTypeWrapper]
    VERSION: Final = 0
    CREATE: Final = 1
    MOD: Final = 2
    VALUE: Final = 3
    LEASE: Final = 4
    result: int
    target: int
    key: bytes
    version: int
    create_revision: int
    mod_revision: int
    value: bytes
    lease: int
    range_end: bytes
    def __init__(
        self,
        *,
        result: int | None = ...,
        target: int | None = ...,
        key: bytes | None = ...,
        version: int | None = ...,
        create_revision: int | None = ...,
        mod_revision: int | None = ...,
        value: bytes | None = ...,
        lease: int | None = ...,
        range_end: bytes | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: Literal["version", "create_revision", "mod_revision", "value", "lease", "target_union"],
    ) -> bool: ...
    def WhichOneof(
        self,
        oneof_group: Literal["target_union"],
    ) -> Literal["version", "create_revision", "mod_revision", "value", "lease"] | None: ...

class TxnRequest(_Message):
    @property
    def compare(self) -> RepeatedCompositeFieldContainer[Compare]: ...
    @property
    def success(self) -> RepeatedCompositeFieldContainer[RequestOp]: ...
    @property
    def failure(self) -> RepeatedCompositeFieldContainer[RequestOp]: ...
    def __init__(
        self,
        *,
        compare: Iterable[Compare] | None = ...,
        success: Iterable[RequestOp] | None = ...,
        failure: Iterable[RequestOp] | None = ...,
    ) -> None: ...

class TxnResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    succeeded: bool
    @property
    def responses(self) -> RepeatedCompositeFieldContainer[ResponseOp]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        succeeded: bool | None = ...,
        responses: Iterable[ResponseOp] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class CompactionRequest(_Message):
    revision: int
    physical: bool
    def __init__(self, *, revision: int | None = ..., physical: bool | None = ...) -> None: ...

class CompactionResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class HashKVRequest(_Message):
    revision: int
    def __init__(self, *, revision: int | None = ...) -> None: ...

class HashKVResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    hash: int
    compact_revision: int
    hash_revision: int
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        hash: int | None = ...,
        compact_revision: int | None = ...,
        hash_revision: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class HashResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    hash: int
    def __init__(self, *, header: ResponseHeader | None = ..., hash: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class SnapshotResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    remaining_bytes: int
    blob: bytes
    version: str
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        remaining_bytes: int | None = ...,
        blob: bytes | None = ...,
        version: str | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class WatchRequest(_Message):
    @property
    def create_request(self) -> WatchCreateRequest: ...
    @property
    def cancel_request(self) -> WatchCancelRequest: ...
    @property
    def progress_request(self) -> WatchProgressRequest: ...
    def __init__(
        self,
        *,
        create_request: WatchCreateRequest | None = ...,
        cancel_request: WatchCancelRequest | None = ...,
        progress_request: WatchProgressRequest | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: Literal["create_request", "cancel_request", "progress_request", "request_union"],
    ) -> bool: ...
    def WhichOneof(
        self,
        oneof_group: Literal["request_union"],
    ) -> Literal["create_request", "cancel_request", "progress_request"] | None: ...

class WatchCreateRequest(_Message):
    FilterType: Final[EnumTypeWrapper]
    NOPUT: Final = 0
    NODELETE: Final = 1
    key: bytes
    range_end: bytes
    start_revision: int
    progress_notify: bool
    @property
    def filters(self) -> RepeatedScalarFieldContainer[int]: ...
    prev_kv: bool
    watch_id: int
    fragment: bool
    def __init__(
        self,
        *,
        key: bytes | None = ...,
        range_end: bytes | None = ...,
        start_revision: int | None = ...,
        progress_notify: bool | None = ...,
        filters: Iterable[int] | None = ...,
        prev_kv: bool | None = ...,
        watch_id: int | None = ...,
        fragment: bool | None = ...,
    ) -> None: ...

class WatchCancelRequest(_Message):
    watch_id: int
    def __init__(self, *, watch_id: int | None = ...) -> None: ...

class WatchResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    watch_id: int
    created: bool
    canceled: bool
    compact_revision: int
    cancel_reason: str
    fragment: bool
    @property
    def events(self) -> RepeatedCompositeFieldContainer[mvccpb.Event]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        watch_id: int | None = ...,
        created: bool | None = ...,
        canceled: bool | None = ...,
        compact_revision: int | None = ...,
        cancel_reason: str | None = ...,
        fragment: bool | None = ...,
        events: Iterable[mvccpb.Event] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class LeaseGrantRequest(_Message):
    TTL: int
    ID: int
    def __init__(self, *, TTL: int | None = ..., ID: int | None = ...) -> None: ...

class LeaseGrantResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    ID: int
    TTL: int
    error: str
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        ID: int | None = ...,
        TTL: int | None = ...,
        error: str | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class LeaseRevokeRequest(_Message):
    ID: int
    def __init__(self, *, ID: int | None = ...) -> None: ...

class LeaseRevokeResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class LeaseCheckpoint(_Message):
    ID: int
    remaining_TTL: int
    def __init__(self, *, ID: int | None = ..., remaining_TTL: int | None = ...) -> None: ...

class LeaseCheckpointRequest(_Message):
    @property
    def checkpoints(self) -> RepeatedCompositeFieldContainer[LeaseCheckpoint]: ...
    def __init__(self, *, checkpoints: Iterable[LeaseCheckpoint] | None = ...) -> None: ...

class LeaseCheckpointResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class LeaseKeepAliveRequest(_Message):
    ID: int
    def __init__(self, *, ID: int | None = ...) -> None: ...

class LeaseKeepAliveResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    ID: int
    TTL: int
    def __init__(self, *, header: ResponseHeader | None = ..., ID: int | None = ..., TTL: int | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class LeaseTimeToLiveRequest(_Message):
    ID: int
    keys: bool
    def __init__(self, *, ID: int | None = ..., keys: bool | None = ...) -> None: ...

class LeaseTimeToLiveResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    ID: int
    TTL: int
    grantedTTL: int
    @property
    def keys(self) -> RepeatedScalarFieldContainer[bytes]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        ID: int | None = ...,
        TTL: int | None = ...,
        grantedTTL: int | None = ...,
        keys: Iterable[bytes] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class LeaseStatus(_Message):
    ID: int
    def __init__(self, *, ID: int | None = ...) -> None: ...

class LeaseLeasesResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def leases(self) -> RepeatedCompositeFieldContainer[LeaseStatus]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., leases: Iterable[LeaseStatus] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class Member(_Message):
    ID: int
    name: str
    @property
    def peerURLs(self) -> RepeatedScalarFieldContainer[str]: ...
    @property
    def clientURLs(self) -> RepeatedScalarFieldContainer[str]: ...
    isLearner: bool
    def __init__(
        self,
        *,
        ID: int | None = ...,
        name: str | None = ...,
        peerURLs: Iterable[str] | None = ...,
        clientURLs: Iterable[str] | None = ...,
        isLearner: bool | None = ...,
    ) -> None: ...

class MemberAddRequest(_Message):
    @property
    def peerURLs(self) -> RepeatedScalarFieldContainer[str]: ...
    isLearner: bool
    def __init__(self, *, peerURLs: Iterable[str] | None = ..., isLearner: bool | None = ...) -> None: ...

class MemberAddResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def member(self) -> Member: ...
    @property
    def members(self) -> RepeatedCompositeFieldContainer[Member]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        member: Member | None = ...,
        members: Iterable[Member] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header", "member"]) -> bool: ...

class MemberRemoveRequest(_Message):
    ID: int
    def __init__(self, *, ID: int | None = ...) -> None: ...

class MemberRemoveResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def members(self) -> RepeatedCompositeFieldContainer[Member]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., members: Iterable[Member] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class MemberUpdateRequest(_Message):
    ID: int
    @property
    def peerURLs(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, ID: int | None = ..., peerURLs: Iterable[str] | None = ...) -> None: ...

class MemberUpdateResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def members(self) -> RepeatedCompositeFieldContainer[Member]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., members: Iterable[Member] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class MemberListRequest(_Message):
    linearizable: bool
    def __init__(self, *, linearizable: bool | None = ...) -> None: ...

class MemberListResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def members(self) -> RepeatedCompositeFieldContainer[Member]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., members: Iterable[Member] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class MemberPromoteRequest(_Message):
    ID: int
    def __init__(self, *, ID: int | None = ...) -> None: ...

class MemberPromoteResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def members(self) -> RepeatedCompositeFieldContainer[Member]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., members: Iterable[Member] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class DefragmentResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class MoveLeaderRequest(_Message):
    targetID: int
    def __init__(self, *, targetID: int | None = ...) -> None: ...

class MoveLeaderResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AlarmRequest(_Message):
    AlarmAction: Final[EnumTypeWrapper]
    GET: Final = 0
    ACTIVATE: Final = 1
    DEACTIVATE: Final = 2
    action: int
    memberID: int
    alarm: int
    def __init__(self, *, action: int | None = ..., memberID: int | None = ..., alarm: int | None = ...) -> None: ...

class AlarmMember(_Message):
    memberID: int
    alarm: int
    def __init__(self, *, memberID: int | None = ..., alarm: int | None = ...) -> None: ...

class AlarmResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def alarms(self) -> RepeatedCompositeFieldContainer[AlarmMember]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., alarms: Iterable[AlarmMember] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class DowngradeRequest(_Message):
    DowngradeAction: Final[EnumTypeWrapper]
    VALIDATE: Final = 0
    ENABLE: Final = 1
    CANCEL: Final = 2
    action: int
    version: str
    def __init__(self, *, action: int | None = ..., version: str | None = ...) -> None: ...

class DowngradeResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    version: str
    def __init__(self, *, header: ResponseHeader | None = ..., version: str | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class DowngradeVersionTestRequest(_Message):
    ver: str
    def __init__(self, *, ver: str | None = ...) -> None: ...

class StatusResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    version: str
    dbSize: int
    leader: int
    raftIndex: int
    raftTerm: int
    raftAppliedIndex: int
    @property
    def errors(self) -> RepeatedScalarFieldContainer[str]: ...
    dbSizeInUse: int
    isLearner: bool
    storageVersion: str
    dbSizeQuota: int
    @property
    def downgradeInfo(self) -> DowngradeInfo: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        version: str | None = ...,
        dbSize: int | None = ...,
        leader: int | None = ...,
        raftIndex: int | None = ...,
        raftTerm: int | None = ...,
        raftAppliedIndex: int | None = ...,
        errors: Iterable[str] | None = ...,
        dbSizeInUse: int | None = ...,
        isLearner: bool | None = ...,
        storageVersion: str | None = ...,
        dbSizeQuota: int | None = ...,
        downgradeInfo: DowngradeInfo | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header", "downgradeInfo"]) -> bool: ...

class DowngradeInfo(_Message):
    enabled: bool
    targetVersion: str
    def __init__(self, *, enabled: bool | None = ..., targetVersion: str | None = ...) -> None: ...

class AuthenticateRequest(_Message):
    name: str
    password: str
    def __init__(self, *, name: str | None = ..., password: str | None = ...) -> None: ...

class AuthUserAddRequest(_Message):
    name: str
    password: str
    @property
    def options(self) -> authpb.UserAddOptions: ...
    hashedPassword: str
    def __init__(
        self,
        *,
        name: str | None = ...,
        password: str | None = ...,
        options: authpb.UserAddOptions | None = ...,
        hashedPassword: str | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["options"]) -> bool: ...

class AuthUserGetRequest(_Message):
    name: str
    def __init__(self, *, name: str | None = ...) -> None: ...

class AuthUserDeleteRequest(_Message):
    name: str
    def __init__(self, *, name: str | None = ...) -> None: ...

class AuthUserChangePasswordRequest(_Message):
    name: str
    password: str
    hashedPassword: str
    def __init__(
        self,
        *,
        name: str | None = ...,
        password: str | None = ...,
        hashedPassword: str | None = ...,
    ) -> None: ...

class AuthUserGrantRoleRequest(_Message):
    user: str
    role: str
    def __init__(self, *, user: str | None = ..., role: str | None = ...) -> None: ...

class AuthUserRevokeRoleRequest(_Message):
    name: str
    role: str
    def __init__(self, *, name: str | None = ..., role: str | None = ...) -> None: ...

class AuthRoleAddRequest(_Message):
    name: str
    def __init__(self, *, name: str | None = ...) -> None: ...

class AuthRoleGetRequest(_Message):
    role: str
    def __init__(self, *, role: str | None = ...) -> None: ...

class AuthRoleDeleteRequest(_Message):
    role: str
    def __init__(self, *, role: str | None = ...) -> None: ...

class AuthRoleGrantPermissionRequest(_Message):
    name: str
    @property
    def perm(self) -> authpb.Permission: ...
    def __init__(self, *, name: str | None = ..., perm: authpb.Permission | None = ...) -> None: ...
    def HasField(self, field_name: Literal["perm"]) -> bool: ...

class AuthRoleRevokePermissionRequest(_Message):
    role: str
    key: bytes
    range_end: bytes
    def __init__(self, *, role: str | None = ..., key: bytes | None = ..., range_end: bytes | None = ...) -> None: ...

class AuthEnableResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthDisableResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthStatusResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    enabled: bool
    authRevision: int
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        enabled: bool | None = ...,
        authRevision: int | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthenticateResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    token: str
    def __init__(self, *, header: ResponseHeader | None = ..., token: str | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthUserAddResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthUserGetResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def roles(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., roles: Iterable[str] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthUserDeleteResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthUserChangePasswordResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthUserGrantRoleResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthUserRevokeRoleResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthRoleAddResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthRoleGetResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def perm(self) -> RepeatedCompositeFieldContainer[authpb.Permission]: ...
    def __init__(
        self,
        *,
        header: ResponseHeader | None = ...,
        perm: Iterable[authpb.Permission] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthRoleListResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def roles(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., roles: Iterable[str] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthUserListResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    @property
    def users(self) -> RepeatedScalarFieldContainer[str]: ...
    def __init__(self, *, header: ResponseHeader | None = ..., users: Iterable[str] | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthRoleDeleteResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthRoleGrantPermissionResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class AuthRoleRevokePermissionResponse(_Message):
    @property
    def header(self) -> ResponseHeader: ...
    def __init__(self, *, header: ResponseHeader | None = ...) -> None: ...
    def HasField(self, field_name: Literal["header"]) -> bool: ...

class RangeStreamResponse(_Message):
    @property
    def range_response(self) -> RangeResponse: ...
    def __init__(self, *, range_response: RangeResponse | None = ...) -> None: ...
    def HasField(self, field_name: Literal["range_response"]) -> bool: ...

class RequestHeader(_Message):
    ID: int
    username: str
    auth_revision: int
    def __init__(
        self,
        *,
        ID: int | None = ...,
        username: str | None = ...,
        auth_revision: int | None = ...,
    ) -> None: ...

class InternalRaftRequest(_Message):
    ID: int
    @property
    def range(self) -> RangeRequest: ...
    @property
    def put(self) -> PutRequest: ...
    @property
    def delete_range(self) -> DeleteRangeRequest: ...
    @property
    def txn(self) -> TxnRequest: ...
    @property
    def compaction(self) -> CompactionRequest: ...
    @property
    def lease_grant(self) -> LeaseGrantRequest: ...
    @property
    def lease_revoke(self) -> LeaseRevokeRequest: ...
    @property
    def alarm(self) -> AlarmRequest: ...
    @property
    def lease_checkpoint(self) -> LeaseCheckpointRequest: ...
    @property
    def header(self) -> RequestHeader: ...
    @property
    def auth_enable(self) -> AuthEnableRequest: ...
    @property
    def auth_disable(self) -> AuthDisableRequest: ...
    @property
    def authenticate(self) -> InternalAuthenticateRequest: ...
    @property
    def auth_status(self) -> AuthStatusRequest: ...
    @property
    def auth_user_add(self) -> AuthUserAddRequest: ...
    @property
    def auth_user_delete(self) -> AuthUserDeleteRequest: ...
    @property
    def auth_user_get(self) -> AuthUserGetRequest: ...
    @property
    def auth_user_change_password(self) -> AuthUserChangePasswordRequest: ...
    @property
    def auth_user_grant_role(self) -> AuthUserGrantRoleRequest: ...
    @property
    def auth_user_revoke_role(self) -> AuthUserRevokeRoleRequest: ...
    @property
    def auth_user_list(self) -> AuthUserListRequest: ...
    @property
    def auth_role_list(self) -> AuthRoleListRequest: ...
    @property
    def auth_role_add(self) -> AuthRoleAddRequest: ...
    @property
    def auth_role_delete(self) -> AuthRoleDeleteRequest: ...
    @property
    def auth_role_get(self) -> AuthRoleGetRequest: ...
    @property
    def auth_role_grant_permission(self) -> AuthRoleGrantPermissionRequest: ...
    @property
    def auth_role_revoke_permission(self) -> AuthRoleRevokePermissionRequest: ...
    @property
    def cluster_version_set(self) -> membershippb.ClusterVersionSetRequest: ...
    @property
    def cluster_member_attr_set(self) -> membershippb.ClusterMemberAttrSetRequest: ...
    @property
    def downgrade_info_set(self) -> membershippb.DowngradeInfoSetRequest: ...
    @property
    def downgrade_version_test(self) -> DowngradeVersionTestRequest: ...
    def __init__(
        self,
        *,
        ID: int | None = ...,
        range: RangeRequest | None = ...,
        put: PutRequest | None = ...,
        delete_range: DeleteRangeRequest | None = ...,
        txn: TxnRequest | None = ...,
        compaction: CompactionRequest | None = ...,
        lease_grant: LeaseGrantRequest | None = ...,
        lease_revoke: LeaseRevokeRequest | None = ...,
        alarm: AlarmRequest | None = ...,
        lease_checkpoint: LeaseCheckpointRequest | None = ...,
        header: RequestHeader | None = ...,
        auth_enable: AuthEnableRequest | None = ...,
        auth_disable: AuthDisableRequest | None = ...,
        authenticate: InternalAuthenticateRequest | None = ...,
        auth_status: AuthStatusRequest | None = ...,
        auth_user_add: AuthUserAddRequest | None = ...,
        auth_user_delete: AuthUserDeleteRequest | None = ...,
        auth_user_get: AuthUserGetRequest | None = ...,
        auth_user_change_password: AuthUserChangePasswordRequest | None = ...,
        auth_user_grant_role: AuthUserGrantRoleRequest | None = ...,
        auth_user_revoke_role: AuthUserRevokeRoleRequest | None = ...,
        auth_user_list: AuthUserListRequest | None = ...,
        auth_role_list: AuthRoleListRequest | None = ...,
        auth_role_add: AuthRoleAddRequest | None = ...,
        auth_role_delete: AuthRoleDeleteRequest | None = ...,
        auth_role_get: AuthRoleGetRequest | None = ...,
        auth_role_grant_permission: AuthRoleGrantPermissionRequest | None = ...,
        auth_role_revoke_permission: AuthRoleRevokePermissionRequest | None = ...,
        cluster_version_set: membershippb.ClusterVersionSetRequest | None = ...,
        cluster_member_attr_set: membershippb.ClusterMemberAttrSetRequest | None = ...,
        downgrade_info_set: membershippb.DowngradeInfoSetRequest | None = ...,
        downgrade_version_test: DowngradeVersionTestRequest | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: Literal[
            "range",
            "put",
            "delete_range",
            "txn",
            "compaction",
            "lease_grant",
            "lease_revoke",
            "alarm",
            "lease_checkpoint",
            "header",
            "auth_enable",
            "auth_disable",
            "authenticate",
            "auth_status",
            "auth_user_add",
            "auth_user_delete",
            "auth_user_get",
            "auth_user_change_password",
            "auth_user_grant_role",
            "auth_user_revoke_role",
            "auth_user_list",
            "auth_role_list",
            "auth_role_add",
            "auth_role_delete",
            "auth_role_get",
            "auth_role_grant_permission",
            "auth_role_revoke_permission",
            "cluster_version_set",
            "cluster_member_attr_set",
            "downgrade_info_set",
            "downgrade_version_test",
        ],
    ) -> bool: ...

class InternalAuthenticateRequest(_Message):
    name: str
    password: str
    simple_token: str
    def __init__(
        self,
        *,
        name: str | None = ...,
        password: str | None = ...,
        simple_token: str | None = ...,
    ) -> None: ...

class LeaseLeasesRequest(_Message):
    def __init__(self) -> None: ...

class StatusRequest(_Message):
    def __init__(self) -> None: ...

class DefragmentRequest(_Message):
    def __init__(self) -> None: ...

class HashRequest(_Message):
    def __init__(self) -> None: ...

class SnapshotRequest(_Message):
    def __init__(self) -> None: ...

class AuthEnableRequest(_Message):
    def __init__(self) -> None: ...

class AuthDisableRequest(_Message):
    def __init__(self) -> None: ...

class AuthStatusRequest(_Message):
    def __init__(self) -> None: ...

class AuthUserListRequest(_Message):
    def __init__(self) -> None: ...

class AuthRoleListRequest(_Message):
    def __init__(self) -> None: ...

class WatchProgressRequest(_Message):
    def __init__(self) -> None: ...
