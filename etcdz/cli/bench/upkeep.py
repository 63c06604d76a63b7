"""What happens beside the load: leases are granted before, the history is compacted meanwhile, the store is hashed
afterwards."""

import time
from typing import Any

from etcdz.cli.endpoints import Endpoint
from etcdz.net.blocking_channel import RpcError
from etcdz.proto import etcdserverpb as pb

_TIMEOUT_S = 5.0
_HASH_TIMEOUT_S = 300.0  # it reads the whole store


_LEASE_TTL_S = 100  # as etcd's tool


def grant_leases(endpoint: Endpoint, count: int) -> tuple[int, ...]:
    """Ids of so many new leases, which end by themselves. raises RpcError"""
    body = pb.LeaseGrantRequest(TTL=_LEASE_TTL_S).SerializeToString()
    with endpoint.open_channel() as channel:
        answers = [channel.unary("/etcdserverpb.Lease/LeaseGrant", body, _TIMEOUT_S) for _ in range(count)]
    return tuple(pb.LeaseGrantResponse.FromString(answer).ID for answer in answers)


class Compactor:
    """Compacts the history each `interval_s`, up to `delta` revisions before the newest. interval_s 0: never.

    notes   what went wrong, for the report
    """

    def __init__(self, endpoint: Endpoint, interval_s: float, delta: int, now: float) -> None:
        self._channel = endpoint.open_channel()
        self._interval_s = interval_s
        self._delta = delta
        self._next = now + interval_s
        self._compacted = 0
        self.count = 0
        self.notes: list[str] = []

    def maybe_compact(self, now: float) -> bool:
        """Compacts if it is time; a failure is added to notes. return whether it was time"""
        if not self._interval_s or now < self._next:
            return False
        self._next = now + self._interval_s
        try:
            self._compact()
        except RpcError as error:
            note = f"A compaction failed: {error.text}"
            if note not in self.notes:
                self.notes.append(note)
        return True

    def _compact(self) -> None:
        question = pb.RangeRequest(key=b"foo", count_only=True).SerializeToString()
        answer = pb.RangeResponse.FromString(self._channel.unary("/etcdserverpb.KV/Range", question, _TIMEOUT_S))
        revision = answer.header.revision - self._delta
        if revision > self._compacted:
            request = pb.CompactionRequest(revision=revision).SerializeToString()
            self._channel.unary("/etcdserverpb.KV/Compact", request, _TIMEOUT_S)
            self._compacted = revision
            self.count += 1

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()


def hash_kv(endpoint: Endpoint) -> dict[str, Any]:
    """hash, revision, endpoint, seconds that the hash took, db_size in bytes. raises RpcError"""
    with endpoint.open_channel() as channel:
        before = time.monotonic()
        hashed = channel.unary("/etcdserverpb.Maintenance/HashKV", b"", _HASH_TIMEOUT_S)
        seconds = time.monotonic() - before
        status = pb.StatusResponse.FromString(channel.unary("/etcdserverpb.Maintenance/Status", b"", _TIMEOUT_S))
    answer = pb.HashKVResponse.FromString(hashed)
    return {
        "hash": answer.hash,
        "revision": answer.header.revision,
        "endpoint": endpoint.text,
        "seconds": seconds,
        "db_size": status.dbSize,
    }
