"""The two members, started once for all tests of a session."""

from collections.abc import Iterator

import pytest

from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.parity.pair import Pair, make_pair
from tests.seeds import seed_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/parity/" in item.path.as_posix():
            item.add_marker(pytest.mark.parity)


@pytest.fixture(scope="session")
def subject(request: pytest.FixtureRequest) -> type[Member]:
    if reason := RealEtcd.why_absent():
        pytest.skip(reason)
    return RealEtcd if request.config.getoption("--parity-subject") == "etcd" else Etcdz


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """The same for all tests of a run, so that the number that a failure prints repeats it."""
    return seed_of(request.config, "--parity-seed")


class _Holder:
    """The running pair. One that ended badly is thrown away, so that a failure does not spoil the next test."""

    def __init__(self, factory: pytest.TempPathFactory, subject: type[Member]) -> None:
        self._factory = factory
        self._subject = subject
        self._pair: Pair | None = None

    def get(self) -> Pair:
        if self._pair is None:
            pair = make_pair(self._factory.mktemp("pair"), RealEtcd, self._subject)
            try:
                pair.start()
            except BaseException:
                pair.close()
                raise
            self._pair = pair
        return self._pair

    def drop(self) -> None:
        if self._pair is not None:
            self._pair.close()
            self._pair = None


@pytest.fixture(scope="session")
def _holder(tmp_path_factory: pytest.TempPathFactory, subject: type[Member]) -> Iterator[_Holder]:
    holder = _Holder(tmp_path_factory, subject)
    yield holder
    holder.drop()


@pytest.fixture
def pair(_holder: _Holder, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Both at the same revision and without leases, whatever a test before has asked of them or of one of them."""
    failed_before = request.session.testsfailed
    found = _holder.get()
    found.level()
    yield found
    if request.session.testsfailed > failed_before:
        _holder.drop()
