"""`--proxy`: a proxy of etcdz and one of etcd before the same member answer alike."""

import http.client
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cluster_process import FAST, Cluster, until
from tests.etcd_process import Etcdz, Member, RealEtcd

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CALLS = (
    ("PUT", "/v2/keys/a%20b?prevExist=false", "value=1"),
    ("PUT", "/v2/keys/a%20b", "value=2&ttl=100000"),
    ("GET", "/v2/keys/a%20b?quorum=true", None),
    ("HEAD", "/v2/keys/a%20b", None),
    ("GET", "/v2/keys/none", None),
    ("POST", "/v2/keys/q", "value=x"),
    ("GET", "/v2/keys?recursive=true&sorted=true", None),
    ("GET", "/v2/members", None),
    ("DELETE", "/v2/keys/a%20b", None),
    ("GET", "/v2/nothing", None),
    ("GET", "/v2/config/local/proxy", None),
    ("POST", "/v2/config/local/proxy", ""),
    ("GET", "/version", None),
)
HEADERS = ("Content-Type", "Allow", "X-Content-Type-Options", "X-Etcd-Cluster-Id")


class ProxyOfEtcdz(Etcdz):
    ready_text = "v2 proxy started listening"


class ProxyOfEtcd(RealEtcd):
    ready_text = "v2 proxy started listening"


def asked(proxy: Member, method: str, path: str, body: str | None = None) -> tuple[object, ...]:
    connection = http.client.HTTPConnection(urlsplit(proxy.client_url).netloc, timeout=60)
    connection.request(method, path, None if body is None else body.encode(), FORM)
    answer = connection.getresponse()
    told = answer.status, [answer.headers.get(name) for name in HEADERS], answer.read().decode()
    connection.close()
    return told


def streamed(proxy: Member) -> list[str]:
    """What a client that waits is told, as soon as it is there."""
    connection = http.client.HTTPConnection(urlsplit(proxy.client_url).netloc, timeout=60)
    connection.request("GET", "/v2/keys/s?wait=true&stream=true&recursive=true")
    answer = connection.getresponse()
    lines = []
    for number in range(2):
        asked(proxy, "PUT", "/v2/keys/s/x", f"value={number}")
        lines.append(json.loads(answer.readline())["node"]["value"])
    connection.close()
    return lines


def test_a_proxy_answers_as_etcds_does(tmp_path: Path) -> None:
    with Cluster(tmp_path, ["etcdz"], "--enable-v2", *FAST) as cluster:
        member = cluster["m0"]
        times = "--proxy-failure-wait=600000", "--proxy-dial-timeout=30000", "--proxy-write-timeout=30000"
        flags = *times, f"--initial-cluster=m0={member.peer_url}"
        with (
            ProxyOfEtcdz(tmp_path / "ours", "--proxy=on", *flags) as ours,
            ProxyOfEtcd(tmp_path / "theirs", "--proxy=on", "--enable-v2", *flags) as etcds,
        ):
            until(lambda: member.client_url in str(asked(etcds, "GET", "/v2/config/local/proxy")), 60, ours.log_tail)
            told = []
            for proxy in (ours, etcds):
                answers = [asked(proxy, *call) for call in CALLS]
                told.append(without_indexes(answers))
                asked(proxy, "DELETE", "/v2/keys/q?recursive=true")
            assert told[0] == told[1]
            assert streamed(ours) == ["0", "1"], "etcd's keeps pieces back until there are enough of them"
            kept = json.loads((ours.data_dir / "proxy" / "cluster").read_text())
            assert kept == {"PeerURLs": [member.peer_url]}
            ours.stop()
            again = ProxyOfEtcdz(tmp_path / "ours", "--initial-cluster=m0=http://127.0.0.1:1")
            with again as reader:
                assert asked(reader, "GET", "/v2/keys/none")[0] == 404, "it knows the members by its data directory"
                member.stop()
                for proxy in (reader, etcds):
                    text = '{"message":"httpproxy: unable to get response from 1 endpoint(s)"}'
                    assert asked(proxy, "GET", "/v2/keys/a")[::2] == (502, text)
                    text = '{"message":"httpproxy: zero endpoints currently available"}'
                    assert asked(proxy, "GET", "/v2/keys/a")[::2] == (503, text)
    with ProxyOfEtcdz(tmp_path / "readonly", "--proxy=readonly", "--initial-cluster=m0=http://127.0.0.1:1") as reader:
        assert asked(reader, "PUT", "/v2/keys/a", "value=1")[::2] == (501, "")
        assert asked(reader, "GET", "/v2/keys/a")[0] == 503


def without_indexes(answers: list[tuple[object, ...]]) -> list[str]:
    return [re.sub(r'(index|ttl|Index|expiration|key)":("[^"]*"|\d+)', r'\1":0', str(answer)) for answer in answers]
