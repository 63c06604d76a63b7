"""Lines for people: --write-out=simple, the default."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etcdz.proto import etcdserverpb as pb
    from etcdz.proto import mvccpb


class Simple:
    name = "simple"

    def __init__(self, is_hex: bool) -> None:
        self._is_hex = is_hex

    def _pairs(self, kvs: "Iterable[mvccpb.KeyValue]", value_only: bool = False) -> bytes:
        lines = [text for kv in kvs for text in ((kv.value,) if value_only else (kv.key, kv.value))]
        if self._is_hex:
            lines = [b"".join(b"\\x%02x" % byte for byte in line) for line in lines]
        return b"".join(line + b"\n" for line in lines)

    def put(self, answer: "pb.PutResponse") -> bytes:
        return b"OK\n" + (self._pairs([answer.prev_kv]) if answer.HasField("prev_kv") else b"")

    def get(self, answer: "pb.RangeResponse", value_only: bool) -> bytes:
        return self._pairs(answer.kvs, value_only)

    def delete(self, answer: "pb.DeleteRangeResponse") -> bytes:
        return b"%d\n" % answer.deleted + self._pairs(answer.prev_kvs)

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
