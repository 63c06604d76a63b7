"""Lines for people: --write-out=simple, the default."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from etcdz.cli.ctl.printers import rows
from etcdz.cli.ctl.printers.printer import Health, Printer
from etcdz.client.keys import prefix_end
from etcdz.proto.text import decode_text, encode_text

if TYPE_CHECKING:
    from etcdz.proto import authpb, mvccpb
    from etcdz.proto import etcdserverpb as pb

_ALARMS: Final = ("NONE", "NOSPACE", "CORRUPT")
_READS: Final = (0, 2)
_WRITES: Final = (1, 2)


def _joined(found: Sequence[Sequence[str]]) -> bytes:
    return "".join(", ".join(row) + "\n" for row in found).encode(errors="surrogateescape")


def _name(text: Any) -> bytes:
    return encode_text(decode_text(text))


def _span(permission: "authpb.Permission") -> bytes:
    key, end = permission.key, permission.range_end
    if not end:
        return b"\t%s\n" % key
    text = b"\t[%s, <open ended>" % key if end == b"\0" else b"\t[%s, %s)" % (key, end)
    return text + (b" (prefix %s)" % key if prefix_end(key) == end else b"") + b"\n"


class Simple(Printer):
    name = "simple"

    def __init__(self, is_hex: bool) -> None:
        self._is_hex = is_hex

    def _pairs(self, kvs: "Iterable[mvccpb.KeyValue]", value_only: bool = False) -> bytes:
        lines = [text for kv in kvs for text in ((kv.value,) if value_only else (kv.key, kv.value))]
        if self._is_hex:
            lines = [b"".join(b"\\x%02x" % byte for byte in line) for line in lines]
        return b"".join(line + b"\n" for line in lines)

    def done(self, answer: Any, text: bytes, in_fields: bool = True) -> bytes:
        return text

    def put(self, answer: "pb.PutResponse") -> bytes:
        return b"OK\n" + (self._pairs([answer.prev_kv]) if answer.HasField("prev_kv") else b"")

    def get(self, answer: "pb.RangeResponse", value_only: bool = False) -> bytes:
        return self._pairs(answer.kvs, value_only)

    def delete(self, answer: "pb.DeleteRangeResponse") -> bytes:
        return b"%d\n" % answer.deleted + self._pairs(answer.prev_kvs)

    def txn(self, answer: "pb.TxnResponse") -> bytes:
        return (b"SUCCESS\n" if answer.succeeded else b"FAILURE\n") + b"".join(map(self._op, answer.responses))

    def _op(self, op: "pb.ResponseOp") -> bytes:
        which = op.WhichOneof("response")
        if which == "response_put":
            return b"\n" + self.put(op.response_put)
        if which == "response_range":
            return b"\n" + self.get(op.response_range)
        return b"\n" + self.delete(op.response_delete_range)

    def watch(self, answer: "pb.WatchResponse") -> bytes:
        return b"".join(
            (b"DELETE\n" if event.type else b"PUT\n")
            + (self._pairs([event.prev_kv]) if event.HasField("prev_kv") else b"")
            + self._pairs([event.kv])
            for event in answer.events
        )

    def grant(self, answer: "pb.LeaseGrantResponse") -> bytes:
        return b"lease %016x granted with TTL(%ds)\n" % (answer.ID, answer.TTL)

    def revoke(self, lease: int, answer: "pb.LeaseRevokeResponse") -> bytes:
        return b"lease %016x revoked\n" % lease

    def keep_alive(self, answer: "pb.LeaseKeepAliveResponse") -> bytes:
        return b"lease %016x keepalived with TTL(%d)\n" % (answer.ID, answer.TTL)

    def time_to_live(self, answer: "pb.LeaseTimeToLiveResponse", keys: bool) -> bytes:
        if answer.grantedTTL == 0 and answer.TTL == -1:
            return b"lease %016x already expired\n" % answer.ID
        text = b"lease %016x granted with TTL(%ds), remaining(%ds)" % (answer.ID, answer.grantedTTL, answer.TTL)
        return text + (b", attached keys([%s])" % b" ".join(answer.keys) if keys else b"") + b"\n"

    def leases(self, answer: "pb.LeaseLeasesResponse") -> bytes:
        return b"found %d leases\n" % len(answer.leases) + b"".join(b"%016x\n" % one.ID for one in answer.leases)

    def members(self, answer: "pb.MemberListResponse") -> bytes:
        return _joined(rows.member_rows(answer))

    def alarms(self, answer: "pb.AlarmResponse") -> bytes:
        """As Go writes a message."""
        return "".join(
            (f"memberID:{alarm.memberID} " if alarm.memberID else "")
            + (f"alarm:{_ALARMS[alarm.alarm]} " if alarm.alarm else "")
            + "\n"
            for alarm in answer.alarms
        ).encode()

    def healths(self, found: Sequence[Health]) -> bytes:
        """NB: of those that are not healthy the caller speaks on stderr."""
        return "".join(
            f"{each.endpoint} is healthy: successfully committed proposal: took = {each.took}\n"
            for each in found
            if not each.error
        ).encode()

    def statuses(self, found: "Sequence[tuple[str, pb.StatusResponse]]") -> bytes:
        return _joined(rows.status_rows(found))

    def hashes(self, found: "Sequence[tuple[str, pb.HashKVResponse]]") -> bytes:
        return _joined(rows.hash_rows(found))

    def auth_status(self, answer: "pb.AuthStatusResponse") -> bytes:
        text = f"Authentication Status: {rows.go_bool(answer.enabled)}\nAuthRevision: {answer.authRevision}\n"
        return text.encode()

    def user(self, name: str, answer: "pb.AuthUserGetResponse") -> bytes:
        return b"User: %s\nRoles:%s\n" % (_name(name), b"".join(b" " + _name(role) for role in answer.roles))

    def users(self, answer: "pb.AuthUserListResponse") -> bytes:
        return b"".join(_name(user) + b"\n" for user in answer.users)

    def role(self, name: str, answer: "pb.AuthRoleGetResponse") -> bytes:
        reads = b"".join(_span(each) for each in answer.perm if each.permType in _READS)
        writes = b"".join(_span(each) for each in answer.perm if each.permType in _WRITES)
        return b"Role %s\nKV Read:\n%sKV Write:\n%s" % (_name(name), reads, writes)

    def roles(self, answer: "pb.AuthRoleListResponse") -> bytes:
        return b"".join(_name(role) + b"\n" for role in answer.roles)
