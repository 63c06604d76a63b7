"""What is answered from the cache, and to whom."""

from etcdz.api import methods as m
from etcdz.cli.grpc_proxy.callers import Caller
from etcdz.cli.grpc_proxy.key_calls import Answer, Forward, KeyCalls
from etcdz.proto import etcdserverpb as pb

READ = pb.RangeRequest(key=b"k", serializable=True).SerializeToString()
TOKEN: Caller = ((b"token", b"t"),)


def answer_of(revision: int) -> bytes:
    return pb.RangeResponse(header=pb.ResponseHeader(revision=revision)).SerializeToString()


def read(keys: KeyCalls, revision: int, caller: Caller = ()) -> bool:
    """Asks, and answers with a member's answer of this revision. return whether it came from the cache instead"""
    found = keys.readers[m.RANGE](READ, caller)
    if isinstance(found, Answer):
        return True
    if found.then is not None:
        found.then(answer_of(revision))
    return False


def write(keys: KeyCalls, revision: int) -> None:
    found = keys.readers[m.PUT](pb.PutRequest(key=b"k").SerializeToString(), ())
    assert isinstance(found, Forward)
    assert found.then is not None
    found.then(pb.PutResponse(header=pb.ResponseHeader(revision=revision)).SerializeToString())


def test_what_a_member_behind_answers_is_not_kept() -> None:
    keys = KeyCalls(b"")
    write(keys, 7)
    assert [read(keys, 6), read(keys, 7), read(keys, 8)] == [False, False, True]
    write(keys, 9)
    assert [read(keys, 9), read(keys, 9)] == [False, True]


def test_callers_with_tokens_are_not_answered_from_the_cache() -> None:
    keys = KeyCalls(b"")
    assert [read(keys, 1, TOKEN), read(keys, 1), read(keys, 1), read(keys, 1, TOKEN)] == [False, False, True, False]


def test_a_proxy_of_ordered_reads_keeps_nothing() -> None:
    keys = KeyCalls(b"", keeps=False)
    assert [read(keys, 1), read(keys, 1)] == [False, False]
