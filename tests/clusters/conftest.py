"""Options and fixtures of the tests of whole clusters.

pytest tests/clusters                                         the short form, as in CI
pytest tests/clusters --long                                  more rounds, more mixes
pytest tests/clusters --cluster-kinds etcd,etcd,etcd          clusters of these members instead: proves the tests
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.cluster_process import KINDS, Cluster, why_absent
from tests.seeds import seed_of

ClusterMaker = Callable[..., Cluster]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("clusters", "clusters of real process trees (tests/clusters)")
    group.addoption("--cluster-kinds", default="", help=f"for all tests that leave it open, of {', '.join(KINDS)}")
    group.addoption("--cluster-seed", type=int, default=None, help="of random choices (default: --randomly-seed)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with the end of each member's log."""
    report = yield
    if report.failed:
        for cluster in getattr(item, "clusters", ()):
            report.sections.append((f"logs in {cluster.tmp_dir}", cluster.log_tails(30)))
    return report


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long", default=False))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Of this test's random choices; pytest shows it when the test fails."""
    chosen = seed_of(request.config, "--cluster-seed")
    print(f"--cluster-seed {chosen}")
    return chosen


def chosen_kinds(config: pytest.Config, default: str = "etcdz,etcdz,etcdz") -> list[str]:
    """What --cluster-kinds says, or the default; skips the test if one of them is not installed."""
    kinds = (config.getoption("--cluster-kinds") or default).split(",")
    if reason := why_absent(kinds):
        pytest.skip(reason)
    return kinds


@pytest.fixture
def make_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ClusterMaker]:
    """make_cluster("etcdz,etcd,etcd", *flags, **options of Cluster): not started yet, and ends with the test.

    None for the kinds: as --cluster-kinds says, else three of etcdz.
    """
    made: list[Cluster] = []
    request.node.clusters = made

    def make(kinds: str | None, *flags: str, **options: object) -> Cluster:
        names = kinds.split(",") if kinds else chosen_kinds(request.config)
        if reason := why_absent(names):
            pytest.skip(reason)
        made.append(Cluster(tmp_path / f"cluster-{len(made)}", names, *flags, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.discard()
