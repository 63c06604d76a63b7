"""One field a line: --write-out=fields."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from etcdz.cli.ctl.printers.printer import Health, Printer
from etcdz.cli.ctl.printers.rows import go_bool
from etcdz.cli.ctl.quoting import quote_bytes
from etcdz.proto.text import decode_text, encode_text

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb
    from etcdz.proto import mvccpb


def _line(name: str, value: object) -> bytes:
    text = quote_bytes(value) if isinstance(value, bytes) else str(value)
    return f'"{name}" : {text}\n'.encode()


def _header(header: "pb.ResponseHeader") -> bytes:
    return (
        _line("ClusterID", header.cluster_id)
        + _line("MemberID", header.member_id)
        + _line("Revision", header.revision)
        + _line("RaftTerm", header.raft_term)
    )


def _pair(kv: "mvccpb.KeyValue", prefix: str = "") -> bytes:
    return (
        _line(f"{prefix}Key", kv.key)
        + _line(f"{prefix}CreateRevision", kv.create_revision)
        + _line(f"{prefix}ModRevision", kv.mod_revision)
        + _line(f"{prefix}Version", kv.version)
        + _line(f"{prefix}Value", kv.value)
        + _line(f"{prefix}Lease", kv.lease)
    )


_ALARMS: Final = ("NONE", "NOSPACE", "CORRUPT")
_PERMISSIONS: Final = ("READ", "WRITE", "READWRITE")


class Fields(Printer):
    name = "fields"

    def done(self, answer: Any, text: bytes, in_fields: bool = True) -> bytes:
        return _header(answer.header) if in_fields else self.unsupported()

    def put(self, answer: "pb.PutResponse") -> bytes:
        return _header(answer.header) + (_pair(answer.prev_kv, "Prev") if answer.HasField("prev_kv") else b"")

    def get(self, answer: "pb.RangeResponse", value_only: bool = False) -> bytes:
        tail = _line("More", go_bool(answer.more)) + _line("Count", answer.count)
        return _header(answer.header) + b"".join(map(_pair, answer.kvs)) + tail

    def delete(self, answer: "pb.DeleteRangeResponse") -> bytes:
        pairs = b"".join(_pair(kv, "Prev") for kv in answer.prev_kvs)
        return _header(answer.header) + _line("Deleted", answer.deleted) + pairs

    def grant(self, answer: "pb.LeaseGrantResponse") -> bytes:
        return _header(answer.header) + _line("ID", answer.ID) + _line("TTL", answer.TTL)

    def revoke(self, lease: int, answer: "pb.LeaseRevokeResponse") -> bytes:
        return _header(answer.header)

    def keep_alive(self, answer: "pb.LeaseKeepAliveResponse") -> bytes:
        return _header(answer.header) + _line("ID", answer.ID) + _line("TTL", answer.TTL)

    def time_to_live(self, answer: "pb.LeaseTimeToLiveResponse", keys: bool) -> bytes:
        head = _line("ID", answer.ID) + _line("TTL", answer.TTL) + _line("GrantedTTL", answer.grantedTTL)
        return _header(answer.header) + head + b"".join(_line("Key", key) for key in answer.keys)

    def leases(self, answer: "pb.LeaseLeasesResponse") -> bytes:
        return _header(answer.header) + b"".join(_line("ID", one.ID) for one in answer.leases)

    def txn(self, answer: "pb.TxnResponse") -> bytes:
        head = _header(answer.header) + _line("Succeeded", go_bool(answer.succeeded))
        return head + b"".join(map(self._op, answer.responses))

    def _op(self, op: "pb.ResponseOp") -> bytes:
        which = op.WhichOneof("response")
        if which == "response_put":
            return self.put(op.response_put)
        if which == "response_range":
            return self.get(op.response_range)
        return self.delete(op.response_delete_range)

    def watch(self, answer: "pb.WatchResponse") -> bytes:
        return _header(answer.header) + b"".join(
            _line("Type", "DELETE" if event.type else "PUT")
            + (_pair(event.prev_kv, "Prev") if event.HasField("prev_kv") else b"")
            + _pair(event.kv)
            for event in answer.events
        )

    def members(self, answer: "pb.MemberListResponse") -> bytes:
        parts = [_header(answer.header)]
        for member in answer.members:
            parts.append(_line("ID", member.ID) + _line("Name", _name(member.name)))
            parts += [_line("PeerURL", _name(url)) for url in member.peerURLs]
            parts += [_line("ClientURL", _name(url)) for url in member.clientURLs]
            parts.append(_line("IsLearner", go_bool(member.isLearner)) + b"\n")
        return b"".join(parts)

    def alarms(self, answer: "pb.AlarmResponse") -> bytes:
        return _header(answer.header) + b"".join(
            _line("MemberID", alarm.memberID) + _line("AlarmType", _ALARMS[alarm.alarm]) + b"\n"
            for alarm in answer.alarms
        )

    def healths(self, found: Sequence[Health]) -> bytes:
        return b"".join(
            _line("Endpoint", each.endpoint.encode())
            + _line("Health", go_bool(each.is_healthy))
            + _line("Took", each.took)
            + _line("Error", each.error)
            + b"\n"
            for each in found
        )

    def statuses(self, found: "Sequence[tuple[str, pb.StatusResponse]]") -> bytes:
        return b"".join(
            _header(answer.header)
            + _line("Version", _name(answer.version))
            + _line("DBSize", answer.dbSize)
            + _line("Leader", answer.leader)
            + _line("IsLearner", go_bool(answer.isLearner))
            + _line("RaftIndex", answer.raftIndex)
            + _line("RaftTerm", answer.raftTerm)
            + _line("RaftAppliedIndex", answer.raftAppliedIndex)
            + _line("Errors", f"[{' '.join(map(decode_text, answer.errors))}]")
            + _line("Endpoint", endpoint.encode())
            + b"\n"
            for endpoint, answer in found
        )

    def hashes(self, found: "Sequence[tuple[str, pb.HashKVResponse]]") -> bytes:
        return b"".join(
            _header(answer.header) + _line("Endpoint", endpoint.encode()) + _line("Hash", answer.hash) + b"\n"
            for endpoint, answer in found
        )

    def role(self, name: str, answer: "pb.AuthRoleGetResponse") -> bytes:
        """NB: two blanks behind PermType, as etcdctl has them."""
        return _header(answer.header) + b"".join(
            _line("PermType", f" {_PERMISSIONS[each.permType]}")
            + _line("Key", each.key)
            + _line("RangeEnd", each.range_end)
            for each in answer.perm
        )

    def roles(self, answer: "pb.AuthRoleListResponse") -> bytes:
        names = "".join(f" {quote_bytes(_name(role))}" for role in answer.roles)
        return _header(answer.header) + f'"Roles" :{names}\n'.encode()


def _name(text: Any) -> bytes:
    return encode_text(decode_text(text))
