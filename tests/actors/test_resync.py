"""Every write enters the store exactly once and is answered, whoever dies and in whatever order frames arrive."""

from pathlib import Path

import pytest

from tests.actors.member_world import World

CALM_STEPS = 20_000
# 163: a listener hears of a new raft and of its delegation in one turn.
SEEDS = [0, *[pytest.param(seed, marks=pytest.mark.slow) for seed in (163, *range(1, 5))]]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_write_is_applied_once_and_answered(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path / "member", seed, monkeypatch)
    world.run_until(lambda: world.alive["raft"].actor.summary()["delegated"], CALM_STEPS)
    for _ in range(4_000):
        world.step(may_kill=True, may_put=True)
    world.run_until(lambda: not world.unanswered() and not world.down, CALM_STEPS)
    world.run_until(lambda: world.alive["raft"].actor.summary()["delegated"], CALM_STEPS)
    assert world.deaths > 5
    assert [client.answers for client in world.clients if [answer.code for answer in client.answers] != [0]] == []
    assert world.contents() == {client.key: 1 for client in world.clients}
    world.close()
