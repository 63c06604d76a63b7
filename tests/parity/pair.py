"""A real etcd and the member under test, asked the same in the same order."""

from pathlib import Path
from typing import Any, NamedTuple

import grpc

from etcdz.proto import etcdserverpb as pb
from tests.etcd_process import Member, MemberFailed
from tests.parity.calls import KILL, METHODS, RESTART, STREAMS, Call, at_base

CALL_TIMEOUT_S = 60
_CHANNEL_OPTIONS = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
# One voter elects itself; with etcd's defaults each start would wait a second for that.
FAST_ELECTION = ("--heartbeat-interval=10", "--election-timeout=100")


class Answer(NamedTuple):
    """What a client sees of one call. `message` is decoded, or None for an error."""

    code: str
    text: str
    message: Any

    def __str__(self) -> str:
        return str(self.message).strip() or "(empty)" if self.message is not None else f"{self.code}: {self.text}"


class Difference(AssertionError):
    """Two answers that are not equal; the text ends with lines for a case file."""

    def __init__(self, call: Call, expected: Answer, got: Answer, before: list[Call], kind: str) -> None:
        self.calls = [*before, call]
        shown = self.calls if len(self.calls) <= 200 else self.calls[-200:]
        super().__init__(
            f"\n{call}\n--- etcd\n{expected}\n--- {kind}\n{got}\n--- the conversation ({len(self.calls)} calls), "
            "as lines for tests/parity/cases:\n" + "\n".join(map(str, shown))
        )


class Side:
    """One of the two members with a channel to it."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.index_base = 0
        self.term_base = 0
        """The term that it was in after its last start. On a busy machine an election may take more than one."""
        self._channel: Any = None
        self._stubs: dict[str, Any] = {}

    def start(self) -> None:
        """Starts the member, which begins a new term."""
        self.member.start()
        self.member.wait_cluster_version()
        self.open()
        before, self.term_base = self.term_base, self.must("Status", pb.StatusRequest()).raftTerm
        assert self.term_base > before

    def plain_term(self, term: int) -> int:
        """1 for the term that it began with and later ones: on a busy machine an actor of a member that got no CPU is
        restarted, and raft then leads in a new term. Less for what it has left."""
        return min(1, term + 1 - self.term_base)

    def alike_body(self, body: bytes) -> bytes:
        """An answer as it came off the wire, with plain_term in its header, which is field 1 of all of them."""
        if not body:
            return body
        answer = pb.CompactionResponse.FromString(body[5:])  # what is no header it keeps as it is
        answer.header.raft_term = self.plain_term(answer.header.raft_term)
        return bytes(answer.SerializeToString())

    def open(self) -> None:
        self.close()
        self._channel = grpc.insecure_channel(self.member.target, options=_CHANNEL_OPTIONS)
        self._stubs = {}

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def begin(self, path: str, body: bytes) -> Any:
        """Sends the call, or lets it wait for a connection; its future. raises MemberFailed: none will come."""
        if not self.member.running:
            raise MemberFailed(self.member.report("died"))
        stub = self._stubs.get(path)
        if stub is None:
            of_kind = self._channel.stream_unary if path in STREAMS else self._channel.unary_unary
            stub = self._stubs[path] = of_kind(path)
        request = iter([body]) if path in STREAMS else body
        return stub.future(request, timeout=CALL_TIMEOUT_S, wait_for_ready=True)

    def finish(self, future: Any, answer_class: Any) -> Answer:
        try:
            return Answer("OK", "", answer_class.FromString(future.result()))
        except grpc.RpcError as error:
            if not self.member.running:
                raise MemberFailed(self.member.report("died")) from None
            return Answer(error.code().name, error.details() or "", None)

    def ask(self, name: str, request: Any) -> Answer:
        path, _, answer_class = METHODS[name]
        return self.finish(self.begin(path, request.SerializeToString()), answer_class)

    def must(self, name: str, request: Any) -> Any:
        """The answer's message; raises MemberFailed for any error."""
        answer = self.ask(name, request)
        if answer.message is None:
            raise MemberFailed(f"{self.member.kind}: {name}: {answer}")
        return answer.message

    def settled_status(self) -> Any:
        """Status after everything committed was applied: etcd answers a write a moment before it moves this mark."""
        for _attempt in range(1_000):
            status = self.must("Status", pb.StatusRequest())
            if status.raftAppliedIndex == status.raftIndex:
                return status
        return status


