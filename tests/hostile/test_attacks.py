"""Every attack of the table that a member must bear, beside a victim. With --long a real etcd is attacked as well.

The rows of figures are in the summary at the end.
"""

from collections.abc import Callable

import pytest

from tests.etcd_process import Etcdz, RealEtcd
from tests.hostile.attack import ALL, REQUESTS
from tests.hostile.conftest import Targets
from tests.hostile.siege import check


@pytest.mark.parametrize("name", list(ALL))
def test_a_victim_notices_no_attack(
    name: str,
    targets: Targets,
    seed: int,
    is_long: bool,
    show: Callable[[str], None],
    request: pytest.FixtureRequest,
) -> None:
    attack = ALL[name]
    scale = int(request.config.getoption("--hostile-requests")) if name == REQUESTS else 0
    report = targets.siege(Etcdz).attack(attack, seed, scale, is_long)
    show(report.row(name, "etcdz"))
    if is_long and attack.beside and not RealEtcd.why_absent():
        show(targets.siege(RealEtcd).attack(attack, seed, scale, is_long).row(name, "etcd"))
    check(report, attack)
