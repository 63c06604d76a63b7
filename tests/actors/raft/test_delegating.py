"""The delegation as the raft actor carries it out: what goes to the wal, and what enters raft's own log."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from etcdz import limits
from etcdz.api.raft_request import encode_request
from etcdz.ipc.messages import (
    Append,
    Appended,
    Applied,
    Apply,
    BackendState,
    Delegate,
    DelegatedAppends,
    DelegationReturned,
    Leadership,
    Propose,
    RecallDelegation,
    Refused,
    Write,
)
from etcdz.ipc.request_ids import RequestIds
from etcdz.raft import ConfState, codec
from tests.actors.raft.restarted import ME, Restarted, listener, restarted_with

PUT_TAG = b"\x22"


class Delegated(Restarted):
    """The only voter, whose wal has the end of the log."""

    def __init__(self, folder: Path, voters: tuple[int, ...]) -> None:
        super().__init__(folder, voters)
        self.links.peers = [listener(0), listener(1), listener(2)]
        self.greet(leader=ME)
        self.delegated = self.delegate()
        self.last = self.delegated.last_index
        self.ids = [RequestIds(ME, slot, 1_000_000).next for slot in range(3)]

    def offers(self, slot: int, count: int) -> list[tuple[int, bytes]]:
        made = [self.ids[slot]() for _ in range(count)]
        return [(one, encode_request(one, PUT_TAG, b"")) for one in made]

    def write(self, items: list[tuple[int, bytes]]) -> None:
        """The wal has written these."""
        number, first = self.delegated.delegation, self.last + 1
        self.last += len(items)
        ids, data = [item[0] for item in items], [item[1] for item in items]
        self.handle(DelegatedAppends(number, first, ids, data))

    def give_back(self) -> None:
        self.handle(DelegationReturned(self.delegated.delegation))

    def handle(self, message: object) -> None:
        self.actor.handlers[type(message)](message)

    def appended(self) -> list[bytes]:
        """Entries that raft has given the wal itself."""
        return [entry for append in self.links.of_type(Append) for entry in append.entries]


@pytest.fixture
def one() -> Iterator[Delegated]:
    with restarted_with((ME,), Delegated) as made:
        made.links.sent.clear()
        yield made


def test_what_the_wal_has_written_enters_the_log_and_reaches_neither_wal_nor_backend_again(one: Delegated) -> None:
    one.write(one.offers(0, 3))
    one.actor.on_turn_end()
    assert one.actor.storage.last_index() == one.last
    assert one.appended() == [] and one.links.of_type(Apply) == []
    assert one.actor.applies.handed_index == one.last


def test_a_gap_in_what_the_wal_has_written_ends_the_process(one: Delegated) -> None:
    one.last += 1
    with pytest.raises(RuntimeError, match="has written from"):
        one.write(one.offers(0, 1))


def test_a_first_offer_goes_on_to_the_wal_and_is_not_appended(one: Delegated) -> None:
    items = one.offers(0, 2)
    one.handle(Propose(0, items))
    one.handle(Propose(0, items))  # the same again, of whoever offers twice
    one.actor.on_turn_end()
    assert [write.items for write in one.links.of_type(Write)] == [items]
    assert one.appended() == []


def test_what_was_forwarded_and_not_written_is_appended_after_the_end(one: Delegated) -> None:
    items = one.offers(0, 3)
    one.handle(Propose(0, items))
    one.write(items[:1])
    one.give_back()
    one.actor.on_turn_end()
    ends = [entry[-len(data) :] for entry, (_, data) in zip(one.appended(), items[1:], strict=True)]
    assert ends == [data for _, data in items[1:]]


def test_an_offer_made_again_waits_for_the_end_and_enters_only_what_the_log_lacks(one: Delegated) -> None:
    items = one.offers(0, 4)
    one.handle(Propose(0, items, 1))
    assert one.links.of_type(RecallDelegation) == [RecallDelegation(one.delegated.delegation)]
    one.actor.on_turn_end()
    assert one.appended() == []
    one.write(items[:3])
    one.give_back()
    one.actor.on_turn_end()
    (entry,) = one.appended()
    assert entry.endswith(items[3][1])


def test_it_is_delegated_again_when_every_listener_has_answered(one: Delegated) -> None:
    one.handle(Propose(0, one.offers(0, 1), 1))
    one.give_back()
    asked = {name: message for name, message in one.links.sent if isinstance(message, Leadership)}
    assert {asked[f"listener-{number}"].fence for number in (1, 2, 3)} == {one.actor.delegation.fence}
    one.make_durable()
    one.actor.on_applied(Applied(one.actor.applies.handed_index, 0))
    for slot in (0, 1):
        one.handle(Propose(slot, [], one.actor.delegation.fence))
    one.make_durable()
    assert one.links.of_type(Delegate) == []
    one.actor.on_peer_down(listener(2))
    one.make_durable()
    (again,) = one.links.of_type(Delegate)
    assert again.delegation > one.delegated.delegation


def test_it_waits_until_the_backend_is_handed_all_that_is_committed(one: Delegated) -> None:
    one.handle(Propose(0, one.offers(0, 1), 1))
    one.give_back()
    one.actor.on_turn_end()
    for slot in range(3):
        one.handle(Propose(slot, [], one.actor.delegation.fence))
    one.handle(Appended(7, one.links.of_type(Append)[-1].seq, ""))
    node = one.actor.node
    assert node is not None and node.raft.log.committed == node.raft.log.last_index()
    assert one.actor.delegating.advance(node) and one.links.of_type(Delegate) == []
    one.actor.on_turn_end()
    one.actor.on_turn_end()
    kinds = [type(message) for _, message in one.links.sent if isinstance(message, Apply | Delegate)]
    assert kinds == [Apply, Delegate]


def test_a_new_backend_is_handed_by_raft_what_the_wal_wrote_for_the_old_one(one: Delegated) -> None:
    one.write(one.offers(0, 1))
    conf_state = codec.encode_conf_state(ConfState((ME,)))
    one.handle(BackendState(7, ME, 2, one.last - 1, one.delegated.term, 2, conf_state, "3.5.0"))
    late = one.offers(0, 1)
    one.write(late)
    one.actor.on_turn_end()
    handed = [entry for apply in one.links.of_type(Apply) for entry in apply.entries]
    assert len(handed) == 2 and handed[1] == late[0][1]


def test_three_listeners_with_more_unapplied_than_the_window_holds_enter_nothing_twice(one: Delegated) -> None:
    """The backend lags. Each listener has fewer calls than the window has ids, all together have more."""
    each = limits.CALLS_IN_FLIGHT_MAX
    assert each < limits.REQUEST_WINDOW < 3 * each
    unanswered = [one.offers(slot, each) for slot in range(3)]
    for items in unanswered:
        one.write(items)
        one.actor.on_turn_end()
    one.handle(Propose(0, one.offers(0, 1), 1))
    one.give_back()
    for slot, items in enumerate(unanswered):
        one.handle(Propose(slot, items, one.actor.delegation.fence))
    one.actor.on_turn_end()
    assert len(one.appended()) <= 1, "only the offer that was new"
    refused = {request_id for message in one.links.of_type(Refused) for request_id, _ in message.items}
    assert refused.isdisjoint(item[0] for items in unanswered for item in items)


def test_what_was_forgotten_is_refused_with_a_timeout_and_not_entered_again(one: Delegated) -> None:
    """A listener that stood still while another wrote more than the window holds, all of it applied."""
    lost = one.offers(0, 1)
    one.write(lost)
    one.write(one.offers(1, 2 * limits.REQUEST_WINDOW))
    one.handle(Applied(one.last, 0))
    one.actor.on_turn_end()
    one.handle(Propose(0, lost, 1))
    one.give_back()
    one.actor.on_turn_end()
    assert one.links.of_type(Refused) == [Refused([(lost[0][0], "Timeout")])]
    assert one.appended() == []
