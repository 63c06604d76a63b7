"""etcdctl make-mirror between etcd and etcdz, both ways, with etcdctl 3.5 and 3.4: what is there, then what happens."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, RealEtcd
from tests.parity.pair import FAST_ELECTION, Side
from tests.parity.test_etcdctl import EACH_VERSION, PATIENCE, environment, etcdctls

KEYS = 1_100
"""More than make-mirror fetches at a time."""
WAIT_S = 60


@pytest.fixture(scope="module")
def sides(subject: type[Member], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    directory = tmp_path_factory.mktemp("mirror")
    kinds = (RealEtcd, subject)
    found = [Side(kind(directory / str(at), *FAST_ELECTION)) for at, kind in enumerate(kinds)]
    try:
        for side in found:
            side.member.start()
            side.open()
        yield found[0], found[1]
    finally:
        for side in found:
            side.close()
            side.member.stop()


def put_all(side: Side, keys: list[bytes], value: bytes) -> None:
    for at in range(0, len(keys), 100):
        puts = [pb.PutRequest(key=key, value=value + key) for key in keys[at : at + 100]]
        side.must("Txn", pb.TxnRequest(success=[pb.RequestOp(request_put=put) for put in puts]))


def contents(side: Side, prefix: bytes) -> dict[bytes, bytes]:
    request = pb.RangeRequest(key=prefix, range_end=prefix[:-1] + bytes([prefix[-1] + 1]))
    return {kv.key: kv.value for kv in side.must("Range", request).kvs}


@contextmanager
def events(side: Side, key: bytes) -> Iterator[Any]:
    """Answers of a watch of one key, from the beginning of history, which is never compacted here."""
    with grpc.insecure_channel(side.member.target, options=[("grpc.enable_http_proxy", 0)]) as channel:
        watch = channel.stream_stream(
            "/etcdserverpb.Watch/Watch", lambda message: message.SerializeToString(), pb.WatchResponse.FromString
        )
        create = pb.WatchCreateRequest(key=key, start_revision=1)
        call = watch(iter([pb.WatchRequest(create_request=create)]), timeout=WAIT_S, wait_for_ready=True)
        yield (event for answer in call for event in answer.events)
        call.cancel()


@contextmanager
def mirror(program: str, source: Side, target: Side, prefix: str) -> Iterator[None]:
    words = ["make-mirror", f"--prefix={prefix}", target.member.target]
    command = [program, *PATIENCE, f"--endpoints={source.member.target}", *words]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
        assert process.poll() is None, "it goes on until it is told to stop"
    finally:
        process.terminate()
        _, told = process.communicate(timeout=WAIT_S)
    assert b"Error" not in told, told


@pytest.mark.parametrize("from_etcd", [True, False], ids=["from etcd", "to etcd"])
@pytest.mark.parametrize("version", EACH_VERSION)
def test_a_mirror_follows(sides: tuple[Side, Side], version: str, from_etcd: bool) -> None:
    programs = etcdctls()
    if version not in programs:
        pytest.skip(f"no etcdctl {version} here")
    source, target = sides if from_etcd else sides[::-1]
    prefix = f"{version}-{'from' if from_etcd else 'to'}/"
    keys = [b"%s%05d" % (prefix.encode(), number) for number in range(KEYS)]
    put_all(source, keys, b"\0\xffold ")
    with mirror(programs[version], source, target, prefix), events(target, keys[-1]) as last:
        assert next(last).kv.value == b"\0\xffold " + keys[-1]
        assert contents(target, prefix.encode()) == contents(source, prefix.encode())
        put_all(source, keys[:300], b"new ")
        half = pb.DeleteRangeRequest(key=keys[900], range_end=keys[1_000])
        source.must("DeleteRange", half)
        put = pb.PutRequest(key=keys[0], value=b"twice")
        delete = pb.DeleteRangeRequest(key=keys[1])
        ops = [pb.RequestOp(request_put=put), pb.RequestOp(request_delete_range=delete)]
        source.must("Txn", pb.TxnRequest(success=ops))
        source.must("Put", pb.PutRequest(key=keys[-1], value=b"the end"))
        assert next(last).kv.value == b"the end"
        mirrored = contents(target, prefix.encode())
        assert mirrored == contents(source, prefix.encode())
    assert len(mirrored) == KEYS - 101
    assert mirrored[keys[0]] == b"twice"
