"""What an output can show. One that has no way of its own to show an answer takes `other`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from etcdz.cli.command_tree import CommandError
from etcdz.cli.ctl.exits import BAD_FEATURE

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb


class Health(NamedTuple):
    """Of one endpoint. took: a duration as Go writes it; error: "" if it is healthy."""

    endpoint: str
    is_healthy: bool
    took: str
    error: str


class Printer:
    """name: of the output, as --write-out has it. Each method returns what is written to stdout."""

    name = ""

    def other(self, answer: Any) -> bytes:
        """raises CommandError: this output has no form for it"""
        raise CommandError(f"{self.name} not supported as output format", BAD_FEATURE)

    def done(self, answer: Any, text: bytes, in_fields: bool = True) -> bytes:
        """Of an answer that says nothing but that it is done. text: for people; in_fields: Fields can show it"""
        return self.other(answer)

    # ---- keys ----

    def put(self, answer: "pb.PutResponse") -> bytes:
        return self.other(answer)

    def get(self, answer: "pb.RangeResponse", value_only: bool = False) -> bytes:
        return self.other(answer)

    def delete(self, answer: "pb.DeleteRangeResponse") -> bytes:
        return self.other(answer)

    def txn(self, answer: "pb.TxnResponse") -> bytes:
        return self.other(answer)

    def watch(self, answer: "pb.WatchResponse") -> bytes:
        return self.other(answer)

    # ---- leases ----

    def grant(self, answer: "pb.LeaseGrantResponse") -> bytes:
        return self.other(answer)

    def revoke(self, lease: int, answer: "pb.LeaseRevokeResponse") -> bytes:
        return self.other(answer)

    def keep_alive(self, answer: "pb.LeaseKeepAliveResponse") -> bytes:
        return self.other(answer)

    def time_to_live(self, answer: "pb.LeaseTimeToLiveResponse", keys: bool) -> bytes:
        return self.other(answer)

    def leases(self, answer: "pb.LeaseLeasesResponse") -> bytes:
        return self.other(answer)

    # ---- the cluster ----

    def members(self, answer: "pb.MemberListResponse") -> bytes:
        return self.other(answer)

    def alarms(self, answer: "pb.AlarmResponse") -> bytes:
        return self.other(answer)

    def healths(self, found: Sequence[Health]) -> bytes:
        return self.unsupported()

    def statuses(self, found: "Sequence[tuple[str, pb.StatusResponse]]") -> bytes:
        return self.unsupported()

    def hashes(self, found: "Sequence[tuple[str, pb.HashKVResponse]]") -> bytes:
        return self.unsupported()

    def unsupported(self) -> bytes:
        """raises CommandError"""
        return Printer.other(self, None)

    # ---- users and roles ----

    def auth_status(self, answer: "pb.AuthStatusResponse") -> bytes:
        return self.other(answer)

    def user(self, name: str, answer: "pb.AuthUserGetResponse") -> bytes:
        return self.other(answer)

    def users(self, answer: "pb.AuthUserListResponse") -> bytes:
        return self.other(answer)

    def role(self, name: str, answer: "pb.AuthRoleGetResponse") -> bytes:
        return self.other(answer)

    def roles(self, answer: "pb.AuthRoleListResponse") -> bytes:
        return self.other(answer)
