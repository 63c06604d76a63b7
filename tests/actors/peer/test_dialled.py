"""What a peer actor makes of members that it dials: streams that it reads, and what other actors ask of them."""

import asyncio
import gc
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from actors.peer import incoming_stream, remote_member
from actors.peer.dialled import dial, place_of
from actors.peer.exchanges import ExchangeConnection, Failed
from actors.peer.peer_tls import PeerTls
from actors.runtime.event_loop import CLOCK_S
from etcdz.ipc.messages import PeerAnswer, PeerCall, Removed
from etcdz.raft.codec import decode_message, encode_message
from etcdz.raft.messages import MSG_APP, MSG_APP_RESP, MSG_HEARTBEAT, MSG_VOTE, Message
from etcdz.tls.settings import NO_TLS
from tests.actors.peer.world import Member, World

MakeWorld = Callable[[str], World]
STREAM = b"HTTP/1.1 200 OK\r\nX-Server-Version: 3.5.1\r\nTransfer-Encoding: chunked\r\n\r\n"


class Nameless(uvloop.Loop):
    """Its name server knows no name, and does not say so before it may."""

    may_answer = threading.Event()

    async def getaddrinfo(self, *asked: Any, **more: Any) -> Any:
        return await self.run_in_executor(None, self._look_up)

    def _look_up(self) -> None:
        self.may_answer.wait()
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_that_is_looked_up_in_vain_after_it_was_given_up_ends_nothing() -> None:
    """A name server that does not answer takes longer than a dial may."""
    loop, unexpected = Nameless(), []
    loop.set_exception_handler(lambda loop, context: unexpected.append(context))
    place, tls = place_of("http://nowhere.invalid:1"), PeerTls(NO_TLS, loop, None)

    async def dial_twice() -> None:
        with pytest.raises(TimeoutError):
            await dial(loop, place, asyncio.Protocol, 0.0, tls)
        loop.may_answer.set()
        with pytest.raises(socket.gaierror):
            await dial(loop, place, asyncio.Protocol, 60.0, tls)

    loop.run_until_complete(dial_twice())
    gc.collect()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert unexpected == []


def test_a_dial_is_not_given_up_for_a_pause_of_this_process() -> None:
    loop = uvloop.new_event_loop()

    async def dial_through_a_pause() -> None:
        server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
        place = place_of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        loop.call_soon(time.sleep, 0.1)
        await dial(loop, place, asyncio.Protocol, 0.08, PeerTls(NO_TLS, loop, None))
        server.close()

    loop.run_until_complete(dial_through_a_pause())
    loop.close()


class Other:
    """Member b: a server that this test plays. answers: by the beginning of a path, what it says, and stays connected;
    a request that none fits is left unanswered. requests: lines of those that have come."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.id = world.id_of("b")
        self.answers: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.writers: list[asyncio.StreamWriter] = []
        self._server = world.run(asyncio.start_server(self._serve, "127.0.0.1", world.ports["b"]))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return
            line = head.decode().partition(" HTTP/1.1")[0]
            self.requests.append(line)
            for path, answer in self.answers.items():
                if line.split(" ")[1].startswith(path):
                    writer.write(answer)

    def streams(self, kind: str) -> int:
        """How often it was asked for this one."""
        return sum(f"/raft/stream/{kind}/" in line for line in self.requests)

    def close(self) -> None:
        self._server.close()
        for writer in self.writers:
            writer.transport.abort()


class Dialling:
    """Member a, a peer actor, and b."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.other = Other(world)
        self.member: Member = world.start("a")

    def says(self, kind: str, *frames: bytes) -> None:
        """On each stream of this kind, in a chunk for each frame."""
        chunks = [b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames]
        self.other.answers[f"/raft/stream/{kind}/"] = STREAM + b"".join(chunks)

    def is_redialled(self, kind: str) -> bool:
        return self.other.streams(kind) > 1


@pytest.fixture
def dialling(make_world: MakeWorld) -> Iterator[Dialling]:
    made = Dialling(make_world("ab"))
    yield made
    made.other.close()


def frame(message: Message) -> bytes:
    encoded = encode_message(message)
    return struct.pack(">Q", len(encoded)) + encoded


def vote(dialling: Dialling, term: int = 3, to: int = 0) -> Message:
    return Message(MSG_VOTE, to=to or dialling.member.id, from_=dialling.other.id, term=term)


