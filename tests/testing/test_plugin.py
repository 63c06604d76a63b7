"""The pytest plugin, as the tests of another project load it."""

import pytest

from tests.etcd_process import RealEtcd

pytestmark = pytest.mark.process

OTHERS_TESTS = """
import etcdz

def test_first(etcdz_server, etcdz_client):
    etcdz_client.put("left", "behind")
    assert etcdz_server.endpoints

def test_second(etcdz_client):
    assert etcdz_client.get("left") is None

def test_by_tls(etcdz_tls):
    own = (str(etcdz_tls.cert), str(etcdz_tls.key))
    with etcdz.connect(etcdz_tls.endpoints, ca=str(etcdz_tls.ca), cert=own) as db:
        assert db.put("a", "b").revision == 2

def test_cluster(etcdz_cluster):
    cluster = etcdz_cluster(1)
    with etcdz.connect(cluster.endpoints) as db:
        assert db.put("a", "b").revision == 2
"""

FAILS = """
def test_that_fails(etcdz_server):
    etcdz_server.actors.restart("wal")
    assert False
"""


def test_tests_of_others_get_members(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_others=OTHERS_TESTS, test_fails=FAILS)
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*log of etcd member server*", '*"child":"wal"*'])


@pytest.mark.parity
def test_the_same_with_a_real_etcd(pytester: pytest.Pytester) -> None:
    program = RealEtcd.program()
    if program is None:
        pytest.skip(str(RealEtcd.why_absent()))
    pytester.makepyfile(OTHERS_TESTS)
    pytester.runpytest_subprocess(f"--etcdz-binary={program[0]}", "-k", "first or second").assert_outcomes(passed=2)
