"""The v2 store beside the key space: applied with the same entries, written in the same batches.

It is in memory as etcd's is; its rows (etcdz/v2/rows.py) go into the backend's store with the batch of the entry that
has changed it, so that no entry is applied to it twice or not at all, whatever is killed when. etcd keeps it in .snap
files and applies the log behind them again; here the log may be cut below what the store has.
"""

import time
from typing import Any, Final

from actors.backend.auth_reads import Reader
from actors.backend.raft_link import RaftLink
from actors.backend.v2_gets import V2Gets
from actors.backend.v2_watches import V2Watches
from actors.runtime.loop import FatalError
from etcdz.api.auth_info import AuthInfo
from etcdz.api.errors import Code
from etcdz.api.methods import V2_STATISTICS
from etcdz.cluster.membership import Membership
from etcdz.mvcc.apply_times import ApplyTimes
from etcdz.mvcc.mvcc import Reading
from etcdz.mvcc.state import KvState
from etcdz.proto import etcdserverpb as pb
from etcdz.v2 import applying, rows
from etcdz.v2.cluster_nodes import follow, store_of
from etcdz.v2.errors import V2Error
from etcdz.v2.store import AUTH

_GUARD: Final = f"{AUTH}/enabled"


class V2State:
    """store: as the last applied entry has left it. watches: who waits for what happens to it"""

    def __init__(
        self, state: KvState, membership: Membership, raft: RaftLink, times: ApplyTimes, answer_bytes_max: int
    ) -> None:
        """times: where requests are counted. answer_bytes_max: of what a get is answered with

        raises FatalError: its rows are not as they were written
        """
        self._state = state
        self._membership = membership
        self._raft = raft
        self._times = times
        try:
            kept = rows.load(state.store)
        except ValueError as error:
            raise FatalError(f"the v2 store cannot be read: {error}") from error
        self.store = store_of(membership) if kept is None else kept
        self.gets = V2Gets(self.store, raft, answer_bytes_max)
        self.watches = V2Watches(self.store, raft)
        self.keep()
        self._was_guarded = self.is_guarded

    @property
    def has_keys(self) -> bool:
        """Whether clients of the v2 API have stored anything."""
        top = self.store.root.children or {}
        return any(node.children for name, node in top.items() if name != "0")

    @property
    def is_guarded(self) -> bool:
        """Whether the v2 API's own users and roles are in force."""
        return self.store.value_at(_GUARD) == "true"

    def has_guard_changed(self) -> bool:
        """Whether is_guarded is not what it was at the last call."""
        if _GUARD not in self.store.changes:
            return False
        was_guarded, self._was_guarded = self._was_guarded, self.is_guarded
        return was_guarded is not self._was_guarded

    def readers(self) -> dict[int, Reader]:
        """Method tag -> what answers it at once."""
        return {**self.gets.readers(), V2_STATISTICS: self._statistics}

    def metrics(self) -> dict[str, Any]:
        """Figures for /metrics, by the names in etcdz.telemetry.families."""
        hub = self.store.hub
        return {
            **self.store.statistics.figures(),
            "v2_watch_requests": hub.requests,
            "v2_watchers": hub.count,
        }

    # ---- apply ----

    def follow_membership(self) -> None:
        """An entry may have changed who the members are."""
        if self._membership.changes:
            follow(self.store, self._membership)

    def apply(self, data: bytes) -> bytes | Reading | None:
        """An encoded etcdserverpb.Request.

        return  what its client is answered, or what is left to be read of that; None: nobody asks
        raises  ValueError: no member proposes such
        """
        request = pb.Request.FromString(data)
        found = applying.apply(self.store, request, time.time_ns())
        self._times.count_v2(request.Method, not isinstance(found, V2Error))
        return None if found is None else self.gets.answer(found, request)

    def keep(self) -> None:
        """What the entries of this turn have changed is written with their batch."""
        pending = self._state.pending
        for bucket, key, value in rows.take_rows(self.store):
            pending[bucket + key] = value

    # ---- reads ----

    def _statistics(self, body: bytes, auth: AuthInfo | None) -> tuple[int, bytes]:
        return Code.OK, self.store.statistics.to_json(self.store.hub.count).encode()
