"""The backend's side of Watch: changes to the listeners that ask for them, history to those that are behind.

Without watchers nothing is done. Questions are answered at the end of a turn, when everything that was applied is in
the store and published: by the time the answer comes, every change up to its revision has come as well.
"""

from actors.runtime.link import Links
from etcdz.ipc.messages import WatchAsk, WatchChanges, WatchChunk, WatchHistory, WatchPosition, encode_frame
from etcdz.mvcc.mvcc import Mvcc
from etcdz.watch.events import Changes
from etcdz.watch.history import Chunk, pending_changes, read_history
from etcdz.watch.hub import CHANGES_AND_PREV_KV


class Publisher:
    """wants      what each listener asks for, by slot; one that asks for nothing is not in it
    is_asked   whether questions wait for the end of the turn
    """

    def __init__(self, links: Links, mvcc: Mvcc) -> None:
        self._links = links
        self._mvcc = mvcc
        self.wants: dict[int, int] = {}
        self._asks: list[WatchAsk] = []
        self._histories: list[WatchHistory] = []

    @property
    def is_asked(self) -> bool:
        return bool(self._asks or self._histories)

    def on_ask(self, message: WatchAsk) -> None:
        if message.wants:
            self.wants[message.slot] = message.wants
        else:
            self.wants.pop(message.slot, None)
        self._asks.append(message)

    def on_history(self, message: WatchHistory) -> None:
        self._histories.append(message)

    def forget(self, slot: int) -> None:
        """Its listener is gone."""
        self.wants.pop(slot, None)

    # ---- changes ----

    def take_frames(self) -> list[bytes]:
        """What is about to be committed, as frames; to be published once it is. Requires: a listener wants it"""
        with_prev_kv = CHANGES_AND_PREV_KV in self.wants.values()
        position = self._position()
        frames = []
        for changes in pending_changes(self._mvcc.state, with_prev_kv):
            before, position[0] = changes.mains[0] - 1, changes.mains[-1]
            frames.append(encode_frame([WatchChanges(before, tuple(position), changes)]))
        return frames

    def publish(self, frames: list[bytes]) -> None:
        """What take_frames gave, to all that want it. Requires: it is committed"""
        links = self._links
        for slot in self.wants:
            for frame in frames:
                links.send_frame(links.listener(slot), frame)

    # ---- answers ----

    def end_turn(self) -> None:
        """Answers all questions. Requires: nothing is pending"""
        links = self._links
        for ask in self._asks:
            links.send(links.listener(ask.slot), WatchPosition(ask.seq, tuple(self._position())))
        self._asks.clear()
        for asked in self._histories:
            chunk = self._read(asked)
            answer = WatchChunk(asked.seq, chunk.through, tuple(self._position()), chunk.changes)
            links.send(links.listener(asked.slot), answer)
        self._histories.clear()

    def _read(self, asked: WatchHistory) -> Chunk:
        state = self._mvcc.state
        if asked.first < state.compact_revision:
            return Chunk(asked.first - 1, Changes([], [], [], []))  # the position tells the compacted revision
        return read_history(state, asked.first, [(lo, hi) for lo, hi in asked.spans], asked.with_prev_kv)

    def _position(self) -> list[int]:
        """The fields of etcdz.watch.hub.Position."""
        mvcc = self._mvcc
        return [mvcc.state.revision, mvcc.state.compact_revision, mvcc.cluster_id, mvcc.member_id, mvcc.raft_term]
