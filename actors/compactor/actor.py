"""The compactor actor: when to compact, and how fast what was compacted is taken out of the store.

It holds nothing that lasts. Which compaction is under way stands in the backend's store; what the rules of automatic
compaction remember is left with the backend as notes, so that a new compactor goes on where its predecessor was. It
asks for each slice of a compaction, and decides on the pause after it: without a compactor no space comes free, and all
else goes on.
"""

import time
from typing import Any, Final

import msgpack

from actors.runtime.link import Peer
from actors.runtime.loop import Actor, run_actor
from etcdz import limits
from etcdz.api import errors
from etcdz.config import MemberConfig
from etcdz.config.literals import format_duration
from etcdz.config.retention import PERIODIC
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import CompactionState, CompactSlice, Leadership, Propose
from etcdz.ipc.request_ids import COMPACTOR_SLOT, RequestIds
from etcdz.mvcc import autocompaction
from etcdz.mvcc.autocompaction import AutoCompaction
from etcdz.proto import etcdserverpb as pb

_ASK, _COMPACT = range(2)
"""What a beat waits for: the current revision, a compaction."""
_NEVER: Final = float("inf")
BUSY_PAUSES: Final = 2.0
"""How many times as long as a slice took, with all that it waited for, the next one waits at least."""
BUSY_PAUSE_S_MAX: Final = 0.1


class CompactorActor(Actor):
    """One per member.

    state       what the backend said last; None before its first word
    slice_at    when to ask for the next slice, on the monotonic clock
    auto        the rules of automatic compaction; None: it is off, or the backend has not said where it stands
    waits_for   what the beat under way waits for: _ASK, _COMPACT, or None
    target      revision of the automatic compaction under way; began: when it began; proposal: its (id, entry)
    """

    def __init__(self, boot: Boot) -> None:
        super().__init__(boot)
        self.config = MemberConfig.from_dict(boot.config)
        self.handlers |= {CompactionState: self.on_compaction_state, Leadership: self.on_leadership}
        self.ids = RequestIds(self.config.advertised_member_id, COMPACTOR_SLOT, time.time_ns() // 1000)
        self.slice, self.pause_s = slices(self.config.compaction_batch_limit, self.config.compaction_sleep_s)
        self.leads = False
        self.state: CompactionState | None = None
        self.slice_at = _NEVER
        self.asked_at = 0.0
        self.auto: AutoCompaction | None = None
        self.waits_for: int | None = None
        self.target = 0
        self.proposal: tuple[int, bytes] = (0, b"")
        self.began = 0.0

    # ---- the backend ----

    def on_peer_up(self, peer: Peer) -> None:
        if peer.kind == "backend":
            self._ask(0)
        elif peer.kind == "raft" and self.waits_for == _COMPACT:
            self.links.send("raft", Propose(COMPACTOR_SLOT, [self.proposal]))

    def _ask(self, records: int) -> None:
        notes = msgpack.packb(self.auto.notes()) if self.auto is not None else b""
        self.links.send("backend", CompactSlice(self.boot.incarnation, records, notes))

    def on_compaction_state(self, message: CompactionState) -> None:
        now = time.monotonic()
        if self.state is None:
            self._begin(message, now)
        if not message.running:
            self.slice_at = _NEVER
        elif self.state is None or not self.state.running:
            self.slice_at = now + self.pause_s
        elif self.slice_at == _NEVER:
            self.slice_at = now + max(self.pause_s, min(BUSY_PAUSE_S_MAX, BUSY_PAUSES * (now - self.asked_at)))
        self.state = message
        if self.waits_for == _ASK:
            self._tick(message, now)
        elif self.waits_for == _COMPACT and message.compact_revision >= self.target:
            self._end_compaction(now, "")

    def on_leadership(self, message: Leadership) -> None:
        """NB: without a leader no compaction begins; etcd pauses only those of a follower."""
        self.leads = message.lead_index != 0

    # ---- compacting by itself ----

    def _begin(self, state: CompactionState, now: float) -> None:
        config = self.config
        self.auto = autocompaction.make(
            config.auto_compaction_mode, config.auto_compaction_retention, now, state.revision
        )
        if self.auto is None:
            return
        if state.notes:
            self.auto.recall(msgpack.unpackb(state.notes))
        self._ask(0)  # leaves the notes there

    def _tick(self, state: CompactionState, now: float) -> None:
        """The beat's question is answered: which revision is the current one."""
        auto = self.auto
        assert auto is not None
        target = auto.tick(now, state.revision, self.leads)
        self.waits_for = None
        if target is None:
            self._ask(0)
            return
        self.log.info(f"starting auto {auto.mode} compaction", **self._about(auto, target))
        self.target, self.began = target, now
        self.waits_for = _COMPACT
        if target <= state.compact_revision:
            self._end_compaction(now, "")
        else:
            self.proposal = self._compaction(target)
            self.links.send("raft", Propose(COMPACTOR_SLOT, [self.proposal]))

    def _compaction(self, target: int) -> tuple[int, bytes]:
        request_id = self.ids.next()
        request = pb.InternalRaftRequest(
            header=pb.RequestHeader(ID=request_id), compaction=pb.CompactionRequest(revision=target)
        )
        return request_id, request.SerializeToString()

    def _end_compaction(self, now: float, error: str) -> None:
        auto, state = self.auto, self.state
        assert auto is not None and state is not None
        self.waits_for = None
        fields = self._about(auto, self.target)
        if error:
            fields |= {"retry-interval": format_duration(int(auto.beat_s * 1e9)), "error": error}
            self.log.warn(f"failed auto {auto.mode} compaction", **fields)
        else:
            fields["took"] = format_duration(int((now - self.began) * 1e9))
            self.log.info(f"completed auto {auto.mode} compaction", **fields)
        auto.done(now, state.revision, self.target, succeeded=not error)
        self._ask(0)

    def _about(self, auto: AutoCompaction, target: int) -> dict[str, Any]:
        name, value = auto.about
        return {"revision": target, name: format_duration(value) if auto.mode == PERIODIC else value}

    # ---- the turn ----

    def next_deadline(self) -> float | None:
        at = min(self.slice_at, self._auto_at())
        return None if at == _NEVER else at

    def _auto_at(self) -> float:
        if self.auto is None or self.waits_for == _ASK:
            return _NEVER
        return self.began + self.config.request_timeout_s if self.waits_for == _COMPACT else self.auto.next_at

    def on_deadline(self, now: float) -> None:
        if now >= self.slice_at:
            self.slice_at, self.asked_at = _NEVER, now
            self._ask(self.slice)
        if now >= self._auto_at():
            if self.waits_for == _COMPACT:
                self._end_compaction(now, errors.TIMEOUT.text)
            else:
                self.waits_for = _ASK
                self._ask(0)

    def summary(self) -> dict[str, Any]:
        state = self.state
        return {
            "compact_revision": state.compact_revision if state is not None else 0,
            "compacting": state is not None and state.running,
        }


def slices(batch_limit: int, sleep_s: float) -> tuple[int, float]:
    """(records of a slice, pause after it) at the pace of batches with a sleep in between, without their length."""
    if batch_limit <= 0:
        return limits.COMPACTION_SLICE, limits.COMPACTION_PAUSE_S
    records = min(batch_limit, limits.COMPACTION_SLICE)
    return records, max(0.0, sleep_s) * records / batch_limit


def run(boot: Boot) -> int:
    return run_actor(CompactorActor, boot)
