"""Addresses that are taken, and unix sockets; a real etcd passes too (--process-subject etcd)."""

import socket
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, MemberFailed

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

MemberMaker = Callable[..., Member]


def revision(target: str) -> int:
    with grpc.insecure_channel(target) as channel:
        grpc.channel_ready_future(channel).result(timeout=60)
        call = channel.unary_unary("/etcdserverpb.KV/Range")
        return int(pb.RangeResponse.FromString(call(pb.RangeRequest(key=b"a").SerializeToString())).header.revision)


def test_a_port_is_one_members_unless_both_want_to_share(make_member: MemberMaker, tmp_path: Path) -> None:
    first = make_member("--socket-reuse-port=true", data_dir=tmp_path / "first")
    first.start()
    same = f"--listen-client-urls={first.client_url}"
    second = make_member(same, data_dir=tmp_path / "second")
    with pytest.raises(MemberFailed) as caught:
        second.start()
    assert "(exit code 1)" in str(caught.value)
    assert f'"error":"listen tcp {first.target}: bind: address already in use"' in str(caught.value)
    third = make_member(same, "--socket-reuse-port=true", data_dir=tmp_path / "third")
    third.start()
    assert revision(first.target) == 1


def test_a_peer_port_is_one_members(make_member: MemberMaker, tmp_path: Path) -> None:
    first = make_member(data_dir=tmp_path / "first")
    first.start()
    second = make_member(f"--listen-peer-urls=http://127.0.0.1:{first.peer_port}", data_dir=tmp_path / "second")
    with pytest.raises(MemberFailed) as caught:
        second.start()
    assert "(exit code 1)" in str(caught.value)
    assert f'"error":"listen tcp 127.0.0.1:{first.peer_port}: bind: address already in use"' in str(caught.value)


def test_a_unix_socket_outlives_a_kill_and_not_a_stop(make_member: MemberMaker) -> None:
    member = make_member("--listen-client-urls=unix://localhost:1", "--advertise-client-urls=unix://localhost:1")
    path = member.tmp_dir / "localhost:1"
    member.start()
    assert revision(f"unix:{path}") == 1
    member.kill9()
    assert path.is_socket()
    member.start()
    assert revision(f"unix:{path}") == 1
    member.stop()
    assert not path.exists()


def test_who_hears_that_it_is_ready_can_connect(make_member: MemberMaker) -> None:
    member = make_member()
    for _ in range(2):
        member.start()
        socket.create_connection(("127.0.0.1", member.client_port), timeout=60).close()
        member.stop()
