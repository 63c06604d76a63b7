"""The lessor's rules: whom it answers when, what it proposes, and what restarts of the others change."""

from itertools import count
from typing import Any

import pytest

from etcdz.lease.clocks import RETRY_S, Clocks
from etcdz.lease.lessor import GONE, GRANTED, REMAINS, REVOKES_AT_ONCE, SWEEP_S, Leader, Lessor, Verdict
from etcdz.lease.question import CLOCK, KEEP_ALIVE, LEASES, NOT_KNOWN, PEERS, TIME_TO_LIVE, Question
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import leasepb

IDENTITY = (11, 12)
SLOT = 3


class Desk:
    """A lessor, and what it hands out."""

    def __init__(self, checkpoints: bool = False) -> None:
        ids = count(1000).__next__
        self.lessor = Lessor(Clocks(checkpoints, 20.0), ids, extend_s=1.0, hold_s=7.0)
        self.numbers = count(1).__next__

    def serve(self, leases: dict[int, tuple[int, int]] | None = None, now: float = 0.0) -> "Desk":
        """From the start to where it leads alone, at term 2."""
        self.lessor.on_backend_lost()
        self.lessor.on_leader(Leader(2, 5, True), now)
        self.table(leases or {}, now)
        return self

    def table(self, leases: dict[int, tuple[int, int]], now: float) -> int:
        asked, self.lessor.ask_table = self.lessor.ask_table, None
        assert asked is not None
        self.lessor.on_table(asked, IDENTITY, 1, leases, now)
        return asked

    def ask(self, method: int, lease_id: int, now: float, revision: int = 1) -> int:
        number = self.numbers()
        self.lessor.on_calls(SLOT, revision, [(number, method, lease_id)], now)
        return number

    def answers(self) -> dict[int, bytes]:
        answers, self.lessor.answers = self.lessor.answers, {}
        assert set(answers) <= {SLOT}
        return dict(answers.get(SLOT, []))

    def ttl(self, number: int) -> int | None:
        """Of the answer to a keep-alive; None if it waits."""
        body = self.answers().get(number)
        return None if body is None else pb.LeaseKeepAliveResponse.FromString(body).TTL

    def events(self, *events: tuple[int, int, int], now: float) -> None:
        self.lessor.on_events(1, events, now)

    def proposed(self) -> list[Any]:
        """What was proposed, by name of the request: ids of revokes, checkpoints as pairs."""
        proposals, self.lessor.proposals = self.lessor.proposals, []
        found: list[Any] = []
        for request_id, data in proposals:
            request = pb.InternalRaftRequest.FromString(data)
            assert request_id == request.header.ID
            if request.HasField("lease_revoke"):
                found.append(request.lease_revoke.ID)
            else:
                found += [(each.ID, each.remaining_TTL) for each in request.lease_checkpoint.checkpoints]
        return found

    def sweep(self, now: float) -> list[Any]:
        self.lessor.sweep(now)
        return self.proposed()

    def confirm(self, now: float, read_index: int = 0) -> None:
        """Raft and the backend say what the round that is due needs."""
        confirmation = self.lessor.confirmation
        confirmation.begin(now)
        assert confirmation.ask_index is not None
        self.lessor.on_index([confirmation.ask_index], read_index, now)
        if confirmation.ask_applied is not None:
            asked, confirmation.ask_applied = confirmation.ask_applied, None
            self.lessor.on_news(0, asked, now)


def test_a_keep_alive_is_answered_at_once_with_the_ttl_and_the_listeners_revision() -> None:
    desk = Desk().serve({7: (10, 0)})
    number = desk.ask(KEEP_ALIVE, 7, 4.0, revision=42)
    answer = pb.LeaseKeepAliveResponse.FromString(desk.answers()[number])
    header = pb.ResponseHeader(cluster_id=11, member_id=12, revision=42, raft_term=2)
    assert answer == pb.LeaseKeepAliveResponse(header=header, ID=7, TTL=10)
    assert desk.lessor.clocks.by_id[7].expiry_s == 14.0


