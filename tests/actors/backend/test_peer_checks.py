"""Checks against other members: what they ask in which order, and what they do about what they find."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from actors.backend.peer_checks import PeerChecks
from etcdz.config import MemberConfig
from etcdz.ipc.messages import Leadership, PeerAnswer, PeerCall, ReadIndex, ReadStates
from etcdz.ipc.request_ids import BACKEND_SLOT
from etcdz.mvcc.hashes import KvHash
from tests.actors.backend.test_data_checks import Log
from tests.actors.recorded_links import RecordedLinks

ME, OTHERS = 11, (12, 13)
LEADS = Leadership(1, 3, ME, 9, None, 9, 9)
OWN = KvHash(77, 3, 9)


class Host:
    """A backend of a member among three, whose own hash is `own`."""

    def __init__(self, **config: Any) -> None:
        self.now = 100.0
        self.own: KvHash | None = OWN
        self.links: Any = RecordedLinks()
        self.log: Any = Log()
        self.raft: Any = SimpleNamespace(applied_index=5)
        self.mvcc: Any = SimpleNamespace(
            state=SimpleNamespace(compact_revision=OWN.revision), compaction=SimpleNamespace(running=False)
        )
        members = [SimpleNamespace(id=member_id) for member_id in (ME, *OTHERS)]
        self.membership: Any = SimpleNamespace(member_id=ME, sorted_members=lambda: members)
        self.blamed: list[int] = []
        self.initial: list[bool] = []
        self.hashed: list[int] = []
        self.config = config

    def begin(self) -> None:
        self.checks = PeerChecks(self, MemberConfig(**self.config), self.hash_at, "backend")

    def hash_at(self, revision: int, done: Callable[[KvHash | None], None]) -> None:
        self.hashed.append(revision)
        done(self.own)

    def raise_corrupt_of(self, member_id: int) -> None:
        self.blamed.append(member_id)

    def end_initial_check(self, is_sound: bool) -> None:
        self.initial.append(is_sound)

    def wait(self) -> None:
        """Until something is due."""
        assert self.checks.next_at is not None
        self.now = self.checks.next_at
        self.checks.work(self.now)

    def asked(self) -> dict[int, PeerCall]:
        """By member: what it was asked."""
        calls = {call.to: call for name, call in self.links.take() if isinstance(call, PeerCall)}
        assert all((call.method, call.path) == ("GET", "/members/hashkv") for call in calls.values())
        return calls

    def answer(self, call: PeerCall, found: int = OWN.hash, compacted: int = OWN.compact_revision) -> None:
        body = b'{"header":{"revision":9},"hash":%d,"compact_revision":%d}' % (found, compacted)
        self.checks.on_peer_answer(PeerAnswer(call.id, 200, body))

    def read_asked(self) -> int:
        [(name, message)] = self.links.take()
        assert (name, type(message), message.slot) == ("raft", ReadIndex, BACKEND_SLOT)
        return int(message.ids[0])

    def texts(self) -> list[str]:
        return [text for _, text, _ in self.log.lines]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Host]]:
    def made(**config: Any) -> Host:
        host = Host(**config)
        monkeypatch.setattr("time.monotonic", lambda: host.now)
        host.begin()
        return host

    yield made


def test_a_start_waits_for_all_others_and_goes_on_if_their_data_is_the_same(make: Callable[..., Host]) -> None:
    host = make()
    host.checks.begin_initial(OWN)
    calls = host.asked()
    assert set(calls) == set(OTHERS)
    assert {call.body for call in calls.values()} == {b'{"revision":9}'}
    host.answer(calls[12])
    assert (host.checks.is_initial, host.initial) == (True, [])
    host.checks.on_peer_answer(PeerAnswer(calls[13].id, 0, b"connection refused"))
    assert (host.checks.is_initial, host.initial) == (False, [True])


def test_a_start_with_other_data_than_another_member_is_refused(make: Callable[..., Host]) -> None:
    host = make()
    host.checks.begin_initial(OWN)
    calls = host.asked()
    host.answer(calls[12], found=78)
    host.answer(calls[13])
    assert host.initial == [False]
    assert host.texts() == ["found different hash values from remote peer"]


def test_a_start_asks_a_new_peer_actor_again_and_does_not_wait_for_ever(make: Callable[..., Host]) -> None:
    host = make()
    host.checks.begin_initial(OWN)
    lost = host.asked()
    host.checks.on_new_peer_actor()
    calls = host.asked()
    host.answer(lost[12], found=78)
    host.answer(calls[12])
    host.wait()
    assert host.initial == [True]
    assert host.now > 107.0


def test_a_member_alone_asks_nobody(make: Callable[..., Host]) -> None:
    host = make()
    host.membership.sorted_members = lambda: [SimpleNamespace(id=ME)]
    host.checks.begin_initial(OWN)
    assert (host.initial, host.links.take()) == ([True], [])


def periodic(make: Callable[..., Host]) -> Host:
    """One whose check has just begun."""
    host = make(corrupt_check_s=10.0)
    host.checks.on_leadership(LEADS)
    host.wait()
    return host


def test_a_leader_asks_the_others_then_reads_and_then_looks_at_itself_again(make: Callable[..., Host]) -> None:
    host = periodic(make)
    assert (host.now, host.hashed) == (110.0, [0])
    calls = host.asked()
    for call in calls.values():
        host.answer(call)
    read_id = host.read_asked()
    host.checks.on_read_states(ReadStates(8, [read_id]))
    assert host.hashed == [0], "not all is applied"
    host.raft.applied_index = 8
    host.wait()
    assert host.hashed == [0, 0]
    assert (host.blamed, host.texts()) == ([], ["finished peer corruption check"])
    assert host.checks.next_at == 120.0


def test_a_follower_with_another_hash_is_blamed(make: Callable[..., Host]) -> None:
    host = periodic(make)
    calls = host.asked()
    host.answer(calls[12])
    host.answer(calls[13], found=78)
    host.checks.on_read_states(ReadStates(5, [host.read_asked()]))
    assert host.blamed == [13]


def test_who_does_not_lead_asks_nobody(make: Callable[..., Host]) -> None:
    host = make(corrupt_check_s=10.0)
    host.checks.on_leadership(LEADS._replace(leader=12, lead_index=0))
    host.wait()
    assert (host.hashed, host.links.take(), host.checks.next_at) == ([], [], 120.0)


def test_a_leader_that_has_lost_its_lead_meanwhile_blames_nobody(make: Callable[..., Host]) -> None:
    host = periodic(make)
    for call in host.asked().values():
        host.answer(call, found=78)
    host.checks.on_leadership(LEADS._replace(leader=12, lead_index=0))
    host.checks.on_read_states(ReadStates(5, [host.read_asked()]))
    assert (host.blamed, host.texts()) == ([], [])


def test_a_read_that_nobody_confirms_ends_the_check_without_a_word(make: Callable[..., Host]) -> None:
    host = periodic(make)
    for call in host.asked().values():
        host.answer(call, found=78)
    read_id = host.read_asked()
    host.wait()
    host.checks.on_read_states(ReadStates(5, [read_id]))
    assert (host.blamed, host.texts(), host.checks.next_at) == ([], [], 120.0)


def compaction(make: Callable[..., Host]) -> Host:
    host = make(compact_hash_check=True, compact_hash_check_s=10.0)
    host.checks.on_leadership(LEADS)
    host.wait()
    return host


def test_the_hash_of_a_compaction_is_compared_once(make: Callable[..., Host]) -> None:
    host = compaction(make)
    assert host.hashed == [OWN.revision]
    calls = host.asked()
    host.answer(calls[12])
    host.answer(calls[13], found=78)
    assert host.blamed == [13]
    host.wait()
    assert host.hashed == [OWN.revision]
    host.mvcc.state.compact_revision += 1
    host.wait()
    assert host.hashed == [OWN.revision, OWN.revision + 1]


def test_the_hash_of_a_compaction_is_compared_again_if_not_all_have_answered(make: Callable[..., Host]) -> None:
    host = compaction(make)
    calls = host.asked()
    host.answer(calls[12])
    host.checks.on_peer_answer(PeerAnswer(calls[13].id, 0, b"connection refused"))
    assert host.blamed == []
    host.wait()
    assert host.hashed == [OWN.revision] * 2


def test_a_hash_over_another_compaction_says_nothing(make: Callable[..., Host]) -> None:
    host = compaction(make)
    calls = host.asked()
    host.answer(calls[12])
    host.answer(calls[13], found=78, compacted=4)
    assert host.blamed == []
    assert host.texts() == ["skipped revision in compaction hash check; was not able to check all peers"]


def test_a_compaction_that_goes_on_is_not_looked_at(make: Callable[..., Host]) -> None:
    host = make(compact_hash_check=True, compact_hash_check_s=10.0)
    host.mvcc.compaction.running = True
    host.checks.on_leadership(LEADS)
    host.wait()
    assert host.hashed == []