class Pair:
    """Both members in lock-step."""

    def __init__(self, expected: Member, subject: Member) -> None:
        self.sides = (Side(expected), Side(subject))
        self.calls_made = 0
        self.compactions: set[int] = set()
        """Revisions of this conversation's compactions; 1 is the state that it began with."""
        self.tally: dict[tuple[str, str], int] = {}

    def start(self) -> None:
        for side in self.sides:
            side.start()

    def close(self) -> None:
        for side in self.sides:
            side.close()
            side.member.stop()

    def begin_conversation(self) -> int:
        """Brings both into the same state at the same revision; returns it.

        Everything is deleted and compacted away, as it were in a fresh store. A side that earlier differed gets puts
        until it has caught up, so that a search for the smallest difference can go on with the same two members.
        """
        for side in self.sides:
            side.must("DeleteRange", pb.DeleteRangeRequest(key=b"\0", range_end=b"\0"))
            for lease in side.must("LeaseLeases", pb.LeaseLeasesRequest()).leases:
                side.ask("LeaseRevoke", pb.LeaseRevokeRequest(ID=lease.ID))  # it may have run out meanwhile
        heads = self._heads()
        base = max(heads) + 2
        for side, head in zip(self.sides, heads, strict=True):
            for _ in range(base - 1 - head):
                side.must("Put", pb.PutRequest(key=b"-"))
            side.must("DeleteRange", pb.DeleteRangeRequest(key=b"-"))
            side.must("Compact", pb.CompactionRequest(revision=base, physical=True))
            side.index_base = side.settled_status().raftIndex
        self.compactions = {1}
        return base

    def level(self) -> None:
        """Begins a conversation if the stores differ, or there are leases: each has its own clock for them.

        A lock's key has the number of its lease in it, which is another one on each side: at equal revisions the
        histories are not equal.
        """
        leases = [side.must("LeaseLeases", pb.LeaseLeasesRequest()).leases for side in self.sides]
        if any(leases) or self._hash(0) != self._hash(1):
            self.begin_conversation()

    def _hash(self, at: int) -> tuple[int, int, int]:
        answer = self.sides[at].must("HashKV", pb.HashKVRequest())
        return answer.header.revision, answer.compact_revision, answer.hash

    def _heads(self) -> list[int]:
        return [int(side.must("Range", pb.RangeRequest(key=b"-")).header.revision) for side in self.sides]

    def ask(self, call: Call, base: int) -> tuple[Answer, Answer]:
        """Both answers, with what must differ made alike."""
        if call.name in (RESTART, KILL):
            self._stop_and_start(call)
            return Answer("OK", "", None), Answer("OK", "", None)
        path, _, answer_class = METHODS[call.name]
        body = at_base(call.request, base).SerializeToString()
        futures = [side.begin(path, body) for side in self.sides]
        answers = [side.finish(future, answer_class) for side, future in zip(self.sides, futures, strict=True)]
        expected, got = (_alike(side, call, answer) for side, answer in zip(self.sides, answers, strict=True))
        if call.name == "Compact" and expected.code == "OK":
            self.compactions.add(call.request.revision)
        elif call.name == "HashKV" and self._newer_hash_rule(call, expected, got):
            got = expected
        self.calls_made += 1
        self.tally[call.name, expected.code] = self.tally.get((call.name, expected.code), 0) + 1
        return expected, got

    def _newer_hash_rule(self, call: Call, expected: Answer, got: Answer) -> bool:
        """etcd since 3.5.5 or so remembers the hashes at compactions; 3.5.1 says "compacted" for the very revision."""
        return (
            call.request.revision in self.compactions
            and got.code == "OK"
            and expected.code == "OUT_OF_RANGE"
            and "compacted" in expected.text
        )

    def _stop_and_start(self, call: Call) -> None:
        """NB: killed soon after a transaction that failed, etcd 3.5.1 applies the deletion before it once more and is a
        revision ahead. Hash makes it commit what it has applied, so that it has nothing to apply again."""
        if call.name == KILL:
            etcd = self.sides[0]
            etcd.finish(etcd.begin("/etcdserverpb.Maintenance/Hash", b""), pb.HashResponse)
        for side in self.sides:
            side.close()
            if call.name == KILL:
                side.member.kill9()
            else:
                side.member.stop()
        for side in self.sides:
            side.start()

    def converse(self, calls: list[Call]) -> None:
        """Asks both; raises Difference at the first answer that is not the same."""
        base = self.begin_conversation()
        done: list[Call] = []
        for call in [*calls, *_LAST_WORDS]:
            self.compare(call, base, done)
            done.append(call)

    def compare(self, call: Call, base: int, before: list[Call]) -> Answer:
        expected, got = self.ask(call, base)
        if expected != got:
            raise Difference(call, expected, got, before, self.sides[1].member.kind)
        return expected


