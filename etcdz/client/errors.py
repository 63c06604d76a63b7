"""What calls raise: one class for each of etcd's errors, all of them EtcdError, and a few of the client's own.

    try:
        db.put("k", "v", lease=7)
    except LeaseNotFound: ...
    except EtcdError as error: error.code, error.text, error.retriable, error.maybe_applied

A server's error is told by its text: etcd's codes are shared by many.
"""

from typing import ClassVar, Final

from etcdz.api import errors as api
from etcdz.api.errors import Code


class EtcdError(Exception):
    """A call has failed.

    code            gRPC's, of etcdz.api.errors.Code
    text            what the server says, or the client
    retriable       the same call may succeed a little later
    maybe_applied   a write that has failed may have been carried out: its answer was lost, or the server does not know
    """

    row: ClassVar[api.EtcdError | None] = None

    def __init__(self, text: str = "", code: int | None = None, maybe_applied: bool = False) -> None:
        row = self.row
        self.text = text or (row.text if row else "")
        self.code: int = code if code is not None else (row.code if row else Code.UNKNOWN)
        self.maybe_applied = maybe_applied
        super().__init__(self.text)

    @property
    def retriable(self) -> bool:
        return self.code == Code.UNAVAILABLE or self.row is api.REQUEST_TOO_MANY_REQUESTS


# ---- the client's own ----


class Unavailable(EtcdError):
    """No endpoint can be reached, or the connection was lost: the text names the endpoints that were tried."""

    def __init__(self, text: str = "", code: int | None = None, maybe_applied: bool = False) -> None:
        super().__init__(text, Code.UNAVAILABLE if code is None else code, maybe_applied)


class ClientClosed(EtcdError):
    """The client was closed, or it is that of a process from which this one was forked."""


class Canceled(EtcdError):
    """The call was given up."""

    row = api.CANCELED


class DeadlineExceeded(EtcdError, TimeoutError):
    """The call was not answered in its time. A write may have been applied all the same."""

    row = api.DEADLINE_EXCEEDED


class Compacted(EtcdError):
    """compact_revision: the oldest that is still there; 0 if the server did not say."""

    row = api.COMPACTED
    compact_revision = 0


class LeaseNotFound(EtcdError):
    row = api.LEASE_NOT_FOUND


class LeaseLost(LeaseNotFound):
    """A lease that was kept alive has run out or was revoked."""


class LockTimeout(EtcdError, TimeoutError):
    """The lock was not to be had in the time that was given."""


class LockLost(EtcdError):
    """The lease of a lock has run out: somebody else may hold it."""


class NotLeading(EtcdError):
    """Who proclaims or resigns is no longer the leader of this election."""


class KeyExists(EtcdError):
    """What a recipe was to make is there already."""


class TooManyClients(EtcdError):
    """As many as a double barrier is for have entered it."""


def undecodable(problem: Exception, maybe_applied: bool = False) -> EtcdError:
    """An answer that is no message."""
    return EtcdError(f"grpc: failed to unmarshal the received message: {problem}", Code.INTERNAL, maybe_applied)


# ---- etcd's, by their names ----


class EmptyKey(EtcdError):
    row = api.EMPTY_KEY


class KeyNotFound(EtcdError):
    row = api.KEY_NOT_FOUND


class ValueProvided(EtcdError):
    row = api.VALUE_PROVIDED


class LeaseProvided(EtcdError):
    row = api.LEASE_PROVIDED


class TooManyOps(EtcdError):
    row = api.TOO_MANY_OPS


class DuplicateKey(EtcdError):
    row = api.DUPLICATE_KEY


class InvalidClientAPIVersion(EtcdError):
    row = api.INVALID_CLIENT_APIVERSION


class InvalidSortOption(EtcdError):
    row = api.INVALID_SORT_OPTION


class FutureRev(EtcdError):
    row = api.FUTURE_REV


class NoSpace(EtcdError):
    row = api.NO_SPACE


class LeaseExist(EtcdError):
    row = api.LEASE_EXIST


class LeaseTTLTooLarge(EtcdError):
    row = api.LEASE_TTLTOO_LARGE


class WatchCanceled(EtcdError):
    row = api.WATCH_CANCELED


class MemberExist(EtcdError):
    row = api.MEMBER_EXIST


class PeerURLExist(EtcdError):
    row = api.PEER_URLEXIST


class MemberNotEnoughStarted(EtcdError):
    row = api.MEMBER_NOT_ENOUGH_STARTED


class MemberBadURLs(EtcdError):
    row = api.MEMBER_BAD_URLS


class MemberNotFound(EtcdError):
    row = api.MEMBER_NOT_FOUND


class MemberNotLearner(EtcdError):
    row = api.MEMBER_NOT_LEARNER


class LearnerNotReady(EtcdError):
    row = api.LEARNER_NOT_READY


class TooManyLearners(EtcdError):
    row = api.TOO_MANY_LEARNERS


class ClusterIDMismatch(EtcdError):
    row = api.CLUSTER_IDMISMATCH


