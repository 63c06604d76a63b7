"""What raft starts with after a restart: the log as the wal holds it, joined with how far the backend has applied.

Pure: the raft actor asks both and builds its core from the answer. The log need not reach back to the snapshot whose
marker it begins after: what is below is in the backend's state, so that any entry that is applied may be the base.
"""

from typing import NamedTuple

from etcdz.ipc.messages import BackendState, WalState
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import Entry, HardState, Snapshot, codec, decode_entry


class DoNotBelongTogether(Exception):
    """Log and backend cannot be of the same life of the same member; says how one sees it."""


class Recovered(NamedTuple):
    """base: stands for everything up to its index. entries: all that the log holds behind it."""

    base: Snapshot
    entries: list[Entry]
    hard_state: HardState
    read: list[Entry]
    """All that the wal has sent, those at and below the base included: a listener may offer their requests again."""


def check_identity(state: WalState, backend: BackendState) -> None:
    """Log and backend each know whose they are. raises DoNotBelongTogether"""
    metadata = pb.Metadata.FromString(state.metadata)
    if (metadata.NodeID, metadata.ClusterID) != (backend.member_id, backend.cluster_id):
        raise DoNotBelongTogether(
            f"the write-ahead log is of member {metadata.NodeID:x} in cluster {metadata.ClusterID:x}, the backend "
            f"of member {backend.member_id:x} in cluster {backend.cluster_id:x}: they do not belong together"
        )


def recover(state: WalState, backend: BackendState) -> Recovered:
    """raises DoNotBelongTogether: the log ends before, or begins after, what the backend has applied"""
    applied = backend.applied_index
    if applied > state.last_index:
        raise DoNotBelongTogether(
            f"the backend has applied entry {applied}, but the log ends at {state.last_index}: "
            "the write-ahead log is not the one that this data directory was written with. Put back the right one, or "
            "restore a snapshot with `etcdzutl snapshot restore`"
        )
    entries = [decode_entry(entry) for entry in state.entries]
    index, term = _base(state, backend, entries)
    hard_state = codec.decode_hard_state(state.hard_state) if state.hard_state else HardState()
    # The commit index is written with the entries that follow it, so that it may be behind what was applied.
    commit = min(max(hard_state.commit, applied, index), state.last_index)
    return Recovered(
        Snapshot(index, term, codec.decode_conf_state(backend.conf_state), b""),
        [entry for entry in entries if entry.index > index],
        hard_state._replace(commit=commit),
        entries,
    )


def pending_install(state: WalState, backend: BackendState) -> int:
    """Index of the leader's snapshot that the log begins after and that the backend has not installed; 0: there is
    none."""
    applied = backend.applied_index
    return state.snapshot_index if state.first_index > applied + 1 and state.snapshot_index > applied else 0


def led(state: WalState, member_id: int, term: int) -> bool:
    """Whether the raft before this one led this member's newest term. A term that rose since then is another's."""
    return state.leader == member_id and state.term == term


def _base(state: WalState, backend: BackendState, entries: list[Entry]) -> tuple[int, int]:
    """(index, term) of the position that the log goes on from: as early as may be, for followers that are behind."""
    applied = backend.applied_index
    first = entries[0].index if entries else state.last_index + 1
    if first <= state.snapshot_index + 1 and state.snapshot_index <= applied:
        return state.snapshot_index, state.snapshot_term
    if first <= applied:
        return entries[0].index, entries[0].term  # it only tells the term before the second
    if first == applied + 1:
        return applied, backend.applied_term
    raise DoNotBelongTogether(
        f"the backend has applied entry {applied}, but the log begins at {first}: entries {applied + 1} to {first - 1} "
        "are in neither. Put back what is missing, or restore a snapshot with `etcdzutl snapshot restore`"
    )