def test_nothing_is_answered_before_leader_and_table_are_known() -> None:
    desk = Desk()
    number = desk.ask(KEEP_ALIVE, 7, 0.0)
    desk.lessor.on_backend_lost()
    assert desk.table({7: (10, 0)}, 1.0) == 0
    assert desk.answers() == {}
    desk.lessor.on_leader(Leader(2, 5, True), 2.0)
    assert desk.answers() == {}, "not before the backend has applied what this term begins with"
    assert desk.table({7: (10, 0)}, 3.0) == 5
    assert desk.ttl(number) == 10


def test_a_table_that_was_asked_for_before_does_not_start_the_clocks() -> None:
    desk = Desk()
    desk.lessor.on_backend_lost()
    desk.lessor.on_leader(Leader(2, 5, True), 0.0)
    desk.lessor.on_table(0, IDENTITY, 1, {7: (10, 0)}, 0.0)
    assert not desk.lessor.clocks.running


def test_a_lease_gets_its_time_and_the_election_timeout_from_a_new_leader() -> None:
    desk = Desk().serve({7: (10, 0), 8: (1000, 300)})
    assert [desk.lessor.clocks.by_id[lease_id].expiry_s for lease_id in (7, 8)] == [11.0, 301.0]


def test_a_lease_that_has_run_out_is_not_saved_and_its_keep_alive_waits_for_the_end() -> None:
    desk = Desk().serve({7: (10, 0)})
    assert desk.sweep(10.9) == []
    assert desk.sweep(11.0) == [7]
    number = desk.ask(KEEP_ALIVE, 7, 11.1)
    assert desk.answers() == {}
    desk.events((GONE, 7, 0), now=11.2)
    assert desk.ttl(number) == 0


def test_a_keep_alive_of_an_unknown_lease_is_decided_by_what_the_backend_knows() -> None:
    desk = Desk().serve()
    numbers = [desk.ask(KEEP_ALIVE, lease_id, 1.0) for lease_id in (5, 6)]
    assert desk.lessor.ask_news == 1, "one question for both"
    desk.lessor.ask_news = None
    desk.events((GRANTED, 6, 10), now=1.1)
    assert desk.answers() == {}
    desk.lessor.on_news(1, 0, 1.2)
    answers = {number: pb.LeaseKeepAliveResponse.FromString(body).TTL for number, body in desk.answers().items()}
    assert answers == dict(zip(numbers, (0, 10), strict=True))


def test_a_question_that_comes_after_the_backend_was_asked_waits_for_the_next_answer() -> None:
    desk = Desk().serve()
    desk.ask(KEEP_ALIVE, 5, 1.0)
    desk.lessor.ask_news = None  # sent
    late = desk.ask(KEEP_ALIVE, 6, 1.1)
    desk.lessor.on_news(1, 0, 1.2)
    assert late not in desk.answers()
    desk.lessor.on_news(2, 0, 1.3)
    assert desk.ttl(late) == 0


def test_revokes_are_rate_limited_and_repeated_under_the_same_id() -> None:
    desk = Desk().serve(dict.fromkeys(range(1, 751), (10, 0)))
    first = desk.sweep(11.0)
    assert len(first) == REVOKES_AT_ONCE == 500
    assert desk.sweep(11.0 + SWEEP_S / 2) == []
    assert desk.lessor.next_sweep_s() == pytest.approx(11.0 + SWEEP_S)
    second = desk.sweep(11.125)
    assert len(second) == 125, "as many as a thousand a second allows"
    rest = desk.sweep(11.5)
    assert len({*first, *second, *rest}) == 750
    desk.events(*((GONE, lease_id, 0) for lease_id in range(2, 751)), now=11.6)
    assert desk.sweep(11.0 + RETRY_S) == [1]
    assert len(desk.lessor._offers) == 1, "the same offer, so that the log takes it once"


def test_a_refused_revoke_is_offered_again_with_a_later_sweep() -> None:
    desk = Desk().serve({1: (10, 0)})
    assert desk.sweep(11.0) == [1]
    desk.lessor.on_refused(list(desk.lessor._offers))
    assert desk.lessor.next_sweep_s() == pytest.approx(11.1)
    assert desk.sweep(11.2) == [1]


