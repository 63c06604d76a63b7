"""Members of three kinds, the calls that the tests make to them, and a history worth keeping."""

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, RealEtcd, find_program

OLD_ETCD = "/usr/bin/etcd"
OLD_ETCDCTL = "/usr/bin/etcdctl"


class OldEtcd(RealEtcd):
    """etcd 3.4, where Debian has put it."""

    kind = "etcd34"

    @classmethod
    def program(cls) -> list[str] | None:
        return [OLD_ETCD] if _says(OLD_ETCD, "--version", "etcd Version: 3.4") else None

    @classmethod
    def why_absent(cls) -> str | None:
        return None if cls.program() else "no etcd 3.4 here: install Debian's etcd-server"


@cache
def _says(program: str, flag: str, text: str) -> bool:
    return Path(program).is_file() and text in subprocess.run([program, flag], capture_output=True, text=True).stdout


def etcdctl(kind: type[Member]) -> str:
    return OLD_ETCDCTL if kind is OldEtcd else str(find_program("etcdctl"))


def call(member: Member, method: str, request: Any, answer: Any) -> Any:
    with grpc.insecure_channel(member.target, [("grpc.max_receive_message_length", 1 << 28)]) as channel:
        unary = channel.unary_unary(
            f"/etcdserverpb.{method}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return unary(request, timeout=120, wait_for_ready=True)


def put(member: Member, key: bytes, value: bytes, lease: int = 0) -> None:
    call(member, "KV/Put", pb.PutRequest(key=key, value=value, lease=lease), pb.PutResponse)


def put_many(member: Member, keys: int, size: int, rounds: int = 1) -> None:
    """In transactions of 100 puts. size: of a value, bytes"""
    for number in range(rounds):
        for first in range(0, keys, 100):
            ops = [
                pb.RequestOp(request_put=pb.PutRequest(key=b"many/%08d" % n, value=b"%d" % number * size))
                for n in range(first, min(first + 100, keys))
            ]
            call(member, "KV/Txn", pb.TxnRequest(success=ops), pb.TxnResponse)


def hash_kv(member: Member, revision: int = 0) -> tuple[int, int, int]:
    """(hash, compact revision, revision)"""
    answer = call(member, "Maintenance/HashKV", pb.HashKVRequest(revision=revision), pb.HashKVResponse)
    return answer.hash, answer.compact_revision, answer.header.revision


def keys_of(member: Member) -> list[tuple[bytes, bytes, int, int, int, int]]:
    """Everything that is in a member now, as its clients see it."""
    answer = call(member, "KV/Range", pb.RangeRequest(key=b"\0", range_end=b"\0"), pb.RangeResponse)
    return [(kv.key, kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease) for kv in answer.kvs]


def members_of(member: Member) -> list[tuple[int, str, list[str]]]:
    answer = call(member, "Cluster/MemberList", pb.MemberListRequest(), pb.MemberListResponse)
    return [(m.ID, m.name, list(m.peerURLs)) for m in answer.members]


def write_history(member: Member) -> None:
    """Puts, overwrites, values larger than a page, deletes, a compaction, and something after it."""
    put_many(member, 600, 90, rounds=2)
    for number in range(6):
        put(member, b"large/%d" % number, bytes([65 + number]) * 70_000 * number)
    call(
        member,
        "KV/DeleteRange",
        pb.DeleteRangeRequest(key=b"many/000001", range_end=b"many/000003"),
        pb.DeleteRangeResponse,
    )
    call(member, "KV/Compact", pb.CompactionRequest(revision=9, physical=True), pb.CompactionResponse)
    put(member, b"large/3", b"small again")
    call(member, "KV/DeleteRange", pb.DeleteRangeRequest(key=b"large/4"), pb.DeleteRangeResponse)
