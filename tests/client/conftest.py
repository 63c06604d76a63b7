"""One member of each kind for all tests of a file that need one."""

from collections.abc import Iterator

import pytest

from tests.etcd_process import Etcdz, Member, RealEtcd


@pytest.fixture(scope="module", params=[Etcdz, RealEtcd], ids=["etcdz", "etcd"])
def member(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    kind = request.param
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))
    with kind(tmp_path_factory.mktemp(kind.kind)) as started:
        yield started