def test_a_new_raft_is_offered_what_is_unanswered_and_clocks_of_the_only_voter_go_on() -> None:
    desk = Desk().serve({1: (10, 0), 2: (20, 0)})
    desk.sweep(11.0)
    desk.lessor.on_no_leader(now=11.5)
    number = desk.ask(KEEP_ALIVE, 2, 12.0)
    assert desk.answers() == {}
    assert desk.sweep(12.0) == [], "nobody to propose to"
    desk.lessor.offer_again()
    assert desk.proposed() == [1]
    desk.lessor.on_leader(Leader(3, 9, True), 12.5)
    assert desk.ttl(number) == 20
    assert desk.lessor.clocks.by_id[2].expiry_s == 32.5
    assert desk.lessor.ask_table is None


def test_a_keep_alive_that_came_in_time_is_not_too_late_because_there_was_no_leader() -> None:
    desk = Desk().serve({1: (10, 0)})
    desk.lessor.on_no_leader(now=10.0)
    number = desk.ask(KEEP_ALIVE, 1, 10.5)
    desk.lessor.on_leader(Leader(3, 9, True), 14.0)
    assert desk.ttl(number) == 10
    assert desk.sweep(14.1) == []


def test_clocks_stand_while_another_leads_and_start_anew_when_this_one_does_again() -> None:
    desk = Desk().serve({1: (10, 0)})
    desk.sweep(11.0)
    number = desk.ask(KEEP_ALIVE, 1, 11.0)
    desk.lessor.on_other_leader(3, 99, now=12.0)
    assert desk.sweep(99.0) == []
    desk.lessor.on_leader(Leader(5, 30, False), 100.0)
    assert desk.table({1: (10, 0)}, 100.5) == 30
    desk.confirm(100.5)
    assert desk.ttl(number) == 10
    assert desk.lessor.clocks.by_id[1].expiry_s == 110.5


def test_without_being_the_only_voter_a_new_term_is_a_new_start() -> None:
    desk = Desk().serve({1: (10, 0)})
    desk.lessor.on_no_leader(now=4.0)
    desk.lessor.on_leader(Leader(3, 9, False), 5.0)
    number = desk.ask(KEEP_ALIVE, 1, 5.0)
    assert desk.answers() == {}
    desk.table({1: (10, 0)}, 6.0)
    desk.confirm(6.0)
    assert desk.ttl(number) == 10
    assert desk.lessor.clocks.by_id[1].expiry_s == 16.0


def test_a_new_backend_tells_what_is_gone_and_clocks_go_on() -> None:
    desk = Desk().serve({1: (10, 0), 2: (10, 0), 3: (10, 0)})
    desk.sweep(11.0)
    dead, unknown = desk.ask(KEEP_ALIVE, 1, 11.0), desk.ask(KEEP_ALIVE, 9, 11.0)
    desk.lessor.on_backend_lost()
    late = desk.ask(KEEP_ALIVE, 3, 11.0)
    assert desk.answers() == {}
    desk.table({2: (10, 0), 9: (30, 0)}, 12.0)
    answers = {number: pb.LeaseKeepAliveResponse.FromString(body).TTL for number, body in desk.answers().items()}
    assert answers == {unknown: 30}
    assert desk.lessor.ask_news is not None
    desk.lessor.on_news(desk.lessor.ask_news, 0, 12.1)
    answers = {number: pb.LeaseKeepAliveResponse.FromString(body).TTL for number, body in desk.answers().items()}
    assert answers == {dead: 0, late: 0}


def test_a_checkpoint_that_counts_is_cleared_before_a_renewal_is_promised() -> None:
    desk = Desk(checkpoints=True).serve({1: (100, 30)})
    numbers = [desk.ask(KEEP_ALIVE, 1, 5.0), desk.ask(KEEP_ALIVE, 1, 5.1)]
    assert desk.answers() == {}
    assert desk.proposed() == [(1, 0)]
    desk.events((REMAINS, 1, 0), now=6.0)
    assert sorted(desk.answers()) == numbers
    assert desk.lessor.clocks.by_id[1].expiry_s == 106.0


