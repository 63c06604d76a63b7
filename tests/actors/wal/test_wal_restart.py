"""A wal that dies while it has the end of the log: what it wrote but did not hand over reaches the backend."""

from collections.abc import Iterator

import pytest

from actors.runtime.link import Peer
from etcdz.ipc.messages import Apply, BackendState, Delegate, DelegatedAppends, WalHello, WalState
from etcdz.raft import ConfState, codec, make_entry
from tests.actors.raft.restarted import ME, METADATA, Restarted, restarted_with

CONF_STATE = codec.encode_conf_state(ConfState((ME,)))


@pytest.fixture
def delegated() -> Iterator[tuple[Restarted, Delegate]]:
    """The only voter, which has delegated the end of the log."""
    with restarted_with((ME,)) as one:
        one.greet(leader=ME)
        yield one, one.delegate()


def data(index: int) -> bytes:
    return b"\x0a\x02\x08" + bytes([index])


def handed(one: Restarted) -> dict[int, bytes]:
    """What the backend has got from raft, by index."""
    applies = [message for _, message in one.links.sent if isinstance(message, Apply)]
    return {apply.first_index + i: entry for apply in applies for i, entry in enumerate(apply.entries)}


@pytest.mark.parametrize("first", ["wal", "backend"])
def test_what_it_wrote_but_did_not_hand_over_is_handed_over(delegated: tuple[Restarted, Delegate], first: str) -> None:
    """The backend lacks an entry that raft has heard of, and one that it has not."""
    one, delegate = delegated
    actor, last = one.actor, delegate.last_index
    term = delegate.term
    actor.handlers[DelegatedAppends](DelegatedAppends(delegate.delegation, last + 1, [1, 2], [data(1), data(2)]))
    actor.on_turn_end()
    one.links.sent.clear()
    backend = BackendState(7, ME, 2, last + 1, term, last, CONF_STATE, "3.5.0")
    written = [make_entry(0, term, last + 3, data(3)).encoded]
    wal = WalState(7, METADATA, False, b"", 0, 0, last + 3, written, last + 3, term, ME)
    if first == "backend":
        actor.on_backend_state(backend)
    actor.on_peer_up(Peer("wal", "wal", 0, 9, "ipc://nowhere"))
    hello = [message for _, message in one.links.sent if isinstance(message, WalHello)]
    assert [message.first_index for message in hello] == [last + 3]
    actor.on_wal_state(wal)
    actor.on_turn_end()
    if first == "wal":
        actor.on_backend_state(backend)
        actor.on_turn_end()
    assert handed(one) == {last + 2: data(2), last + 3: data(3)}
