"""The client library through proxies: etcd's gives watches numbers of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import etcdz
from tests.cli.grpc_proxy.proxies import Proxy, RealProxy
from tests.etcd_process import RealEtcd

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEtcd]:
    with RealEtcd(tmp_path_factory.mktemp("etcd")) as member:
        yield member


@pytest.mark.parametrize("kind", [RealProxy, Proxy], ids=["etcd", "etcdz"])
def test_each_watch_is_told_its_own(kind: type[Proxy], etcd: RealEtcd, tmp_path: Path) -> None:
    with kind(tmp_path, etcd.target) as proxy, etcdz.connect(proxy.target) as db:
        keys = [f"{kind.kind}/{number}" for number in range(5)]
        watches = [db.watch(key) for key in keys]
        watches.append(db.watch(prefix=f"{kind.kind}/"))
        for key in keys:
            db.put(key, key)
        for key, watch in zip(keys, watches, strict=False):
            assert next(watch).kv.value == key.encode()
        assert [next(watches[-1]).kv.key.decode() for _ in keys] == keys
        watches[2].close()
        for key in keys:
            db.put(key, "again")
        for watch in (*watches[:2], *watches[3:5]):
            assert next(watch).kv.value == b"again"
