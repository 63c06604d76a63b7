"""etcd's expected answers: each a value (name, gRPC code, exact text), never an exception.

Source: etcd 3.5 `rpctypes`; codes are gRPC's.
"""

from typing import NamedTuple


class Code:
    """gRPC status codes."""

    OK = 0
    CANCELED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class EtcdError(NamedTuple):
    """One expected answer. `text` is what the client reads in grpc-message."""

    name: str
    code: int
    text: str


EMPTY_KEY = EtcdError("EmptyKey", Code.INVALID_ARGUMENT, "etcdserver: key is not provided")
KEY_NOT_FOUND = EtcdError("KeyNotFound", Code.INVALID_ARGUMENT, "etcdserver: key not found")
VALUE_PROVIDED = EtcdError("ValueProvided", Code.INVALID_ARGUMENT, "etcdserver: value is provided")
LEASE_PROVIDED = EtcdError("LeaseProvided", Code.INVALID_ARGUMENT, "etcdserver: lease is provided")
TOO_MANY_OPS = EtcdError("TooManyOps", Code.INVALID_ARGUMENT, "etcdserver: too many operations in txn request")
DUPLICATE_KEY = EtcdError("DuplicateKey", Code.INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")
INVALID_CLIENT_APIVERSION = EtcdError(
    "InvalidClientAPIVersion", Code.INVALID_ARGUMENT, "etcdserver: invalid client api version"
)
INVALID_SORT_OPTION = EtcdError("InvalidSortOption", Code.INVALID_ARGUMENT, "etcdserver: invalid sort option")
COMPACTED = EtcdError("Compacted", Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
FUTURE_REV = EtcdError("FutureRev", Code.OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")
NO_SPACE = EtcdError("NoSpace", Code.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded")
LEASE_NOT_FOUND = EtcdError("LeaseNotFound", Code.NOT_FOUND, "etcdserver: requested lease not found")
LEASE_EXIST = EtcdError("LeaseExist", Code.FAILED_PRECONDITION, "etcdserver: lease already exists")
LEASE_TTLTOO_LARGE = EtcdError("LeaseTTLTooLarge", Code.OUT_OF_RANGE, "etcdserver: too large lease TTL")
WATCH_CANCELED = EtcdError("WatchCanceled", Code.CANCELED, "etcdserver: watch canceled")
MEMBER_EXIST = EtcdError("MemberExist", Code.FAILED_PRECONDITION, "etcdserver: member ID already exist")
PEER_URLEXIST = EtcdError("PeerURLExist", Code.FAILED_PRECONDITION, "etcdserver: Peer URLs already exists")
MEMBER_NOT_ENOUGH_STARTED = EtcdError(
    "MemberNotEnoughStarted",
    Code.FAILED_PRECONDITION,
    "etcdserver: re-configuration failed due to not enough started members",
)
MEMBER_BAD_URLS = EtcdError("MemberBadURLs", Code.INVALID_ARGUMENT, "etcdserver: given member URLs are invalid")
MEMBER_NOT_FOUND = EtcdError("MemberNotFound", Code.NOT_FOUND, "etcdserver: member not found")
MEMBER_NOT_LEARNER = EtcdError(
    "MemberNotLearner", Code.FAILED_PRECONDITION, "etcdserver: can only promote a learner member"
)
LEARNER_NOT_READY = EtcdError(
    "LearnerNotReady",
    Code.FAILED_PRECONDITION,
    "etcdserver: can only promote a learner member which is in sync with leader",
)
TOO_MANY_LEARNERS = EtcdError(
    "TooManyLearners", Code.FAILED_PRECONDITION, "etcdserver: too many learner members in cluster"
)
CLUSTER_IDMISMATCH = EtcdError("ClusterIDMismatch", Code.FAILED_PRECONDITION, "etcdserver: cluster ID mismatch")
REQUEST_TOO_LARGE = EtcdError("RequestTooLarge", Code.INVALID_ARGUMENT, "etcdserver: request is too large")
REQUEST_TOO_MANY_REQUESTS = EtcdError(
    "RequestTooManyRequests", Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests"
)
ROOT_USER_NOT_EXIST = EtcdError("RootUserNotExist", Code.FAILED_PRECONDITION, "etcdserver: root user does not exist")
ROOT_ROLE_NOT_EXIST = EtcdError(
    "RootRoleNotExist", Code.FAILED_PRECONDITION, "etcdserver: root user does not have root role"
)
USER_ALREADY_EXIST = EtcdError("UserAlreadyExist", Code.FAILED_PRECONDITION, "etcdserver: user name already exists")
USER_EMPTY = EtcdError("UserEmpty", Code.INVALID_ARGUMENT, "etcdserver: user name is empty")
USER_NOT_FOUND = EtcdError("UserNotFound", Code.FAILED_PRECONDITION, "etcdserver: user name not found")
ROLE_ALREADY_EXIST = EtcdError("RoleAlreadyExist", Code.FAILED_PRECONDITION, "etcdserver: role name already exists")
ROLE_NOT_FOUND = EtcdError("RoleNotFound", Code.FAILED_PRECONDITION, "etcdserver: role name not found")
ROLE_EMPTY = EtcdError("RoleEmpty", Code.INVALID_ARGUMENT, "etcdserver: role name is empty")
AUTH_FAILED = EtcdError(
    "AuthFailed", Code.INVALID_ARGUMENT, "etcdserver: authentication failed, invalid user ID or password"
)
NO_PASSWORD_USER = EtcdError(
    "NoPasswordUser", Code.UNKNOWN, "auth: authentication failed, password was given for no password user"
)
PERMISSION_NOT_GIVEN = EtcdError("PermissionNotGiven", Code.INVALID_ARGUMENT, "etcdserver: permission not given")
PERMISSION_DENIED = EtcdError("PermissionDenied", Code.PERMISSION_DENIED, "etcdserver: permission denied")
ROLE_NOT_GRANTED = EtcdError("RoleNotGranted", Code.FAILED_PRECONDITION, "etcdserver: role is not granted to the user")
PERMISSION_NOT_GRANTED = EtcdError(
    "PermissionNotGranted", Code.FAILED_PRECONDITION, "etcdserver: permission is not granted to the role"
)
AUTH_NOT_ENABLED = EtcdError("AuthNotEnabled", Code.FAILED_PRECONDITION, "etcdserver: authentication is not enabled")
INVALID_AUTH_TOKEN = EtcdError("InvalidAuthToken", Code.UNAUTHENTICATED, "etcdserver: invalid auth token")
INVALID_AUTH_MGMT = EtcdError("InvalidAuthMgmt", Code.INVALID_ARGUMENT, "etcdserver: invalid auth management")
AUTH_OLD_REVISION = EtcdError("AuthOldRevision", Code.INVALID_ARGUMENT, "etcdserver: revision of auth store is old")
NO_LEADER = EtcdError("NoLeader", Code.UNAVAILABLE, "etcdserver: no leader")
NOT_LEADER = EtcdError("NotLeader", Code.FAILED_PRECONDITION, "etcdserver: not leader")
LEADER_CHANGED = EtcdError("LeaderChanged", Code.UNAVAILABLE, "etcdserver: leader changed")
NOT_CAPABLE = EtcdError("NotCapable", Code.FAILED_PRECONDITION, "etcdserver: not capable")
STOPPED = EtcdError("Stopped", Code.UNAVAILABLE, "etcdserver: server stopped")
TIMEOUT = EtcdError("Timeout", Code.UNAVAILABLE, "etcdserver: request timed out")
TIMEOUT_DUE_TO_LEADER_FAIL = EtcdError(
    "TimeoutDueToLeaderFail", Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to previous leader failure"
)
TIMEOUT_DUE_TO_CONNECTION_LOST = EtcdError(
    "TimeoutDueToConnectionLost", Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to connection lost"
)
TIMEOUT_WAIT_APPLIED_INDEX = EtcdError(
    "TimeoutWaitAppliedIndex",
    Code.UNAVAILABLE,
    "etcdserver: request timed out, waiting for the applied index took too long",
)
TIMEOUT_LEADER_TRANSFER = EtcdError(
    "TimeoutLeaderTransfer", Code.UNKNOWN, "etcdserver: request timed out, leader transfer took too long"
)
UNKNOWN_ALARM_TYPE = EtcdError("UnknownAlarmType", Code.INVALID_ARGUMENT, "etcdserver: unknown alarm type")
UNKNOWN_ALARM_ACTION = EtcdError("UnknownAlarmAction", Code.INVALID_ARGUMENT, "etcdserver: unknown alarm action")
UNHEALTHY = EtcdError("Unhealthy", Code.UNAVAILABLE, "etcdserver: unhealthy cluster")
CORRUPT = EtcdError("Corrupt", Code.DATA_LOSS, "etcdserver: corrupt cluster")
NOT_SUPPORTED_FOR_LEARNER = EtcdError(
    "NotSupportedForLearner", Code.UNAVAILABLE, "etcdserver: rpc not supported for learner"
)
BAD_LEADER_TRANSFEREE = EtcdError("BadLeaderTransferee", Code.FAILED_PRECONDITION, "etcdserver: bad leader transferee")
WRONG_DOWNGRADE_VERSION_FORMAT = EtcdError(
    "WrongDowngradeVersionFormat", Code.INVALID_ARGUMENT, "etcdserver: wrong downgrade target version format"
)
INVALID_DOWNGRADE_TARGET_VERSION = EtcdError(
    "InvalidDowngradeTargetVersion", Code.INVALID_ARGUMENT, "etcdserver: invalid downgrade target version"
)
CLUSTER_VERSION_UNAVAILABLE = EtcdError(
    "ClusterVersionUnavailable", Code.FAILED_PRECONDITION, "etcdserver: cluster version not found during downgrade"
)
DOWNGRADE_IN_PROCESS = EtcdError(
    "DowngradeInProcess", Code.FAILED_PRECONDITION, "etcdserver: cluster has a downgrade job in progress"
)
NO_INFLIGHT_DOWNGRADE = EtcdError(
    "NoInflightDowngrade", Code.FAILED_PRECONDITION, "etcdserver: no inflight downgrade job"
)
UNKNOWN_METHOD = EtcdError("UnknownMethod", Code.UNKNOWN, "etcdserver: unknown method")
CANCELED = EtcdError("Canceled", Code.CANCELED, "etcdserver: request canceled")
DEADLINE_EXCEEDED = EtcdError("DeadlineExceeded", Code.DEADLINE_EXCEEDED, "etcdserver: context deadline exceeded")
LEADERLESS = EtcdError("Leaderless", Code.DEADLINE_EXCEEDED, "context deadline exceeded")
"""Of a write that has found no leader to go to: Go's own error, which has no name in etcd."""

BY_NAME: dict[str, EtcdError] = {
    value.name: value for value in list(globals().values()) if isinstance(value, EtcdError)
}