def test_without_checkpoints_enabled_an_old_one_is_left_alone() -> None:
    desk = Desk().serve({1: (100, 30)})
    assert desk.ttl(desk.ask(KEEP_ALIVE, 1, 5.0)) == 100
    assert desk.proposed() == []


def test_what_is_left_of_long_leases_is_written_down() -> None:
    desk = Desk(checkpoints=True).serve({1: (100, 0), 2: (15, 0)})
    assert desk.lessor.next_sweep_s() == 15.0, "lease 2 has until 16, but a renewal now may end it at 15"
    assert desk.sweep(20.0) == [2, (1, 81)]
    desk.events((REMAINS, 1, 81), now=20.5)
    assert desk.sweep(40.4) == [2]
    assert desk.sweep(40.5) == [(1, 61)]


def test_time_to_live_is_what_is_left_in_whole_seconds() -> None:
    desk = Desk().serve({1: (10, 0)})
    numbers = [desk.ask(TIME_TO_LIVE, 1, 0.0), desk.ask(TIME_TO_LIVE, 1, 2.5), desk.ask(TIME_TO_LIVE, 2, 2.5)]
    answers = desk.answers()
    assert [CLOCK.unpack(answers[number]) for number in numbers] == [(1, 11), (1, 8), (2, NOT_KNOWN)]


def test_all_leases_in_the_order_of_their_ends_even_without_a_leader() -> None:
    desk = Desk().serve({1: (10, 0), -2: (5, 0)})
    desk.lessor.on_no_leader(now=0.0)
    number = desk.ask(LEASES, 0, 1.0)
    body = desk.answers()[number]
    assert [int.from_bytes(body[at : at + 8], "big", signed=True) for at in (0, 8)] == [-2, 1]


def test_who_has_waited_too_long_is_forgotten() -> None:
    desk = Desk()
    desk.ask(KEEP_ALIVE, 1, 0.0)
    desk.ask(KEEP_ALIVE, 1, 7.5)
    assert desk.lessor.summary()["held"] == 1


# ---- with other voters ----


def leading(leases: dict[int, tuple[int, int]]) -> Desk:
    """A lessor whose member leads others, at term 4, with leases of the time 0."""
    desk = Desk()
    desk.lessor.on_backend_lost()
    desk.lessor.on_leader(Leader(4, 5, False), 0.0)
    desk.table(leases, 0.0)
    return desk


def following(leases: dict[int, tuple[int, int]], leader: int = 99) -> Desk:
    desk = Desk()
    desk.lessor.on_backend_lost()
    desk.table(leases, 0.0)
    desk.lessor.on_other_leader(4, leader, 0.0)
    return desk


def test_a_leader_of_others_answers_when_it_is_certain_that_it_leads() -> None:
    desk = leading({7: (10, 0)})
    number = desk.ask(KEEP_ALIVE, 7, 4.0)
    assert desk.answers() == {}
    desk.confirm(4.1)
    assert desk.ttl(number) == 10


def test_a_keep_alive_waits_until_the_backend_has_applied_what_was_committed_when_it_came() -> None:
    desk = leading({})
    number = desk.ask(KEEP_ALIVE, 7, 4.0)
    confirmation = desk.lessor.confirmation
    confirmation.begin(4.0)
    assert confirmation.ask_index is not None
    desk.lessor.on_index([confirmation.ask_index], 9, 4.1)
    assert desk.answers() == {}
    assert confirmation.ask_applied == 9
    desk.events((GRANTED, 7, 10), now=4.2)
    desk.lessor.on_news(0, 9, 4.2)
    assert desk.ttl(number) == 10


def test_a_lease_that_is_not_there_when_all_is_applied_has_no_time() -> None:
    desk = leading({})
    number = desk.ask(KEEP_ALIVE, 7, 4.0)
    desk.confirm(4.1, read_index=9)
    assert desk.ttl(number) == 0
    assert desk.lessor.ask_news is None


