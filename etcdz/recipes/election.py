"""v3electionpb.Election: the key that is first in line leads, and the value of its key is what it proclaims.

Source: etcd 3.5 v3election, and its client's Election: requests, headers, error texts, what is tidied up when.
"""

from etcdz.api.methods import RANGE, TXN
from etcdz.proto import etcdserverpb as pb
from etcdz.proto import mvccpb, v3electionpb
from etcdz.recipes.steps import NEXT, Ask, Asking, Gone, Leaving, Recipe, Refused, Send, Watch
from etcdz.recipes.waiting import DELETE, created_at, end_of, first_in_line, get, own_key, put, session, wait_for_turn

NOT_LEADER = "election: not leader"
NO_LEADER = "election: no leader"
LEADER_MISSING = '"leader" field must be provided'


def campaign(request: v3electionpb.CampaignRequest) -> Recipe:
    """NB: the header is that of the first transaction, however long the wait."""
    lease_id = yield from session(request.lease)
    prefix, value = request.name + b"/", request.value
    key = own_key(prefix, lease_id)
    answer: pb.TxnResponse = yield Ask(
        TXN,
        pb.TxnRequest(compare=[created_at(key, 0)], success=[put(key, value, lease_id)], failure=[get(key)]),
    )
    revision = answer.header.revision
    if not answer.succeeded:
        revision = yield from _take_up(key, value, lease_id, answer.responses[0].response_range.kvs[0])
    try:
        yield from wait_for_turn(prefix, revision)
    except Gone as reason:
        if not (isinstance(reason, Leaving) and request.lease):
            yield from _leave(key, revision)
        raise
    leader = v3electionpb.LeaderKey(name=request.name, key=key, rev=revision, lease=lease_id)
    return v3electionpb.CampaignResponse(header=answer.header, leader=leader)


def _take_up(key: bytes, value: bytes, lease_id: int, own: mvccpb.KeyValue) -> Asking[int]:
    """The create revision of a key that was there before, with its value made what is wanted now."""
    if own.value != value:
        try:
            yield from _proclaim(key, own.create_revision, lease_id, value)
        except Refused:
            yield from _leave(key, own.create_revision)
            raise
    return own.create_revision


def _proclaim(key: bytes, revision: int, lease_id: int, value: bytes) -> Asking[pb.ResponseHeader]:
    """The transaction's header."""
    answer: pb.TxnResponse = yield Ask(
        TXN, pb.TxnRequest(compare=[created_at(key, revision)], success=[put(key, value, lease_id)])
    )
    if not answer.succeeded:
        raise Refused.unnamed(NOT_LEADER)
    return answer.header


def _resign(key: bytes, revision: int) -> Asking[pb.ResponseHeader]:
    """The transaction's header. A key that is not the one of that revision stays, without an error."""
    delete = pb.RequestOp(request_delete_range=pb.DeleteRangeRequest(key=key))
    answer: pb.TxnResponse = yield Ask(TXN, pb.TxnRequest(compare=[created_at(key, revision)], success=[delete]))
    return answer.header


def _leave(key: bytes, revision: int) -> Asking[None]:
    try:
        yield from _resign(key, revision)
    except Refused:
        return  # its lease will


def proclaim(request: v3electionpb.ProclaimRequest) -> Recipe:
    if not request.HasField("leader"):
        raise Refused.unnamed(LEADER_MISSING)
    leader = request.leader
    lease_id = yield from session(leader.lease)
    header = yield from _proclaim(leader.key, leader.rev, lease_id, request.value)
    return v3electionpb.ProclaimResponse(header=header)


def resign(request: v3electionpb.ResignRequest) -> Recipe:
    if not request.HasField("leader"):
        raise Refused.unnamed(LEADER_MISSING)
    leader = request.leader
    yield from session(leader.lease)  # NB: etcd grants a lease here too, which is of no use
    header = yield from _resign(leader.key, leader.rev)
    return v3electionpb.ResignResponse(header=header)


def leader(request: v3electionpb.LeaderRequest) -> Recipe:
    answer: pb.RangeResponse = yield Ask(RANGE, first_in_line(request.name + b"/"))
    if not answer.kvs:
        raise Refused.unnamed(NO_LEADER)
    return v3electionpb.LeaderResponse(header=answer.header, kv=answer.kvs[0])


def observe(request: v3electionpb.LeaderRequest) -> Recipe:
    """A stream of what leaders proclaim. Every leader is told of at least once; it ends, without an error, where a
    read or a watch is refused."""
    prefix = request.name + b"/"
    try:
        while True:
            answer: pb.RangeResponse = yield Ask(RANGE, first_in_line(prefix))
            header = answer.header
            if answer.kvs:
                kv = answer.kvs[0]
            else:
                header, kv = yield from _first_put(prefix, header.revision)
            yield Send(v3electionpb.LeaderResponse(header=header, kv=kv))
            yield from _follow(kv.key, header.revision + 1)
    except Refused:
        return None


def _first_put(prefix: bytes, revision: int) -> Asking[tuple[pb.ResponseHeader, mvccpb.KeyValue]]:
    """(header as of that put, key and value) of the first put under prefix from revision on."""
    wanted = pb.WatchCreateRequest(key=prefix, range_end=end_of(prefix), start_revision=revision)
    response: pb.WatchResponse = yield Watch(wanted)
    while True:
        for event in response.events:
            if event.type != DELETE:
                response.header.revision = event.kv.mod_revision
                return response.header, event.kv
        response = yield NEXT


def _follow(key: bytes, revision: int) -> Asking[None]:
    """Sends each put of key from revision on, until it is deleted."""
    response: pb.WatchResponse = yield Watch(pb.WatchCreateRequest(key=key, start_revision=revision))
    while True:
        for event in response.events:
            if event.type == DELETE:
                return
            yield Send(v3electionpb.LeaderResponse(header=response.header, kv=event.kv))
        response = yield NEXT