_LAST_WORDS = [
    Call("LeaseLeases", pb.LeaseLeasesRequest()),
    Call("Range", pb.RangeRequest(key=b"\0", range_end=b"\0")),
    Call("HashKV", pb.HashKVRequest()),
    Call("Status", pb.StatusRequest()),
]


def _alike(side: Side, call: Call, answer: Answer) -> Answer:
    """The answer without what need not be equal: ports, sizes on disk, raft index and term before, fields of 3.6."""
    message = answer.message
    if message is None:
        return answer
    if message.HasField("header") and message.header.raft_term:
        message.header.raft_term = side.plain_term(message.header.raft_term)
    if call.name == "MemberList":
        for member in message.members:
            urls = [url.replace(side.member.target, "HOST:PORT") for url in member.clientURLs]
            del member.clientURLs[:]
            member.clientURLs.extend(urls)
    elif call.name == "Status":
        message = _alike_status(side)
    elif call.name == "HashKV":
        message.hash_revision = 0  # new in 3.6
    elif call.name == "LeaseTimeToLive":
        message.TTL = _alike_left(message)
        message.keys.sort()  # etcd's come as Go's maps have them
    elif call.name == "LeaseLeases":
        ids = sorted(lease.ID for lease in message.leases)  # those of one TTL have no order after a restart
        message = type(message)(header=message.header, leases=[pb.LeaseStatus(ID=lease_id) for lease_id in ids])
    return answer._replace(message=message)


def _alike_left(answer: Any) -> int:
    """What is left of a lease, but for the seconds that a conversation may take (a new leader adds some)."""
    left, granted = answer.TTL, answer.grantedTTL
    return granted if granted and granted - 300 < left <= granted + 1 else left


def _alike_status(side: Side) -> Any:
    status = side.settled_status()
    plain = pb.StatusResponse(header=status.header, leader=status.leader, raftTerm=side.plain_term(status.raftTerm))
    plain.header.raft_term = side.plain_term(status.header.raft_term)
    plain.version = ".".join(status.version.split(".")[:2])
    plain.raftIndex = status.raftIndex - side.index_base
    plain.raftAppliedIndex = status.raftAppliedIndex - side.index_base
    plain.errors.extend(status.errors)
    plain.isLearner = status.isLearner
    # Sizes are of bbolt there and of LevelDB here; both must say something.
    plain.dbSize, plain.dbSizeInUse = int(status.dbSize > 0), int(status.dbSizeInUse > 0)
    return plain


def make_pair(tmp_dir: Path, expected: type[Member], subject: type[Member]) -> Pair:
    """Two members with the same flags; not started yet."""
    flags = (*FAST_ELECTION, "--snapshot-count=1000")
    return Pair(expected(tmp_dir / "expected", *flags), subject(tmp_dir / "subject", *flags))
