"""Three members through the real actors: whoever dies, and whatever is lost between them, a write is applied once."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from actors.raft import forwarding
from actors.raft.outgoing import Outgoing
from actors.raft.proposals import Proposals
from etcdz.ipc.messages import Propose
from etcdz.proto import etcdserverpb as pb
from etcdz.raft import RawNode
from etcdz.store import received
from tests.actors.cluster_world import ClusterWorld
from tests.actors.member_world import Client, Killed

STEPS_MAX = 60_000


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClusterWorld]:
    made = ClusterWorld(tmp_path, 1, monkeypatch)
    yield made
    made.close()


def put_everywhere(cluster: ClusterWorld) -> None:
    for world in cluster.members:
        world.now = cluster.now
        world.put()


def is_answered(cluster: ClusterWorld) -> bool:
    return not any(world.unanswered() for world in cluster.members)


def test_three_members_elect_one_and_take_writes_at_each(cluster: ClusterWorld) -> None:
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    put_everywhere(cluster)
    cluster.run_until(lambda: is_answered(cluster), STEPS_MAX)
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    contents = [world.contents() for world in cluster.members]
    assert contents[0] == contents[1] == contents[2] == dict.fromkeys(contents[0], 1) and len(contents[0]) == 3


def faults(cluster: ClusterWorld) -> None:
    """Something else befalls the network."""
    random, network = cluster.random, cluster.network
    network.lost_of_thousand = random.choice((0, 0, 30, 200))
    pairs = [(a, b) for a in range(3) for b in range(3) if a != b]
    alone = random.randrange(3)
    isolated = {pair for pair in pairs if alone in pair}
    network.cut = random.choice((set(), set(), isolated, {random.choice(pairs)}))


def is_done(client: Client) -> bool:
    return bool(client.answers) and client.answers[0].code == 0


def read_somewhere(cluster: ClusterWorld) -> list[Client]:
    """Of the newest writes that were acknowledged, by whichever member, one at any."""
    clients = [client for world in cluster.members for client in world.clients[-3:] if is_done(client)]
    world = cluster.random.choice(cluster.members)
    return [world.read(cluster.random.choice(clients).key)] if clients else []


def check(cluster: ClusterWorld) -> None:
    """Nothing is lost or doubled by a few seconds of faults. Closes the cluster."""
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    reads: list[Client] = []
    for number in range(6_000):
        if number % 500 == 0:
            faults(cluster)
        cluster.step(may_kill=True, may_put=number % 20 == 0)
        if number % 30 == 0:
            reads += read_somewhere(cluster)
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    put_everywhere(cluster)
    last = [world.clients[-1] for world in cluster.members]
    cluster.run_until(lambda: all(client.answers for client in last), STEPS_MAX)
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    contents = [world.contents() for world in cluster.members]
    clients = [client for world in cluster.members for client in world.clients]
    deaths = sum(world.deaths for world in cluster.members)
    cluster.close()
    answers = [read.answers[0] for read in reads if read.answers]
    found = [pb.RangeResponse.FromString(answer.body).count for answer in answers if answer.code == 0]
    assert set(found) <= {1}, "a write that was acknowledged is not seen by a read that began afterwards"
    assert contents[0] == contents[1] == contents[2]
    assert set(contents[0].values()) == {1}, "a write was applied twice"
    done = {client.key for client in clients if is_done(client)}
    assert done <= set(contents[0]), "a write that was acknowledged is lost"
    assert all(len(client.answers) <= 1 for client in clients)
    assert done and deaths > 3


@pytest.mark.slow
def test_a_leader_whose_raft_is_killed_leads_on_in_the_next_term(cluster: ClusterWorld) -> None:
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    place = cluster.leader()
    assert place is not None
    term = cluster.raft(place).leadership.known.term
    for _ in range(3):
        cluster.members[place].kill("raft")
        cluster.run_until(cluster.is_settled, STEPS_MAX)
        term += 1
        assert (cluster.leader(), cluster.raft(place).leadership.known.term) == (place, term)


@pytest.mark.parametrize(
    "actor", [*[pytest.param(name, marks=pytest.mark.slow) for name in ("peer", "wal")], "backend"]
)
def test_no_election_comes_of_the_end_of_another_actor(actor: str, cluster: ClusterWorld) -> None:
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    before = [cluster.raft(place).leadership.known.term for place in range(3)]
    for world in cluster.members:
        world.kill(actor)
        cluster.run_until(cluster.is_settled, STEPS_MAX)
    put_everywhere(cluster)
    cluster.run_until(lambda: is_answered(cluster), STEPS_MAX)
    assert [cluster.raft(place).leadership.known.term for place in range(3)] == before


@pytest.mark.slow
@pytest.mark.parametrize("actor", ["peer", "raft"])
def test_clients_of_the_others_do_not_notice_the_end_of_an_actor_of_the_leaders(
    actor: str, cluster: ClusterWorld
) -> None:
    """What they have forwarded, and what is on its way, is lost or not: all of it is answered in time, and once."""
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    for _ in range(6):
        place = cluster.leader()
        assert place is not None
        put_everywhere(cluster)
        for _ in range(cluster.random.randint(0, 60)):
            cluster.step(may_kill=False, may_put=True)
        cluster.members[place].kill(actor)
        cluster.network.break_streams(place)
        cluster.run_until(cluster.is_settled, STEPS_MAX)
    cluster.run_until(lambda: is_answered(cluster), STEPS_MAX)
    clients = [client for world in cluster.members for client in world.clients]
    assert [answer.code for client in clients for answer in client.answers] == [0] * len(clients)
    assert cluster.members[0].contents() == {client.key: 1 for client in clients}


@pytest.mark.slow
def test_a_cluster_that_holds_members_of_etcd_applies_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = ClusterWorld(tmp_path, 3, monkeypatch)
    cluster.network.like_etcd = {0}
    check(cluster)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        slow = range(1, 100 if metafunc.config.getoption("--long") else 2)
        metafunc.parametrize("seed", [0, *[pytest.param(seed, marks=pytest.mark.slow) for seed in slow]])


def test_whoever_dies_no_write_is_lost_or_applied_twice(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(ClusterWorld(tmp_path, seed, monkeypatch))


class Renames:
    """In place of the step by which received stores change their names: one in `chance` kills who takes it.

    taken: how many were
    """

    def __init__(self, patch: pytest.MonkeyPatch, chance: random.Random) -> None:
        self._move, self._random = received._move, chance
        self.taken = 0
        patch.setattr(received, "_move", self._step)

    def _step(self, source: Path, target: Path) -> None:
        if self._random.random() < 0.2:
            raise Killed
        self._move(source, target)
        self.taken += target.name == "leveldb"


def with_snapshots(tmp_path: Path, seed: int, patch: pytest.MonkeyPatch) -> tuple[ClusterWorld, Renames]:
    """A cluster whose logs are short, so that who was away is sent a snapshot."""
    cluster = ClusterWorld(tmp_path, seed, patch, snapshot_count=10, catch_up_entries=2)
    return cluster, Renames(patch, cluster.random)


@pytest.mark.slow
def test_whoever_dies_in_whichever_step_of_a_snapshots_way_nothing_is_lost(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, renames = with_snapshots(tmp_path, seed, monkeypatch)
    leave_behind(cluster)
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    assert renames.taken
    check(cluster)


def leave_behind(cluster: ClusterWorld) -> None:
    """One is cut off until the leader's log does not reach back to its end."""
    cluster.run_until(cluster.is_settled, STEPS_MAX)
    leader = cluster.leader()
    assert leader is not None
    alone = (leader + 1) % 3
    cluster.network.cut = {(a, b) for a in range(3) for b in range(3) if a != b and alone in (a, b)}
    for number in range(STEPS_MAX):
        if cluster.raft(leader).storage.first_index() > cluster.raft(alone).storage.last_index() + 1:
            return
        cluster.step(may_kill=False, may_put=number % 4 == 0)
    raise AssertionError("the leader's log is never cut")


def take_whatever_is_not_known(proposals: Proposals, message: Propose) -> None:
    """Without asking whether the peer actor has lived since it was offered first."""
    if not proposals._peer_actor:
        proposals._doubtful.append(message)
    else:
        proposals.take(message)


def take_repetitions_unseen(node: RawNode, request_ids: Iterable[int], since: int) -> set[int]:
    return set(request_ids)


PLANTED = {
    "an offer that is made again is taken for new": (Proposals, "_on_repeated", Proposals.take),
    "a peer actor that has not lived since counts as a witness": (
        Proposals,
        "_on_repeated",
        take_whatever_is_not_known,
    ),
    "what leaves is not remembered": (Outgoing, "remember", lambda outgoing, ids: None),
    "a leader does not look whether it has a repetition": (forwarding, "absent_from", take_repetitions_unseen),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", PLANTED)
def test_a_bug_that_doubles_writes_is_noticed(bug: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*PLANTED[bug])
    with pytest.raises(AssertionError, match="applied twice"):
        for seed in range(20):
            check(ClusterWorld(tmp_path / str(seed), seed, monkeypatch))
