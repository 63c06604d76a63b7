"""Who follows the tutorial sees what it says; commands of the pages for operators work."""

import re
from pathlib import Path

import pytest

from tests.docs.walkthrough import Walkthrough, blocks_of, pattern_of
from tests.etcd_process import free_port

pytestmark = [pytest.mark.process, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial"
OPERATING = ROOT / "docs" / "operating"
A_MEMBER = "<!-- goes on -->\n```sh\netcdz\n```\n"


def with_free_ports(page: str) -> str:
    """The same text, with another number in the place of each port."""
    ports = {port: str(free_port()) for port in sorted(set(re.findall(r"(?<=127\.0\.0\.1:)\d+", page)))}
    return re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda match: ports[match[0]], page)


def environ_of_a_member(client: str) -> dict[str, str]:
    """With which `etcdz` and `etcdzctl` do without flags. client: its address, as in 127.0.0.1:2379"""
    return {
        "ETCDCTL_ENDPOINTS": client,
        "ETCD_LISTEN_CLIENT_URLS": f"http://{client}",
        "ETCD_ADVERTISE_CLIENT_URLS": f"http://{client}",
        "ETCD_LISTEN_PEER_URLS": f"http://127.0.0.1:{free_port()}",
    }


def test_the_first_member(tmp_path: Path) -> None:
    page = (TUTORIAL / "first-member.md").read_text()
    install = blocks_of(page)[0].text
    assert install.strip() in (ROOT / "README.md").read_text()
    page = with_free_ports(page.replace(install, ""))
    client = re.findall(r"127\.0\.0\.1:\d+", page)[0]
    with Walkthrough(tmp_path, environ_of_a_member(client)) as walkthrough:
        walkthrough.follow(page)


@pytest.mark.long
def test_the_first_cluster(tmp_path: Path) -> None:
    with Walkthrough(tmp_path, {}) as walkthrough:
        walkthrough.follow(with_free_ports((TUTORIAL / "first-cluster.md").read_text()))


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(path.name for path in OPERATING.glob("*.md")))
def test_a_page_for_operators(name: str, tmp_path: Path) -> None:
    """Its frames of the language sh. Those of the language bash name hosts that are not here."""
    with Walkthrough(tmp_path, environ_of_a_member(f"127.0.0.1:{free_port()}")) as walkthrough:
        walkthrough.follow(A_MEMBER + (OPERATING / name).read_text())


def test_what_a_page_says_is_compared() -> None:
    assert pattern_of("a\n...\nlease ... granted\n").fullmatch("a\nx\ny\nlease 7 granted\n")
    assert not pattern_of("a\n").fullmatch("a\nb\n")
    assert not pattern_of("1.5\n").fullmatch("1x5\n")
