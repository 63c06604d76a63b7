"""The tools that hold etcdz beside etcd run through, and say something of both; what they say is for people to read."""

from collections.abc import Callable

import pytest

from tests.bench import expiry, h2load, idle, space, stalled
from tests.etcd_process import Etcdz, RealEtcd

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=str(RealEtcd.why_absent())),
    pytest.mark.skipif(Etcdz.why_absent() is not None, reason=str(Etcdz.why_absent())),
    pytest.mark.skipif(h2load.find_h2load() is None, reason="h2load is not installed (nghttp2-client)"),
]


@pytest.mark.parametrize(
    ("main", "words"),
    [
        pytest.param(expiry.main, ["--leases=20", "--ttl=1", "--rounds=1"], id="expiry", marks=pytest.mark.long),
        pytest.param(idle.main, ["--watchers=200", "--leases=100", "--settle=0.1", "--seconds=0.1"], id="idle"),
        pytest.param(space.main, ["deletes", "--keys=300", "--rounds=1"], id="deletes", marks=pytest.mark.long),
        pytest.param(
            stalled.main,
            ["--streams=10", "--connections=2", "--requests=1000", "--rounds=1"],
            id="stalled",
            marks=pytest.mark.long,
        ),
    ],
)
def test_it_says_something_of_both(
    main: Callable[[list[str]], None], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main(words)
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {"etcd", "etcdz"}
