"""Options and the members under attack: one etcdz and one real etcd for the session, begun anew if one has ended."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.hostile.siege import Siege
from tests.seeds import seed_of

_LOAD_TIMEOUT_S = 900


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hostile", "hostile clients (tests/hostile)")
    group.addoption("--hostile-seed", type=int, default=None, help="of random choices (default: --randomly-seed)")
    group.addoption("--hostile-requests", type=int, default=0, help="mutated requests (default 30000; --long 1000000)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/hostile/" in item.path.as_posix():
            item.add_marker(pytest.mark.process)
            item.add_marker(pytest.mark.timeout(_LOAD_TIMEOUT_S))


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long", default=False))


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    return seed_of(request.config, "--hostile-seed")


_ROW: Final = "hostile row"


@pytest.fixture
def show(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keeps a row of figures for the summary at the end, which may be another process's."""

    def keep(row: str) -> None:
        request.node.user_properties.append((_ROW, row))

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for found in terminalreporter.stats.values() for report in found]
    called = [report for report in reports if getattr(report, "when", "") == "call"]
    rows = [row for report in called for name, row in report.user_properties if name == _ROW]
    if rows:
        terminalreporter.section("hostile clients: a victim's puts and gets in ms (median / p99 / longest)")
        for row in rows:
            terminalreporter.write_line(row)


@pytest.fixture(autouse=True)
def _say_seed(seed: int) -> None:
    """In the output of a test that fails."""
    print(f"--hostile-seed {seed}")


class Targets:
    """The session's members by kind, and who besieges them. `get` starts one anew if it has ended or was dropped."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._members: dict[type[Member], Member] = {}
        self._sieges: dict[type[Member], Siege] = {}

    def get(self, kind: type[Member]) -> Member:
        member = self._members.get(kind)
        if member is not None and member.running:
            return member
        self.drop(kind)
        member = self._members[kind] = kind(self._factory.mktemp(kind.kind), "--quota-backend-bytes=8000000000")
        return member.start()

    def siege(self, kind: type[Member]) -> Siege:
        """A victim and an attacker of the session's member of this kind."""
        member = self.get(kind)
        siege = self._sieges.get(kind)
        if siege is None:
            siege = self._sieges[kind] = Siege(member)
        return siege

    def drop(self, kind: type[Member]) -> None:
        siege = self._sieges.pop(kind, None)
        if siege is not None:
            siege.kill()
        member = self._members.pop(kind, None)
        if member is not None:
            member.discard()

    def abandon(self) -> None:
        """Ends all, whatever they would say."""
        for kind in list(self._members):
            self.drop(kind)

    def close(self) -> None:
        """NB: a victim has the last word: it says whether its lease has lasted."""
        errors = {kind.kind: siege.end() for kind, siege in self._sieges.items() if kind is Etcdz}
        self.abandon()
        assert not any(errors.values()), errors


@pytest.fixture(scope="session")
def _targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    targets = Targets(tmp_path_factory)
    yield targets
    targets.close()


@pytest.fixture
def targets(_targets: Targets, request: pytest.FixtureRequest) -> Iterator[Targets]:
    """A member that a failed test has seen is not used again."""
    failed_before = request.session.testsfailed
    yield _targets
    if request.session.testsfailed > failed_before:
        _targets.abandon()


@pytest.fixture
def etcdz(targets: Targets) -> Member:
    return targets.get(Etcdz)


@pytest.fixture
def etcd(targets: Targets) -> Member:
    if reason := RealEtcd.why_absent():
        pytest.skip(reason)
    return targets.get(RealEtcd)


@pytest.fixture
def make_member(tmp_path: pytest.TempPathFactory) -> Iterator[Callable[..., Member]]:
    """make_member(kind, *flags): one of the test's own, started; it ends with the test."""
    made: list[Member] = []

    def make(kind: type[Member], *flags: str) -> Member:
        member = kind(tmp_path, *flags)  # type: ignore[arg-type]
        made.append(member)
        return member.start()

    yield make
    for member in made:
        member.discard()
