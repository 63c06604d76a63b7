"""A store that was received takes the place of this backend's: its process ends, and the next one serves the new store.

    Install -> finish the turn, close -> tokens go along -> names change (etcdz/store/received.py) -> end; the
    supervisor starts the next

Whoever is in touch with a backend knows what to do about a new one, while state in the middle of a process would have
to be taken away under reads, watchers and leases. It ends in good order, which is no failure.
"""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from actors.backend.raft_link import RaftLink
from actors.runtime.loop import FatalError
from etcdz.auth.carried_tokens import Login, carry_tokens
from etcdz.ipc.messages import Install
from etcdz.store import received
from etcdz.store.leveldb import LevelStore

WAY_OUT = (
    "Nothing has been changed. Put back what is missing, or remove this member from the cluster and add it again with "
    "an empty data directory"
)


class Installing:
    """index: of the store that takes the place when this process ends; 0: none does."""

    def __init__(self, raft: RaftLink, store: Path, log: Any) -> None:
        self.index = 0
        self._raft = raft
        self._store = store
        self._log = log

    def on_install(self, message: Install) -> bool:
        """return whether this process is to end. raises FatalError: what the log begins after is not there"""
        raft, index = self._raft, message.snapshot_index
        if message.incarnation != raft.incarnation or self.index:
            return False
        if index <= raft.applied_index:
            raft.send_state()
            return False
        if not received.whole(self._store, index).is_dir():
            raise FatalError(
                f"the backend has applied entry {raft.applied_index}, but the log begins after a snapshot of entry "
                f"{index}, and {received.whole(self._store, index)}, which came with it, is not there. {WAY_OUT}"
            )
        self._log.info("installing a snapshot of the leader's", snapshot_index=index, applied_index=raft.applied_index)
        self.index = index
        return True

    def finish(self, logins: Mapping[str, Login]) -> None:
        """If there is one. logins: of this store. Requires: the store is closed

        NB: killed behind the tokens, it is installed with them, or anew by the next process.
        """
        if not self.index:
            return
        path = received.whole(self._store, self.index)
        if logins and path.is_dir():
            with closing(LevelStore(path)) as store:
                carry_tokens(logins, store)
        if received.begin(self._store, self.index):
            received.finish(self._store)
