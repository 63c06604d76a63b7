"""Few requests that ask for much work: other clients wait a little, and none is refused."""

import pytest

from tests.etcd_process import Etcdz, RealEtcd
from tests.hostile.attack import HEAVY
from tests.hostile.conftest import Targets
from tests.hostile.siege import besiege, check


@pytest.mark.parametrize("name", list(HEAVY))
def test_a_victim_waits_a_little_at_most(name: str, targets: Targets, seed: int, is_long: bool) -> None:
    attack = HEAVY[name]
    report = besiege(targets.get(Etcdz), attack, seed, 0, is_long)
    print(f"\n{report.row(name, 'etcdz')}\n  --hostile-seed {seed}", end="")
    if not RealEtcd.why_absent():
        beside = besiege(targets.get(RealEtcd), attack, seed, 0, is_long)
        print(f"\n{beside.row(name, 'etcd')}")
    check(report, attack)


def test_answers_of_writes_take_no_room_in_the_store(targets: Targets, seed: int) -> None:
    report = besiege(targets.get(Etcdz), HEAVY["writes with answers"], seed, 0, False)
    assert report.attack["db_mib"] < 100
