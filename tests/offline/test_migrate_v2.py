"""Keys of the v2 API go along, and the index they count by: from etcd to etcdz, through its snapshots, and back."""

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from etcdz.cli.utl import main as etcdzutl
from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.offline.members import OldEtcd, put
from tests.process.damage import newest_snapshot

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
FLAGS = ("--snapshot-count=10",)
ODD = 'a <b> & "c" \u2028 ä'


def v2(member: Member, method: str, path: str, **fields: str) -> Any:
    """A call of the v2 API. return its JSON, of an error too."""
    query, body = urllib.parse.urlencode(fields), None
    if method in ("PUT", "POST"):
        query, body = "", query.encode()
    url = f"{member.client_url}/v2/{path}" + (f"?{query}" if query else "")
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method=method), timeout=120) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def write_v2_keys(member: Member) -> None:
    v2(member, "PUT", "keys/plain", value="1")
    v2(member, "PUT", "keys/plain", value=ODD)
    v2(member, "PUT", "keys/dir/leaf", value="2")
    v2(member, "PUT", "keys/empty", dir="true")
    v2(member, "PUT", "keys/long", value="3", ttl="5000")
    v2(member, "POST", "keys/queue", value="4")
    v2(member, "PUT", "keys/gone", value="5")
    v2(member, "DELETE", "keys/gone")


def v2_keys(member: Member) -> tuple[Any, set[str]]:
    """(tree without what is left of TTLs, keys that have one)"""
    with_ttl: set[str] = set()

    def walk(node: Any) -> Any:
        if node.pop("ttl", 0):
            with_ttl.add(node["key"])
        return node | {"nodes": sorted((walk(child) for child in node.get("nodes", [])), key=lambda n: str(n["key"]))}

    return walk(v2(member, "GET", "keys/", recursive="true")["node"]), with_ttl


def take_snapshot(member: Member) -> None:
    """Everything written so far is in a .snap afterwards: one more entry than --snapshot-count makes one."""
    before = newest_snapshot(member.data_dir)
    for number in range(200):
        put(member, b"v3/%d" % number, b"1")
        if newest_snapshot(member.data_dir) > before and number > 20:
            return
    raise AssertionError(f"no snapshot after {before}")


def on(member: Member, kind: type[Member], directory: str, *flags: str) -> Member:
    other = kind(member.tmp_dir / directory, *FLAGS, *flags)
    other.data_dir = member.data_dir
    return other


@pytest.mark.parametrize("kind", [RealEtcd, pytest.param(OldEtcd, marks=pytest.mark.long)])
def test_there_and_back(kind: type[Member], tmp_path: Path) -> None:
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))
    theirs = kind(tmp_path, *FLAGS, "--enable-v2")
    with theirs:
        write_v2_keys(theirs)
        take_snapshot(theirs)
        expected = v2_keys(theirs)
        assert expected[1] == {"/long"}
        index = v2(theirs, "PUT", "keys/plain", value=ODD)["node"]["createdIndex"]
        take_snapshot(theirs)
        expected = v2_keys(theirs)
    assert etcdzutl(["migrate", "--data-dir", str(theirs.data_dir)]) == 0
    with on(theirs, Etcdz, "ours") as ours:
        take_snapshot(ours)
        ours.restart()
        take_snapshot(ours)
    assert etcdzutl(["migrate", "--data-dir", str(theirs.data_dir)]) == 0
    with on(theirs, RealEtcd, "again", "--enable-v2") as again:
        assert v2_keys(again) == expected
        waited = v2(again, "GET", "keys/plain", wait="true", waitIndex=str(index))
        assert (waited["node"]["modifiedIndex"], waited["node"]["value"]) == (index, ODD)
        # Each member that starts publishes its client URLs, which counts: ours twice, and theirs once more. Ours also
        # raises the cluster's version from 3.4.
        counted = 3 + (kind is OldEtcd)
        assert v2(again, "PUT", "keys/new", value="6")["node"]["createdIndex"] == index + counted + 1


def test_keys_that_only_the_log_has_go_along(tmp_path: Path) -> None:
    with RealEtcd(tmp_path, "--enable-v2") as theirs:
        write_v2_keys(theirs)
        expected = v2_keys(theirs)
        index = v2(theirs, "PUT", "keys/last", value="1")["node"]["createdIndex"]
        v2(theirs, "DELETE", "keys/last")
    assert etcdzutl(["migrate", "--data-dir", str(theirs.data_dir)]) == 0
    with on(theirs, Etcdz, "ours") as ours:
        put(ours, b"a", b"1")
    assert etcdzutl(["migrate", "--data-dir", str(theirs.data_dir)]) == 0
    with RealEtcd(tmp_path, "--enable-v2") as theirs:
        assert v2_keys(theirs) == expected
        assert v2(theirs, "PUT", "keys/last", value="1")["node"]["createdIndex"] == index + 4
