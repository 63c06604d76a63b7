"""Every attack of the table that a member must bear, beside a victim; etcd's figures for comparison.

Only with --long, until no attack is known to disturb the victim: on a busy machine `mutated frames` has made its puts
time out, and `resets` has had them refused with "too many requests", since a call that was reset stays among the calls
in flight until its answer comes.
"""

import pytest

from tests.etcd_process import Etcdz, RealEtcd
from tests.hostile.attack import ATTACKS, REQUESTS
from tests.hostile.conftest import Targets
from tests.hostile.siege import besiege, check


@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS.values()])
def test_a_victim_notices_no_attack(
    name: str, targets: Targets, seed: int, is_long: bool, request: pytest.FixtureRequest
) -> None:
    if not is_long:
        pytest.skip("only with --long")
    attack = ATTACKS[name]
    scale = int(request.config.getoption("--hostile-requests")) if name == REQUESTS else 0
    report = besiege(targets.get(Etcdz), attack, seed, scale, is_long)
    print(f"\n{report.row(name, 'etcdz')}\n  --hostile-seed {seed}", end="")
    if attack.beside and not RealEtcd.why_absent():
        beside = besiege(targets.get(RealEtcd), attack, seed, scale, is_long)
        print(f"\n{beside.row(name, 'etcd')}")
    check(report, attack)
