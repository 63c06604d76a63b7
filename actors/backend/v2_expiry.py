"""Has keys of the v2 API expire: while this member leads it proposes SYNC when one is due.

What has expired by the time that stands in it goes when the entry is applied, on every member alike. Proposed whether
the v2 API is served or not: other members may serve it. etcd proposes it every 500 ms while any key has a TTL; here the
clock is looked at as often, and nothing is written in vain.
"""

import time
from typing import Final

from actors.runtime.link import Links
from etcdz.ipc.messages import Leadership, Propose
from etcdz.ipc.request_ids import BACKEND_SLOT, RequestIds
from etcdz.v2.key_request import sync_entry
from etcdz.v2.store import V2Store

EVERY_S: Final = 0.5
_AHEAD_US: Final = 500_000
"""So far are its request ids ahead of those of what else the backend proposes."""


class V2Expiry:
    """next_at: when to look at the clock, on the monotonic one; None: this member does not lead, or no key has a TTL"""

    def __init__(self, store: V2Store, links: Links, member_id: int) -> None:
        self._store = store
        self._links = links
        self._ids = RequestIds(member_id, BACKEND_SLOT, time.time_ns() // 1000 + _AHEAD_US)
        self._term = 0
        self.next_at: float | None = None

    def on_leadership(self, message: Leadership) -> None:
        """What raft says of itself."""
        self._term = message.term if message.lead_index else 0
        self.next_at = None
        self.look()

    def look(self) -> None:
        """A key may have a TTL now."""
        if self._term and self.next_at is None and len(self._store.expiry):
            self.next_at = time.monotonic() + EVERY_S

    def work(self, now: float) -> None:
        """Requires: next_at has come"""
        self.next_at = None
        self.look()
        now_ns = time.time_ns()
        if self._store.expiry.has_due(now_ns):
            request_id = self._ids.next()
            entry = sync_entry(request_id, now_ns)
            self._links.send("raft", Propose(BACKEND_SLOT, [(request_id, entry)], only_term=self._term))
