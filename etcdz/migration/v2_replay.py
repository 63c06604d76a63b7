"""The v2 store as it was when a backend had applied the log up to some entry.

etcd has it in memory alone: what is on disk is the newest .snap, and the entries behind that.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

from etcdz.cluster.membership import Membership
from etcdz.migration.errors import MigrationError
from etcdz.migration.log_state import LogState
from etcdz.migration.v2_members import member_rows
from etcdz.mvcc.applier import UndecodableEntry, is_of_keys, v2_request_of
from etcdz.proto import etcdserverpb as pb
from etcdz.v2 import applying, snapshot
from etcdz.v2.cluster_nodes import follow
from etcdz.v2.store import V2Store

_NORMAL: Final = 0
_CONF_CHANGE_V2: Final = 2


def v2_store_at(state: LogState, index: int) -> V2Store:
    """raises MigrationError: the .snap holds no v2 store, or an entry is none that a member of 3.4 or 3.5 proposes"""
    try:
        store = snapshot.decode(state.snapshot_data) if state.snapshot_data else V2Store()
    except ValueError:
        raise MigrationError("the newest .snap does not hold a v2 store: it is not of etcd 3.4 or 3.5") from None
    membership = _membership(state)
    for entry in state.entries_behind_snapshot(index):
        try:
            _apply(entry, store, membership)
        except (ValueError, UndecodableEntry) as error:
            raise MigrationError(f"entry {entry.Index} cannot be applied to the v2 store: {error}") from None
    return store


def _membership(state: LogState) -> Membership:
    rows = dict(member_rows(state.snapshot_data)) if state.snapshot_data else {}
    return Membership.load(_Rows(rows), state.member_id, state.cluster_id)


def _apply(entry: Any, store: V2Store, membership: Membership) -> None:
    """raises ValueError, UndecodableEntry"""
    data = entry.Data
    if entry.Type != _NORMAL:
        membership.apply_conf_change(data, v2=entry.Type == _CONF_CHANGE_V2)
    elif not data or is_of_keys(data):
        return
    elif (request := v2_request_of(data)) is None:
        membership.apply_entry(data)
    elif not membership.apply_entry(request):
        applying.apply(store, pb.Request.FromString(request), time.time_ns())
    follow(store, membership)


class _Rows:
    """Rows that a membership is loaded from."""

    def __init__(self, rows: dict[bytes, bytes]) -> None:
        self._rows = rows

    def iterate(self, lo: bytes, hi: bytes) -> Iterator[tuple[bytes, bytes]]:
        return ((key, self._rows[key]) for key in sorted(self._rows) if lo <= key < hi)
