"""Options and the members under attack: one etcdz and one real etcd for the session, begun anew if one has ended."""

from collections.abc import Callable, Iterator
from random import SystemRandom

import pytest

from tests.etcd_process import Etcdz, Member, RealEtcd

_LOAD_TIMEOUT_S = 900


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hostile", "hostile clients (tests/hostile)")
    group.addoption("--hostile-seed", type=int, default=None, help="repeat the run with this seed (default: a new one)")
    group.addoption("--hostile-requests", type=int, default=0, help="mutated requests (default 50000; --long 500000)")


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
    given = request.config.getoption("--hostile-seed")
    return int(given) if given is not None else SystemRandom().randrange(1 << 32)


class Targets:
    """The session's members by kind. `get` starts one anew if it has ended or was dropped."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._members: dict[type[Member], Member] = {}

    def get(self, kind: type[Member]) -> Member:
        member = self._members.get(kind)
        if member is not None and member.running:
            return member
        self.drop(kind)
        member = self._members[kind] = kind(self._factory.mktemp(kind.kind), "--quota-backend-bytes=8000000000")
        return member.start()

    def drop(self, kind: type[Member]) -> None:
        member = self._members.pop(kind, None)
        if member is not None:
            member.discard()

    def close(self) -> None:
        for kind in list(self._members):
            self.drop(kind)


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
        _targets.close()


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
