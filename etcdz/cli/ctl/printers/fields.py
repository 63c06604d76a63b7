"""One field a line: --write-out=fields."""

from typing import TYPE_CHECKING

from etcdz.config.literals import quote

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb
    from etcdz.proto import mvccpb


def _line(name: str, value: object) -> bytes:
    text = _quoted(value) if isinstance(value, bytes) else str(value)
    return f'"{name}" : {text}\n'.encode()


def _quoted(value: bytes) -> str:
    """As Go's %q: a byte that is not of UTF-8 is \\xNN."""
    text = value.decode(errors="surrogateescape")
    return (
        '"' + "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else quote(c)[1:-1] for c in text) + '"'
    )


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


class Fields:
    name = "fields"

    def put(self, answer: "pb.PutResponse") -> bytes:
        return _header(answer.header) + (_pair(answer.prev_kv, "Prev") if answer.HasField("prev_kv") else b"")

    def get(self, answer: "pb.RangeResponse", value_only: bool) -> bytes:
        tail = _line("More", str(answer.more).lower()) + _line("Count", answer.count)
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
