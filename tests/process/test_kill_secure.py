"""One actor after the other comes to its end, under load of clients that come by TLS and are asked who they are.

The load is a user's who may do all of it, without retries. Beside it strangers try what they may not. How users are
known, and three of the actors that end, are the seed's choice. `--long -s` ends each kind of actor in both ways, for
users that are known in each way, and shows how long clients waited at most.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.killing import MEMORY_MAX, End, end_one, table
from tests.process.load import Load
from tests.process.test_kill_actor import SETTLED, channels_of
from tests.process.trial import Trial
from tests.secure_members import SecureEtcdz
from tests.secure_users import WAYS, WRITER, Strangers, Users

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(1_800)]

LISTENER = "listener-1"
OTHERS = ("raft", "wal", "backend", "compactor", "lessor", "peer")
SHORT_ENDS = 3
LONG_ROUNDS = {"kill": 5, "stop": 2}
KINDS = (*OTHERS, "listener")
RULES = "--actor-rules=" + ";".join(f"{kind}:memory-max={MEMORY_MAX},intensity=1000/500s" for kind in KINDS)
"""So many ends in a row would otherwise end the member."""


class SecureTrial(Trial):
    """Its own target is root's."""

    def __init__(self, member: SecureEtcdz, seed: int, users: Users) -> None:
        super().__init__(member, seed)
        self.users = users
        self.address = f"127.0.0.1:{member.client_port}"

    def writers(self, **options: int) -> Load:
        """Without retries, as every load."""
        return self.load(self.users.target(self.address, WRITER), reads=True, long_running=True, **options)


@pytest.fixture(params=range(len(WAYS)))
def trial(request: pytest.FixtureRequest, tmp_path: Path, seed: int, is_long: bool) -> Iterator[SecureTrial]:
    if request.param and not is_long:
        pytest.skip("all ways of being known only with --long")
    users = Users(tmp_path / "pki", WAYS[(seed + request.param) % len(WAYS)])
    member = SecureEtcdz(tmp_path, *users.flags, "--listeners=2", "--snapshot-count=700", RULES)
    request.node.members = [member]
    member.start()
    try:
        made = SecureTrial(member, seed, users)
        users.begin(made.address)
        users.be_root_at(member)
        yield made
    finally:
        member.discard()


def test_no_client_notices_and_nobody_gets_in(trial: SecureTrial, is_long: bool) -> None:
    ends = end_others(trial, is_long)
    trial.users.check(trial.address)
    ends[LISTENER] = end_listener(trial, is_long)
    trial.users.check(trial.address)
    print("\n".join(table(f"{trial.users.way} {name}", found) for name, found in ends.items() if found))
    print(trial.verify())


def end_others(trial: SecureTrial, is_long: bool) -> dict[str, list[End]]:
    actors = trial.actors()
    found: dict[str, list[End]] = {name: [] for name in OTHERS}
    with trial.writers(clients=16, channels=4) as load, Strangers(trial.users, trial.address) as strangers:
        for name, way in plan(trial, is_long):
            trial.random_moment(load, (20, 100), wait_s=SETTLED if is_long else (0, 0.02))
            actors, end = end_one(trial, load, actors, name, way)
            found[name].append(end)
    assert load.errors == [] and strangers.unexpected() == []
    assert strangers.refused
    return found


def plan(trial: SecureTrial, is_long: bool) -> list[tuple[str, str]]:
    """(actor, way of its end), in an order that is the seed's."""
    if not is_long:
        return [(name, "kill") for name in trial.random.sample(OTHERS, SHORT_ENDS)]
    ends = [(name, way) for way, count in LONG_ROUNDS.items() for name in OTHERS for _ in range(count)]
    trial.random.shuffle(ends)
    return ends


def end_listener(trial: SecureTrial, is_long: bool) -> list[End]:
    """Only its own connections end; their clients come back with the same tokens, and none is let in who may not."""
    ways = [way for way, count in LONG_ROUNDS.items() for _ in range(count)] if is_long else ["kill"]
    actors, ends = trial.actors(), []
    for way in ways:
        with Strangers(trial.users, trial.address) as strangers:
            with trial.writers(clients=16, channels=8) as load:
                trial.random_moment(load, (20, 100), wait_s=SETTLED)
                own = channels_of(load, actors[LISTENER]["pid"])
                actors, end = end_one(trial, load, actors, LISTENER, way)
                ends.append(end)
        hit = {client.channel_number for client in load.clients if any(op.code is not None for op in client.ops)}
        assert hit <= own, "errors on connections of the other listener"
        assert {op.code.name for op in load.errors if op.code} <= {"UNAVAILABLE", "CANCELLED"}
        assert strangers.unexpected(connection_lost=True) == []
    return ends