class RequestTooLarge(EtcdError):
    row = api.REQUEST_TOO_LARGE


class RequestTooManyRequests(EtcdError):
    row = api.REQUEST_TOO_MANY_REQUESTS


class RootUserNotExist(EtcdError):
    row = api.ROOT_USER_NOT_EXIST


class RootRoleNotExist(EtcdError):
    row = api.ROOT_ROLE_NOT_EXIST


class UserAlreadyExist(EtcdError):
    row = api.USER_ALREADY_EXIST


class UserEmpty(EtcdError):
    row = api.USER_EMPTY


class UserNotFound(EtcdError):
    row = api.USER_NOT_FOUND


class RoleAlreadyExist(EtcdError):
    row = api.ROLE_ALREADY_EXIST


class RoleNotFound(EtcdError):
    row = api.ROLE_NOT_FOUND


class RoleEmpty(EtcdError):
    row = api.ROLE_EMPTY


class AuthFailed(EtcdError):
    row = api.AUTH_FAILED


class NoPasswordUser(EtcdError):
    row = api.NO_PASSWORD_USER


class PermissionNotGiven(EtcdError):
    row = api.PERMISSION_NOT_GIVEN


class PermissionDenied(EtcdError):
    row = api.PERMISSION_DENIED


class RoleNotGranted(EtcdError):
    row = api.ROLE_NOT_GRANTED


class PermissionNotGranted(EtcdError):
    row = api.PERMISSION_NOT_GRANTED


class AuthNotEnabled(EtcdError):
    row = api.AUTH_NOT_ENABLED


class InvalidAuthToken(EtcdError):
    row = api.INVALID_AUTH_TOKEN


class InvalidAuthMgmt(EtcdError):
    row = api.INVALID_AUTH_MGMT


class AuthOldRevision(EtcdError):
    row = api.AUTH_OLD_REVISION


class NoLeader(Unavailable):
    row = api.NO_LEADER


class NotLeader(EtcdError):
    row = api.NOT_LEADER


class LeaderChanged(Unavailable):
    row = api.LEADER_CHANGED


class NotCapable(EtcdError):
    row = api.NOT_CAPABLE


class Stopped(Unavailable):
    row = api.STOPPED


class ServerTimeout(Unavailable):
    row = api.TIMEOUT


class TimeoutDueToLeaderFail(Unavailable):
    row = api.TIMEOUT_DUE_TO_LEADER_FAIL


class TimeoutDueToConnectionLost(Unavailable):
    row = api.TIMEOUT_DUE_TO_CONNECTION_LOST


class TimeoutWaitAppliedIndex(Unavailable):
    row = api.TIMEOUT_WAIT_APPLIED_INDEX


class TimeoutLeaderTransfer(EtcdError):
    row = api.TIMEOUT_LEADER_TRANSFER


class UnknownAlarmType(EtcdError):
    row = api.UNKNOWN_ALARM_TYPE


class UnknownAlarmAction(EtcdError):
    row = api.UNKNOWN_ALARM_ACTION


class UnhealthyCluster(Unavailable):
    row = api.UNHEALTHY


class Corrupt(EtcdError):
    row = api.CORRUPT


class NotSupportedForLearner(Unavailable):
    row = api.NOT_SUPPORTED_FOR_LEARNER


class BadLeaderTransferee(EtcdError):
    row = api.BAD_LEADER_TRANSFEREE


class WrongDowngradeVersionFormat(EtcdError):
    row = api.WRONG_DOWNGRADE_VERSION_FORMAT


class InvalidDowngradeTargetVersion(EtcdError):
    row = api.INVALID_DOWNGRADE_TARGET_VERSION


class ClusterVersionUnavailable(EtcdError):
    row = api.CLUSTER_VERSION_UNAVAILABLE


class DowngradeInProcess(EtcdError):
    row = api.DOWNGRADE_IN_PROCESS


class NoInflightDowngrade(EtcdError):
    row = api.NO_INFLIGHT_DOWNGRADE


class UnknownMethod(EtcdError):
    row = api.UNKNOWN_METHOD


_ALIKE: Final = {"context deadline exceeded": DeadlineExceeded, "context canceled": Canceled}
_BY_CODE: Final[dict[int, type[EtcdError]]] = {
    Code.UNAVAILABLE: Unavailable,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.CANCELED: Canceled,
}


def _by_text() -> dict[str, type[EtcdError]]:
    classes = [value for value in list(globals().values()) if isinstance(value, type) and issubclass(value, EtcdError)]
    found: dict[str, type[EtcdError]] = {}
    for each in classes:
        if each.row is not None:
            found.setdefault(each.row.text, each)
    return {**found, **_ALIKE}


BY_TEXT: Final = _by_text()


def error_of(code: int, text: str, maybe_applied: bool = False) -> EtcdError:
    """The error that a server means by this status."""
    known = BY_TEXT.get(text) or _BY_CODE.get(code, EtcdError)
    return known(text, code, maybe_applied)