def test_what_a_stream_carries_reaches_raft_and_what_is_not_for_it_does_not(dialling: Dialling) -> None:
    heartbeat = frame(Message(MSG_HEARTBEAT))
    dialling.says("message", heartbeat, frame(vote(dialling, to=99)), frame(vote(dialling, term=4)))
    dialling.world.until(lambda: bool(dialling.member.received()))
    assert [decode_message(one).term for one in dialling.member.received()] == [4]
    assert dialling.member.actor.remotes[dialling.other.id].status.is_active


@pytest.mark.parametrize(
    ("kind", "bad"),
    [
        ("message", struct.pack(">Q", 1 << 62)),
        ("message", struct.pack(">Q", 4) + b"\xff\xff\xff\xff"),
        ("msgapp", b"\x07"),
        ("msgapp", b"\x01" + struct.pack(">Q", 1 << 60)),
        ("msgapp", b"\x01" + struct.pack(">QQ", 1, 3) + b"\xff\xff\xff" + bytes(8)),
        ("msgapp", b"\x02" + struct.pack(">Q", 4) + b"\xff\xff\xff\xff"),
    ],
)
def test_bad_bytes_end_the_stream_which_is_dialled_again(dialling: Dialling, kind: str, bad: bytes) -> None:
    dialling.says(kind, bad)
    dialling.world.until(lambda: dialling.is_redialled(kind))
    assert dialling.member.actor.connection_errors == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 20\r\n\r\ncluster ID mismatch\n",
        b"HTTP/1.1 500 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",  # no version: who says so is older than 3.0
        b"\x16\x03\x01 no HTTP\r\n\r\n",
    ],
)
def test_an_answer_that_is_no_stream_is_taken_for_a_not_yet(dialling: Dialling, answer: bytes) -> None:
    dialling.other.answers["/raft/stream/"] = answer
    if not answer.startswith(b"HTTP/1.1 500"):
        dialling.world.until(lambda: dialling.is_redialled("message") and dialling.is_redialled("msgapp"))
    assert not dialling.member.actor.remotes[dialling.other.id].status.is_active


def test_a_post_that_fails_late_does_not_make_a_member_inactive_whose_stream_is_up(dialling: Dialling) -> None:
    """It was sent before there was a stream, and nothing would activate the member again."""
    dialling.says("message")
    remote = dialling.member.actor.remotes[dialling.other.id]
    dialling.world.until(lambda: remote.status.is_active)
    remote._on_post_failed(b"\x08\x05", "refused")
    assert remote.status.is_active


def test_a_stream_on_which_nothing_comes_is_cut(dialling: Dialling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incoming_stream, "READ_S", 0.01)
    dialling.says("message")
    dialling.world.until(lambda: dialling.is_redialled("message"))


def test_a_stream_is_not_cut_for_a_pause_of_this_process(dialling: Dialling, monkeypatch: pytest.MonkeyPatch) -> None:
    dialling.says("message", frame(vote(dialling)))
    world, member = dialling.world, dialling.member
    world.until(lambda: len(member.received()) == 1)
    before = dialling.other.streams("message")
    again = frame(vote(dialling))
    for writer in dialling.other.writers:
        writer.write(b"%x\r\n%b\r\n" % (len(again), again))
    monkeypatch.setattr(incoming_stream, "READ_S", 2 * CLOCK_S)
    time.sleep(2 * CLOCK_S + 0.1)
    world.until(lambda: len(member.received()) > 1)
    world.run(asyncio.sleep(0.01))
    assert dialling.other.streams("message") == before


def test_who_hears_that_it_was_removed_tells_the_supervisor(
    dialling: Dialling, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Removed] = []
    monkeypatch.setattr(dialling.member.actor.links, "tell_supervisor", told.append)
    dialling.other.answers["/raft/stream/"] = b"HTTP/1.1 410 Gone\r\nContent-Length: 15\r\n\r\nremoved member\n"
    dialling.world.until(lambda: bool(told))
    assert told[0].reason == "the member has been permanently removed from the cluster"


def test_a_stream_is_dialled_again_but_not_in_a_frenzy(dialling: Dialling) -> None:
    dialling.other.answers["/raft/stream/"] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    began = dialling.world.loop.time()
    dialling.world.until(lambda: dialling.other.streams("message") >= 4)
    assert dialling.world.loop.time() - began >= 0.29