def test_leases_end_only_by_a_leader_that_is_certain_and_in_its_own_term() -> None:
    desk = leading({7: (10, 0)})
    assert desk.sweep(11.0) == []
    desk.confirm(11.1)
    assert desk.proposed() == [7]
    assert desk.lessor.proposal_term == 4


def test_a_leader_that_was_paused_and_has_lost_its_lead_proposes_nothing() -> None:
    desk = leading({7: (10, 0)})
    assert desk.sweep(30.0) == []
    desk.lessor.confirmation.begin(30.0)
    desk.lessor.on_other_leader(6, 99, 30.1)
    desk.lessor.on_index([1000], 12, 30.2)
    assert desk.proposed() == []
    assert desk.sweep(40.0) == []


def test_what_waits_for_certainty_goes_to_the_new_leader() -> None:
    desk = leading({7: (10, 0)})
    number = desk.ask(KEEP_ALIVE, 7, 4.0)
    desk.lessor.confirmation.begin(4.0)
    desk.lessor.on_no_leader(4.1)
    desk.lessor.on_other_leader(6, 99, 4.2)
    [request] = desk.lessor.forwarding.requests
    body = pb.LeaseKeepAliveResponse(ID=7, TTL=10).SerializeToString()
    desk.lessor.on_leader_answer(request.number, 200, body, 4.3)
    assert desk.ttl(number) == 10


@pytest.mark.parametrize("progress", ["waits", "raft is asked", "the backend is asked"])
def test_what_waits_for_certainty_is_answered_when_the_others_are_gone(progress: str) -> None:
    """While a change of the members is under way the only voter may not be it for a moment."""
    desk = leading({7: (10, 0)})
    number = desk.ask(KEEP_ALIVE, 7, 4.0)
    confirmation = desk.lessor.confirmation
    if progress != "waits":
        confirmation.begin(4.0)
        assert confirmation.ask_index is not None
    if progress == "the backend is asked":
        desk.lessor.on_index([confirmation.ask_index or 0], 9, 4.1)
        assert confirmation.ask_applied == 9
    assert desk.answers() == {}
    desk.lessor.on_leader(Leader(4, 5, True), 4.2)
    assert desk.ttl(number) == 10


def test_a_keep_alive_that_waits_for_a_revoke_goes_to_the_new_leader() -> None:
    desk = leading({7: (10, 0)})
    desk.sweep(11.0)
    desk.confirm(11.0)
    desk.ask(KEEP_ALIVE, 7, 11.1)
    desk.confirm(11.2)
    assert desk.answers() == {}
    desk.lessor.on_other_leader(6, 99, 11.3)
    assert [request.to for request in desk.lessor.forwarding.requests] == [99]


def test_a_raft_that_leads_again_in_a_new_term_begins_the_clocks_anew_and_forgets_its_revokes() -> None:
    desk = leading({7: (10, 0)})
    desk.sweep(11.0)
    desk.confirm(11.0)
    assert desk.proposed() == [7]
    desk.lessor.on_no_leader(11.1)
    desk.lessor.offer_again()
    assert desk.proposed() == [], "it was for the term before"
    desk.lessor.on_leader(Leader(5, 8, False), 11.4)
    desk.table({7: (10, 0)}, 11.5)
    assert desk.lessor.clocks.by_id[7].expiry_s == 22.5
    number = desk.ask(KEEP_ALIVE, 7, 12.0)
    desk.confirm(12.0)
    assert desk.ttl(number) == 10


def test_a_follower_answers_with_its_own_header() -> None:
    desk = following({7: (10, 0)})
    number = desk.ask(KEEP_ALIVE, 7, 4.0, revision=42)
    [request] = desk.lessor.forwarding.requests
    body = pb.LeaseKeepAliveResponse(ID=7, TTL=10).SerializeToString()
    desk.lessor.on_leader_answer(request.number, 200, body, 4.1)
    header = pb.ResponseHeader(cluster_id=11, member_id=12, revision=42, raft_term=4)
    expected = pb.LeaseKeepAliveResponse(header=header, ID=7, TTL=10)
    assert pb.LeaseKeepAliveResponse.FromString(desk.answers()[number]) == expected


