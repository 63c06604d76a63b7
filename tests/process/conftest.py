"""Options and fixtures of the crash and bounds tests.

pytest tests/process                            the short form, as in CI
pytest tests/process --long                     thirty rounds instead of one, and so on
pytest tests/process --process-subject etcd     a real etcd instead: proves the load and the checker
"""

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.process.trial import Trial
from tests.seeds import seed_of

MemberMaker = Callable[..., Member]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("process", "crashes and bounds of real process trees (tests/process)")
    group.addoption("--process-seed", type=int, default=None, help="of random choices (default: --randomly-seed)")
    group.addoption("--process-subject", choices=["etcdz", "etcd"], default="etcdz", help="which member to crash")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with the end of each member's log."""
    report = yield
    if report.failed:
        for member in getattr(item, "members", ()):
            report.sections.append((f"log of {member.data_dir}", member.log_tail(60)))
    return report


@pytest.fixture
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long", default=False))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Of this test's random choices; pytest shows it when the test fails."""
    chosen = seed_of(request.config, "--process-seed")
    print(f"--process-seed {chosen}")
    return chosen


@pytest.fixture
def make_member(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemberMaker]:
    """make_member(*flags, data_dir=None, env=None): a member that is not started yet, and ends with the test."""
    kind = RealEtcd if request.config.getoption("--process-subject", default="etcdz") == "etcd" else Etcdz
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))
    made: list[Member] = []
    request.node.members = made

    def make(*flags: str, data_dir: Path | None = None, env: dict[str, str] | None = None) -> Member:
        member = kind(tmp_path, *flags, env=env)
        member.data_dir = data_dir or member.data_dir
        made.append(member)
        return member

    yield make
    for member in made:
        member.discard()


@pytest.fixture
def make_trial(make_member: MemberMaker, seed: int) -> Callable[..., Trial]:
    """make_trial(*flags, data_dir=None): a started member with a record of what is written to it."""
    return lambda *flags, **options: Trial(make_member(*flags, **options).start(), seed)


@pytest.fixture
def needs_actors(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--process-subject", default="etcdz") == "etcd":
        pytest.skip("a real etcd has no actors to kill")
