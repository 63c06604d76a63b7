"""The pytest plugin of etcdz: members for tests, each of its worker's own.

    etcdz_server     (session) a member: `.endpoints`, `.client_url`, `.actors`, all of etcdz.embed.Member
    etcdz_client     (function) a client of it, on an empty store: what a test has left is removed after it
    etcdz_cluster    (function) `etcdz_cluster(3)` starts a cluster, which is stopped after the test
    etcdz_tls        (session) a member by TLS that wants client certificates: `.endpoints`, `.ca`, `.cert`, `.key`

    --etcdz-binary=PATH   runs these with a real etcd instead

What the members logged meanwhile is printed with a test that fails. Data are in temporary directories, and not synced.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from etcdz.client import Client
    from etcdz.embed import Cluster, Member

_SHOWN: Final = 40
_HOST: Final = "localhost"
_RUNNING: Final = pytest.StashKey[list["Member"]]()
_SEEN: Final = pytest.StashKey[dict["Member", int]]()
"""Of a test: how many lines its members had logged before it."""


class TlsServer(NamedTuple):
    """A member by TLS. cert, key: of a client that it lets in, whose common name is `client`"""

    server: "Member"
    endpoints: list[str]
    ca: "Path"
    cert: "Path"
    key: "Path"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("etcdz", "members of etcd for tests")
    group.addoption("--etcdz-binary", default=None, metavar="PATH", help="run this etcd instead of etcdz")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_RUNNING] = []


@pytest.fixture(scope="session")
def etcdz_server(request: pytest.FixtureRequest) -> Iterator["Member"]:
    """A member that serves on an address of its own, for the whole session."""
    from etcdz.embed import Member

    with _noted(request, Member(name="server", **_options(request))) as member:
        yield member


@pytest.fixture
def etcdz_client(etcdz_server: "Member") -> Iterator["Client"]:
    """Of etcdz_server. Keys that the test has left are gone after it, whoever has put them."""
    from etcdz.client import connect

    with connect(etcdz_server.endpoints) as client:
        client.delete(prefix="")
        yield client
        client.delete(prefix="")


@pytest.fixture
def etcdz_cluster(request: pytest.FixtureRequest) -> Iterator[Callable[..., "Cluster"]]:
    """Starts clusters: `etcdz_cluster(3, election_timeout=500)`, arguments as of etcdz.embed.Cluster."""
    from etcdz.embed import Cluster

    with ExitStack() as started:

        def start(size: int = 3, **settings: Any) -> Cluster:
            options = _options(request)
            if (program := options.pop("program", None)) is not None:
                options["programs"] = [program] * size
            cluster = Cluster(size, **{**options, **settings})
            started.enter_context(cluster)
            running = request.config.stash[_RUNNING]
            for member in cluster:
                running.append(member)
                started.callback(running.remove, member)
            return cluster

        yield start


@pytest.fixture(scope="session")
def etcdz_tls(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    """A member that only clients with a certificate can talk to."""
    from etcdz.embed import Member, ports
    from etcdz.testing.certificates import Authority

    authority = Authority(tmp_path_factory.mktemp("etcdz-tls"))
    own = authority.issue("server", dns=[_HOST], ips=["127.0.0.1"])
    client = authority.issue("client")
    with ports.hold() as held:
        url = f"https://{_HOST}:{ports.port_of(held)}"
        member = Member(
            name="tls",
            listen_client=f"https://127.0.0.1:{ports.port_of(held)}",
            advertise_client_urls=url,
            cert_file=own.cert,
            key_file=own.key,
            client_cert_auth=True,
            trusted_ca_file=authority.ca,
            **_options(request),
        )
        with _noted(request, member):
            yield TlsServer(member, [url], authority.ca, client.cert, client.key)


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_SEEN] = {member: member.log_lines for member in item.config.stash[_RUNNING]}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for member in item.config.stash[_RUNNING]:
            new = member.log_lines - item.stash[_SEEN].get(member, 0)
            if new > 0:
                report.sections.append((f"log of etcd member {member.name}", member.log_tail(min(new, _SHOWN))))
    return report


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    binary = request.config.getoption("--etcdz-binary")
    return {"unsafe_no_fsync": True, **({"program": binary} if binary else {})}


@contextmanager
def _noted(request: pytest.FixtureRequest, member: "Member") -> Iterator["Member"]:
    """Runs it. Its log is shown when a test fails meanwhile."""
    running = request.config.stash[_RUNNING]
    with member:
        running.append(member)
        try:
            yield member
        finally:
            running.remove(member)
