"""The clocks against a slow twin that looks at every lease each time, and etcd's rules one by one."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etcdz.lease.clocks import NEVER, RETRY_S, SPREAD_FROM_LEASES, SPREAD_PER_S, Clocks
from tests.examples import examples

EVERY_S = 20.0
EXTEND_S = 1.0


class Twin:
    """id -> [TTL, remaining, expiry, when a revoke was asked for, when a checkpoint is due]."""

    def __init__(self) -> None:
        self.rows: dict[int, list[Any]] = {}
        self.running = False

    def start(self, row: list[Any], now: float, extend_s: float) -> None:
        row[2:] = [now + extend_s + (row[1] or row[0]), None, None]
        self.plan(row, now)

    def plan(self, row: list[Any], now: float) -> None:
        if (row[1] or row[0]) > EVERY_S:
            row[4] = now + EVERY_S

    def grant(self, lease_id: int, ttl_s: int, now: float) -> None:
        if lease_id not in self.rows:
            row = self.rows[lease_id] = [ttl_s, 0, NEVER, None, None]
            if self.running:
                self.start(row, now, 0.0)

    def checkpointed(self, lease_id: int, remaining_s: int, now: float) -> None:
        row = self.rows.get(lease_id)
        if row is not None:
            row[1] = remaining_s
            if self.running:
                self.plan(row, now)

    def promote(self, now: float) -> None:
        self.running = True
        for row in self.rows.values():
            self.start(row, now, EXTEND_S)

    def demote(self) -> None:
        self.running = False
        for row in self.rows.values():
            row[2:] = [NEVER, None, None]

    def run_out(self, now: float) -> set[int]:
        found = set()
        for lease_id, row in self.rows.items():
            if row[2] <= now and (row[3] is None or row[3] + RETRY_S <= now):
                row[3] = now
                found.add(lease_id)
        return found

    def due_checkpoints(self, now: float) -> set[tuple[int, int]]:
        found = set()
        for lease_id, row in self.rows.items():
            if row[4] is not None and row[4] <= now:
                row[4] = None
                left = math.ceil(row[2] - now)
                if row[2] - now > 0 and left < row[0]:
                    found.add((lease_id, left))
        return found


IDS = st.integers(-2, 5).filter(bool)
STEPS = st.one_of(
    st.tuples(st.just("grant"), IDS, st.sampled_from([2, 3, 10, 30, 100])),
    st.tuples(st.just("forget"), IDS, st.none()),
    st.tuples(st.just("renew"), IDS, st.none()),
    st.tuples(st.just("checkpointed"), IDS, st.sampled_from([0, 1, 5, 25])),
    st.tuples(st.just("promote"), st.none(), st.none()),
    st.tuples(st.just("demote"), st.none(), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 2.5, 9.0, 40.0]), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.25, 1.0, 2.5, 9.0, 40.0]), st.none()),
)


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_the_clocks_do_what_the_slow_twin_does(steps: list[tuple[str, Any, Any]]) -> None:
    clocks, twin, now = Clocks(True, EVERY_S), Twin(), 0.0
    clocks.promote(EXTEND_S, now)
    twin.promote(now)
    for verb, which, value in steps:
        clock = clocks.by_id.get(which) if isinstance(which, int) else None
        if verb == "grant":
            clocks.grant(which, value, 0, now)
            twin.grant(which, value, now)
        elif verb == "forget":
            clocks.forget(which)
            twin.rows.pop(which, None)
        elif verb == "renew" and clock is not None and clocks.running and not clock.has_run_out(now):
            clocks.renew(clock, now)
            twin.rows[which][2] = now + twin.rows[which][0]
        elif verb == "checkpointed":
            clocks.checkpointed(which, value, now)
            twin.checkpointed(which, value, now)
        elif verb == "promote":
            clocks.promote(EXTEND_S, now)
            twin.promote(now)
        elif verb == "demote":
            clocks.demote()
            twin.demote()
        elif verb == "wait":
            now += which
        due = clocks.next_due_s()
        found, checkpoints = clocks.run_out(now, 1000), clocks.due_checkpoints(now)
        assert len(found) == len(set(found))
        assert (set(found), set(checkpoints)) == (twin.run_out(now), twin.due_checkpoints(now))
        assert due <= now or not (found or checkpoints), "it has to be asked when something is due"
        assert {i: c.expiry_s for i, c in clocks.by_id.items()} == {i: row[2] for i, row in twin.rows.items()}


def running(leases: int = 0, ttl_s: int = 10) -> Clocks:
    clocks = Clocks()
    for lease_id in range(1, leases + 1):
        clocks.grant(lease_id, ttl_s, 0, 0.0)
    clocks.promote(0.0, 0.0)
    return clocks


def test_a_lease_runs_out_at_its_end_and_not_before() -> None:
    clocks = running(1)
    assert clocks.next_due_s() == 10.0
    assert clocks.run_out(9.999, 100) == []
    assert clocks.run_out(10.0, 100) == [1]


def test_a_revoke_that_does_not_happen_is_asked_for_again() -> None:
    clocks = running(1)
    assert [clocks.run_out(at, 100) for at in (10.0, 12.9, 13.0, 15.9, 16.0)] == [[1], [], [1], [], [1]]


def test_no_more_than_the_limit_run_out_at_a_time() -> None:
    clocks = running(25)
    named = [clocks.run_out(10.0, 10) for _ in range(4)]
    assert [len(each) for each in named] == [10, 10, 5, 0]
    assert len({lease_id for each in named for lease_id in each}) == 25


def test_a_checkpoint_is_what_a_new_leader_starts_with_and_nothing_else() -> None:
    clocks = running(1, 1000)
    clocks.checkpointed(1, 40, 0.0)
    clock = clocks.by_id[1]
    assert clock.expiry_s == 1000.0
    clocks.promote(1.0, 5.0)
    assert clock.expiry_s == 46.0


def test_clocks_that_run_go_on_when_the_backend_tells_all_again() -> None:
    clocks = running(3)
    clocks.renew(clocks.by_id[2], 4.0)
    clocks.grant(9, 10, 0, 4.0)
    assert clocks.replace({1: (10, 0), 2: (10, 0), 9: (77, 0), 4: (5, 0)}, 6.0) == [3]
    assert {i: c.expiry_s for i, c in clocks.by_id.items()} == {1: 10.0, 2: 14.0, 4: 11.0, 9: 83.0}


def test_few_leases_are_not_spread() -> None:
    clocks = running(SPREAD_FROM_LEASES - 1)
    assert {clock.expiry_s for clock in clocks.by_id.values()} == {10.0}


@pytest.mark.parametrize("leases", [SPREAD_FROM_LEASES, 5 * SPREAD_PER_S, 10_000])
def test_many_ends_are_spread_to_what_can_be_revoked(leases: int) -> None:
    ends = sorted(clock.expiry_s for clock in running(leases).by_id.values())
    assert ends[0] == 10.0, "no lease gets less than its time"
    assert ends[SPREAD_PER_S - 1] == 10.0
    # Those that come later in a window are put off by their number over the rate; the last of all by leases / rate.
    assert ends[-1] == pytest.approx(10.0 + leases / SPREAD_PER_S, abs=1.0)
    per_second = [sum(1 for end in ends if at <= end < at + 1) for at in range(11, math.ceil(ends[-1]))]
    assert all(count <= 1000 for count in per_second)


def test_leases_that_come_and_go_leave_nothing_behind() -> None:
    clocks = running()
    for lease_id in range(1, 20_001):
        clocks.grant(lease_id, 9_000_000_000, 0, 0.0)
        clocks.forget(lease_id)
    assert len(clocks._due) < 2_000


def test_ids_in_the_order_of_their_ends() -> None:
    clocks = running()
    for lease_id, ttl_s in [(1, 50), (2, 5), (-3, 20)]:
        clocks.grant(lease_id, ttl_s, 0, 0.0)
    assert clocks.by_expiry() == [2, -3, 1]


def test_a_renewal_after_a_change_of_leaders_may_end_a_lease_earlier() -> None:
    clocks = running(leases=1, ttl_s=2)
    clocks.promote(10.0, 0.0)
    clocks.renew(clocks.by_id[1], 0.5)
    assert (clocks.run_out(2.4, 10), clocks.run_out(2.5, 10)) == ([], [1])