def test_appends_are_held_back_while_raft_answers_none_and_other_messages_are_not(
    dialling: Dialling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_member, "PEER_UNANSWERED_BYTES_MAX", 1 << 20)
    monkeypatch.setattr(incoming_stream, "READ_S", 0.3)
    append = encode_message(
        Message(MSG_APP, to=dialling.member.id, from_=dialling.other.id, term=3, context=bytes(50_000))
    )
    frames = [b"\x02" + struct.pack(">Q", len(append)) + append for _ in range(200)]
    dialling.says("msgapp", *frames)
    dialling.says("message", frame(vote(dialling)))
    member = dialling.member
    remote = member.actor.remotes[dialling.other.id]
    world = dialling.world
    world.until(lambda: remote.unanswered_bytes > 1 << 20 and dialling.is_redialled("message"))
    held = remote.unanswered_bytes
    assert held < 3 << 20 and not dialling.is_redialled("msgapp")
    answer = Message(MSG_APP_RESP, to=dialling.other.id, from_=member.id, term=3)
    while sum(decode_message(one).type == MSG_APP for one in member.received()) < 200:
        before = remote.received_bytes
        member.send(answer)
        world.until(lambda before=before: remote.received_bytes > before)


# ---- what other actors ask ----


def call(dialling: Dialling, path: str, timeout_s: float = 60.0, to: int = 0) -> PeerAnswer:
    """The answer to a PeerCall."""
    member = dialling.member
    member.actor.calls.begin(PeerCall("lessor", 17, to or dialling.other.id, "GET", path, b"", timeout_s))
    dialling.world.until(lambda: bool(member.of(PeerAnswer, "lessor")))
    answer: PeerAnswer = member.of(PeerAnswer)[-1]
    member.sent.clear()
    assert answer.id == 17
    return answer


def test_an_actor_that_asks_another_member_is_told_its_answer(dialling: Dialling) -> None:
    dialling.other.answers["/version"] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    dialling.other.answers["/members"] = (
        b"HTTP/1.1 412 Precondition Failed\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
    )
    assert call(dialling, "/version")[1:] == (200, b"{}")
    assert call(dialling, "/members/promote/5")[1:] == (412, b"x")


def test_a_call_that_gets_no_answer_says_why(dialling: Dialling) -> None:
    assert call(dialling, "/downgrade/enabled", timeout_s=0.3)[1:] == (0, b"request timed out")
    assert call(dialling, "/version", to=99)[1:] == (0, b"no such member")
    dialling.other.close()
    assert call(dialling, "/version").status == 0


def test_a_call_goes_to_the_next_url_only_if_the_first_cannot_be_dialled(dialling: Dialling) -> None:
    dialling.other.answers["/version"] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    remote = dialling.member.actor.remotes[dialling.other.id]
    remote.learn(["http://127.0.0.1:1", "https://127.0.0.1:1", dialling.world.urls["b"]])
    assert call(dialling, "/version").status == 200
    remote.learn([dialling.world.urls["b"], dialling.world.urls["b"] + "0"])
    assert call(dialling, "/leases", timeout_s=3.0).body == b"request timed out"
    dialling.world.until(lambda: "GET /leases" in dialling.other.requests)
    assert dialling.other.requests.count("GET /leases") == 1


def test_a_connection_that_is_closed_as_soon_as_it_is_there_is_a_call_without_an_answer(dialling: Dialling) -> None:
    """And not an error that nobody has waited for, which would end the actor."""
    world = dialling.world
    connection: ExchangeConnection = world.run(
        dial(
            world.loop,
            place_of(world.urls["b"]),
            lambda: ExchangeConnection(world.loop),
            60.0,
            dialling.member.actor.tls,
        )
    )
    connection.cut("closed")
    with pytest.raises(Failed, match="connection closed") as failed:
        world.run(connection.ask(b"GET / HTTP/1.1\r\n\r\n"))
    assert not failed.value.was_sent
    connection.cut("")
    del connection, failed
    gc.collect()
    world.until(lambda: True)


def test_connections_of_calls_are_used_again(dialling: Dialling) -> None:
    dialling.other.answers["/version"] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    dialling.world.until(lambda: len(dialling.other.writers) >= 3)  # two streams and a probe
    before: Any = None
    for _ in range(3):
        call(dialling, "/version")
        before = before or len(dialling.other.writers)
    assert len(dialling.other.writers) == before