@pytest.mark.parametrize(("revision", "shown"), [(0, 42), (50, 50)])
def test_a_follower_gives_the_leaders_answer_to_time_to_live(revision: int, shown: int) -> None:
    desk = following({})
    number = desk.ask(TIME_TO_LIVE, 7, 4.0, revision=42)
    [request] = desk.lessor.forwarding.requests
    told = pb.LeaseTimeToLiveResponse(header=pb.ResponseHeader(revision=revision), ID=7, TTL=5, grantedTTL=10)
    body = leasepb.LeaseInternalResponse(LeaseTimeToLiveResponse=told).SerializeToString()
    desk.lessor.on_leader_answer(request.number, 200, body, 4.1)
    [(answered, answer)] = desk.lessor.final[SLOT]
    header = pb.ResponseHeader(cluster_id=11, member_id=12, revision=shown, raft_term=4)
    told.header.CopyFrom(header)
    assert (answered, pb.LeaseTimeToLiveResponse.FromString(answer)) == (number, told)


def test_a_lease_that_the_leader_does_not_know() -> None:
    desk = following({})
    renewal, time = desk.ask(KEEP_ALIVE, 7, 4.0), desk.ask(TIME_TO_LIVE, 7, 4.0)
    for request in desk.lessor.forwarding.requests:
        desk.lessor.on_leader_answer(request.number, 404, b"lease not found\n", 4.1)
    assert desk.ttl(renewal) == 0
    [(answered, body)] = desk.lessor.final[SLOT]
    assert (answered, pb.LeaseTimeToLiveResponse.FromString(body).TTL) == (time, -1)


def test_a_follower_lists_leases_by_itself() -> None:
    desk = following({7: (10, 0)})
    number = desk.ask(LEASES, 0, 4.0)
    assert desk.answers() == {number: (7).to_bytes(8, "big")}
    assert desk.lessor.forwarding.requests == []


def test_other_members_are_refused_by_who_does_not_lead() -> None:
    desk = following({7: (10, 0)})
    question = Question(PEERS, 70, KEEP_ALIVE, 7, 4.0)
    desk.lessor.on_peer_question(question, 4.0)
    assert desk.lessor.verdicts == [Verdict(question, None)]


def test_other_members_are_answered_by_a_leader_that_is_certain() -> None:
    desk = leading({7: (10, 0)})
    questions = [Question(PEERS, 70, KEEP_ALIVE, 7, 4.0), Question(PEERS, 71, TIME_TO_LIVE, 7, 4.0)]
    questions += [Question(PEERS, 72, KEEP_ALIVE, 8, 4.0), Question(PEERS, 73, TIME_TO_LIVE, 8, 4.0)]
    for question in questions:
        desk.lessor.on_peer_question(question, 4.0)
    assert desk.lessor.verdicts == []
    desk.confirm(4.1)
    assert [verdict.seconds for verdict in desk.lessor.verdicts] == [10, 10, 0, NOT_KNOWN]


def test_another_members_keep_alive_that_waits_for_a_revoke_is_refused_when_the_lead_is_lost() -> None:
    desk = leading({7: (10, 0)})
    desk.sweep(11.0)
    desk.confirm(11.0)
    question = Question(PEERS, 70, KEEP_ALIVE, 7, 11.1)
    desk.lessor.on_peer_question(question, 11.1)
    desk.confirm(11.2)
    assert desk.lessor.awaits_revoke(7)
    desk.lessor.on_other_leader(6, 99, 11.3)
    assert desk.lessor.verdicts == [Verdict(question, None)]


def test_a_follower_that_does_not_know_who_it_is_asks_nobody_until_it_does() -> None:
    desk = Desk()
    desk.lessor.on_backend_lost()
    desk.lessor.on_other_leader(4, 99, 0.0)
    desk.ask(KEEP_ALIVE, 7, 0.5)
    assert desk.lessor.forwarding.requests == []
    desk.table({}, 1.0)
    assert [request.to for request in desk.lessor.forwarding.requests] == [99]
