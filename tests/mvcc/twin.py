"""The slow, obvious store: a list of everything that ever happened. Each read looks through all of it.

It takes and gives parsed messages, knows no index, no cache, no packing and no slices, and compacts by a filter.
"""

from typing import Any, NamedTuple

import google_crc32c

from etcdz.api import errors
from etcdz.api.errors import EtcdError
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb
from etcdz.store.buckets import encode_revision

CLUSTER_ID, MEMBER_ID, TERM = 0xCDF818194E3A8C32, 0x8E9E05C52164694D, 7


class Event(NamedTuple):
    """kv is None for a delete."""

    main: int
    sub: int
    key: bytes
    kv: Any

    def row(self) -> bytes:
        name = encode_revision(self.main, self.sub) + (b"t" if self.kv is None else b"")
        kv = mvccpb.KeyValue(key=self.key) if self.kv is None else self.kv
        return name + bytes(kv.SerializeToString())


class Twin:
    """State of one member. `calls` return a response message or an EtcdError."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.revision = 1
        self.compacted = -1
        self.left_behind: tuple[int, int] = (0, -1)
        """HashKV at the compacted revision, and the compaction before it, as they were before the records were gone."""
        self.changes = 0
        self.leases: set[int] = set()

    # reading the list

    def now(self) -> int:
        return self.revision + 1 if self.changes else self.revision

    def shown(self, revision: int) -> dict[bytes, Event]:
        """Last event of every key that exists at a revision."""
        last = {event.key: event for event in self.events if event.main <= revision}
        return {key: last[key] for key in sorted(last) if last[key].kv is not None}

    def in_range(self, revision: int, lo: bytes, end: bytes) -> list[Any]:
        rows = self.shown(revision)
        return [event.kv for key, event in rows.items() if _covers(lo, end, key)]

    def header(self) -> Any:
        return pb.ResponseHeader(cluster_id=CLUSTER_ID, member_id=MEMBER_ID, revision=self.revision, raft_term=TERM)

    # changes

    def _put(self, request: Any) -> Any:
        before = self.shown(self.now()).get(request.key)
        value, lease = request.value, request.lease
        if before is not None:
            value = before.kv.value if request.ignore_value else value
            lease = before.kv.lease if request.ignore_lease else lease
        main = self.revision + 1
        kv = mvccpb.KeyValue(
            key=request.key,
            value=value,
            lease=lease,
            mod_revision=main,
            create_revision=before.kv.create_revision if before else main,
            version=before.kv.version + 1 if before else 1,
        )
        self.events.append(Event(main, self.changes, request.key, kv))
        self.changes += 1
        response = pb.PutResponse()
        if request.prev_kv and before is not None:
            response.prev_kv.CopyFrom(before.kv)
        return response

    def _delete(self, request: Any) -> Any:
        gone = self.in_range(self.now(), request.key, request.range_end)
        for kv in gone:
            self.events.append(Event(self.revision + 1, self.changes, kv.key, None))
            self.changes += 1
        return pb.DeleteRangeResponse(deleted=len(gone), prev_kvs=gone if request.prev_kv else [])

    def _end(self) -> None:
        self.revision += 1 if self.changes else 0
        self.changes = 0

    # calls

    def put(self, request: Any) -> Any:
        if request.lease and request.lease not in self.leases:
            return errors.LEASE_NOT_FOUND
        if (request.ignore_value or request.ignore_lease) and request.key not in self.shown(self.now()):
            return errors.KEY_NOT_FOUND
        return self._finish(self._put(request))

    def delete_range(self, request: Any) -> Any:
        return self._finish(self._delete(request))

    def range(self, request: Any) -> Any:
        found = self._range(request)
        return found if isinstance(found, EtcdError) else self._finish(found)

    def txn(self, request: Any) -> Any:
        path = self._decide(request)
        for op in _operations(path):
            if op.HasField("request_put"):
                put = op.request_put
                if (put.ignore_value or put.ignore_lease) and put.key not in self.shown(self.revision):
                    return errors.KEY_NOT_FOUND
                if put.lease and put.lease not in self.leases:
                    return errors.LEASE_NOT_FOUND
        for op in _operations(path):
            revision = op.request_range.revision
            if revision > self.revision:
                return errors.FUTURE_REV
            if revision and revision < self.compacted:
                return errors.COMPACTED
        return self._finish(self._run(path))

    def compaction(self, request: Any) -> Any:
        if request.revision <= self.compacted:
            return errors.COMPACTED
        if request.revision > self.revision:
            return errors.FUTURE_REV
        kept = {id(event) for event in self.shown(request.revision).values()}
        self.left_behind = self._hash_left_behind(request.revision, kept), self.compacted
        self.events = [
            event
            for event in self.events
            if event.main > request.revision
            or id(event) in kept
            or (event.kv is None and event.main == request.revision and self._is_last(event, request.revision))
        ]
        self.compacted = request.revision
        return self._finish(pb.CompactionResponse())

    def _hash_left_behind(self, revision: int, kept: set[int]) -> int:
        """Of what a compaction at a revision finds. Something is always kept: what was changed there."""
        crc = google_crc32c.value(b"key")
        for event in self.events:
            if event.main <= revision and (event.main > self.compacted or id(event) in kept):
                crc = google_crc32c.extend(crc, event.row())
        return int(crc)

    def hash_kv(self, revision: int) -> int | EtcdError:
        """Of all but the revisions at which a compaction has left a hash behind."""
        if 0 < revision < self.compacted:
            return errors.COMPACTED
        if revision > self.revision:
            return errors.FUTURE_REV
        revision = revision or self.revision
        kept = {id(event) for event in self.shown(revision).values()}
        crc = google_crc32c.value(b"key")
        for event in self.events:
            if event.main > revision or (event.main == self.compacted and event.kv is None):
                continue
            if event.main > self.compacted or id(event) in kept or (not kept and event.kv is not None):
                crc = google_crc32c.extend(crc, event.row())
        return int(crc)

    # details

    def _is_last(self, event: Event, revision: int) -> bool:
        return [e for e in self.events if e.key == event.key and e.main <= revision][-1] is event

    def _finish(self, response: Any) -> Any:
        self._end()
        response.header.CopyFrom(self.header())
        return response

    def _range(self, request: Any) -> Any:
        now = self.now()
        revision = request.revision if request.revision > 0 else now
        if revision > now:
            return errors.FUTURE_REV
        if revision < self.compacted:
            return errors.COMPACTED
        kvs = self.in_range(revision, request.key, request.range_end)
        response = pb.RangeResponse(count=len(kvs))
        if request.count_only:
            return response
        bounds = [
            ("mod_revision", request.min_mod_revision, request.max_mod_revision),
            ("create_revision", request.min_create_revision, request.max_create_revision),
        ]
        if request.limit > 0 and not request.sort_order and not any(lo or hi for _, lo, hi in bounds):
            kvs = kvs[: request.limit + 1]
        for field, lo, hi in bounds:
            kvs = [kv for kv in kvs if not lo or getattr(kv, field) >= lo]
            kvs = [kv for kv in kvs if not hi or getattr(kv, field) <= hi]
        if request.sort_order or request.sort_target:
            field = ["key", "version", "create_revision", "mod_revision", "value"][request.sort_target]
            kvs = sorted(kvs, key=lambda kv: getattr(kv, field), reverse=request.sort_order == 2)
        if 0 < request.limit < len(kvs):
            response.more = True
            kvs = kvs[: request.limit]
        for kv in kvs:
            shown = response.kvs.add()
            shown.CopyFrom(kv)
            if request.keys_only:
                shown.value = b""
        return response

    def _decide(self, request: Any) -> tuple[bool, list[Any]]:
        succeeded = all(self._holds(compare) for compare in request.compare)
        branch = request.success if succeeded else request.failure
        return succeeded, [(op, self._decide(op.request_txn) if op.HasField("request_txn") else None) for op in branch]

    def _holds(self, compare: Any) -> bool:
        kvs = self.in_range(self.revision, compare.key, compare.range_end)
        field = ["version", "create_revision", "mod_revision", "value", "lease"][compare.target]
        if not kvs:
            if field == "value":
                return False
            kvs = [mvccpb.KeyValue()]
        wanted = getattr(compare, field)
        tests = [
            lambda found: found == wanted,
            lambda found: found > wanted,
            lambda found: found < wanted,
            lambda found: found != wanted,
        ]
        return all(tests[compare.result](getattr(kv, field)) for kv in kvs)

    def _run(self, path: tuple[bool, list[Any]]) -> Any:
        succeeded, operations = path
        response = pb.TxnResponse(succeeded=succeeded)
        for op, nested in operations:
            answer = response.responses.add()
            if op.HasField("request_put"):
                answer.response_put.CopyFrom(self._put(op.request_put))
                answer.response_put.header.revision = self.now()
            elif op.HasField("request_range"):
                answer.response_range.CopyFrom(self._range(op.request_range))
                answer.response_range.header.revision = self.now()
            elif op.HasField("request_delete_range"):
                answer.response_delete_range.CopyFrom(self._delete(op.request_delete_range))
                answer.response_delete_range.header.revision = self.now()
            else:
                answer.response_txn.CopyFrom(self._run(nested))
                answer.response_txn.header.SetInParent()
        return response


def _covers(lo: bytes, end: bytes, key: bytes) -> bool:
    if not end:
        return key == lo
    return key >= lo and (end == b"\0" or key < end)


def _operations(path: tuple[bool, list[Any]]) -> list[Any]:
    """Those of the path without the nesting."""
    flat: list[Any] = []
    for op, nested in path[1]:
        flat += _operations(nested) if nested is not None else [op]
    return flat
