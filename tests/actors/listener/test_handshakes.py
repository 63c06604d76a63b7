"""TLS handshakes over real sockets in one event loop: who is served, who is refused in which words, and what waits."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener import handshakes as module
from actors.listener.handshakes import Handshakes
from actors.listener.ports import PLAIN, Port
from etcdz import limits
from etcdz.testing.certificates import SERVER, Authority
from etcdz.tls.files import TlsFiles
from etcdz.tls.settings import TlsSettings
from etcdz.wire.tls_session import TlsSession

SECURE = PLAIN._replace(http2=True)
BOTH, ONLY_TLS = Port(True, True, PLAIN, SECURE), Port(False, True, PLAIN, SECURE)
REJECTED = "rejected connection on client endpoint"


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def log(self, level: str, msg: str, **fields: Any) -> None:
        self.lines.append((level, msg, fields))

    def warn(self, msg: str, **fields: Any) -> None:
        self.lines.append(("warn", msg, fields))

    info = warn

    @property
    def errors(self) -> list[tuple[str, str]]:
        return [(level, fields["error"]) for level, msg, fields in self.lines if msg == REJECTED]


class Served:
    """In place of a Connection: answers everything with the same in capital letters."""

    def __init__(self, host: "World", offer: Any, common_name: str = "") -> None:
        host.served.append(self)
        self.offer, self.common_name = offer, common_name
        self.heard: list[bytes] = []
        self.events: list[str] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def drain(self) -> None:
        self.events.append("drain")

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)
        self.transport.write(data.upper())

    def eof_received(self) -> bool:
        self.events.append("eof")
        return False

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def connection_lost(self, error: Exception | None) -> None:
        self.events.append("lost")


class World:
    """Handshakes behind a socket; every test runs in its event loop."""

    def __init__(self, authority: Authority, port: Port, **settings: Any) -> None:
        self.authority = authority
        self.loop = asyncio.new_event_loop()
        self.log = Log()
        self.served: list[Served] = []
        self.held: list[bool] = []
        self.mistakes: list[Exception] = []
        self.is_leaving = False
        files = authority.issue("server", ips=["127.0.0.1"], dns=["localhost"])
        chosen = TlsSettings(cert_file=str(files.cert), key_file=str(files.key), **settings)
        self.handshakes = Handshakes(
            self,  # type: ignore[arg-type]
            chosen,
            TlsFiles(chosen, self.log),
            self.log,
            self.loop,
            self.held.append,
            lambda: self.is_leaving,
        )
        self.port = 0
        self._served_port = port

    def on_connection_error(self, connection: Any, error: Exception) -> None:
        self.mistakes.append(error)

    async def listen(self) -> asyncio.AbstractServer:
        server = await self.loop.create_server(lambda: self.handshakes.new(self._served_port), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def run(self, test: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            server = await self.listen()
            await test()
            server.close()
            self.handshakes.close()
            for served in self.served:
                served.transport.abort()
            await asyncio.sleep(0)

        self.loop.run_until_complete(asyncio.wait_for(whole(), 240))
        self.loop.close()
        assert self.mistakes == []

    def context(self, name: str = "", **issued: Any) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.ca))
        if name:
            files = self.authority.issue(name, **issued)
            context.load_cert_chain(files.cert, files.key)
        return context

    async def connect(self, context: ssl.SSLContext | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=context)

    async def until(self, is_true: Callable[[], bool]) -> None:
        while not is_true():
            await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def _served_instead_of_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "Connection", Served)
    yield


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello")
    return await reader.read(100)


def test_a_client_is_served_and_known_by_its_name(authority: Authority) -> None:
    world = World(authority, ONLY_TLS, client_cert_auth=True, trusted_ca_file=str(authority.ca))

    async def test() -> None:
        assert await talk(*await world.connect(world.context("alice"))) == b"HELLO"
        [served] = world.served
        assert (served.common_name, served.offer) == ("alice", SECURE)
        assert len(world.handshakes) == 0 and not world.log.errors

    world.run(test)


def test_without_client_cert_auth_a_certificate_is_demanded_and_names_nobody(authority: Authority) -> None:
    world = World(authority, ONLY_TLS, trusted_ca_file=str(authority.ca))

    async def test() -> None:
        assert await talk(*await world.connect(world.context("alice"))) == b"HELLO"
        assert world.served[0].common_name == ""
        with pytest.raises((ssl.SSLError, ConnectionError)):
            assert await talk(*await world.connect(world.context())) == b""
            raise ConnectionError

    world.run(test)
    assert world.log.errors == [("warn", "tls: client didn't provide a certificate")]


def test_one_address_for_both(authority: Authority) -> None:
    world = World(authority, BOTH)

    async def test() -> None:
        assert await talk(*await world.connect(None)) == b"HELLO"
        assert await talk(*await world.connect(world.context())) == b"HELLO"
        assert [served.offer for served in world.served] == [PLAIN, SECURE]
        reader, writer = await world.connect(None)
        writer.write(b"\x01\x02\x03\x04\x05")
        assert b"HELLO" not in await reader.read()

    world.run(test)
    assert world.log.errors == [("warn", "tls: first record does not look like a TLS handshake")]


def test_no_words_over_a_client_that_says_nothing_where_it_need_not_speak_tls(authority: Authority) -> None:
    for port, errors in ((BOTH, []), (ONLY_TLS, [("debug", "EOF")])):
        world = World(authority, port)

        async def test(world: World = world) -> None:
            _, writer = await world.connect(None)
            await world.until(lambda: len(world.handshakes) == 1)
            writer.close()
            await world.until(lambda: len(world.handshakes) == 0)

        world.run(test)
        assert world.log.errors == errors


def test_plain_text_is_refused_where_tls_alone_is_spoken(authority: Authority) -> None:
    world = World(authority, ONLY_TLS)

    async def test() -> None:
        reader, writer = await world.connect(None)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not (await reader.read()).startswith(b"HTTP")

    world.run(test)
    assert world.log.errors == [("warn", "tls: first record does not look like a TLS handshake")]


def test_a_refused_certificate_is_described(authority: Authority, tmp_path: Path) -> None:
    revoked = authority.issue("revoked", dns=["a.example"], ips=["127.0.0.1"])
    crl = authority.revoke(tmp_path / "crl", [revoked.serial])
    world = World(authority, ONLY_TLS, client_cert_auth=True, trusted_ca_file=str(authority.ca), crl_file=str(crl))

    async def test() -> None:
        context = world.context()
        context.load_cert_chain(revoked.cert, revoked.key)
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", world.port, ssl=context, server_hostname="localhost"
        )
        writer.write(b"hello")
        assert await reader.read() == b""
        assert world.served == []

    world.run(test)
    [(level, _, fields)] = world.log.lines
    assert level == "warn" and fields["error"] == f"transport: certificate serial {revoked.serial_hex} revoked"
    assert fields["server-name"] == "localhost" and fields["remote-addr"].startswith("127.0.0.1:")
    assert (list(fields["ip-addresses"]), list(fields["dns-names"])) == (["127.0.0.1"], ["a.example"])


@pytest.mark.parametrize(
    ("issued", "text"),
    [
        ({"days": -2}, "certificate has expired or is not yet valid"),
        ({"usages": [SERVER]}, "certificate specifies an incompatible key usage"),
    ],
)
def test_certificates_that_are_not_good(authority: Authority, issued: dict[str, Any], text: str) -> None:
    world = World(authority, ONLY_TLS, client_cert_auth=True, trusted_ca_file=str(authority.ca))

    async def test() -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await talk(*await world.connect(world.context("bad", **issued)))
            raise ConnectionError

    world.run(test)
    [(level, error)] = world.log.errors
    assert level == "warn" and error.startswith("tls: failed to verify certificate: x509: ") and text in error


def test_silence_has_an_end(authority: Authority) -> None:
    world = World(authority, ONLY_TLS)

    async def test() -> None:
        began = world.loop.time()
        silent, _ = await world.connect(None)
        stuck, writer = await world.connect(None)
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        await world.until(lambda: world.handshakes.is_serving)
        world.handshakes.expire(began + limits.HANDSHAKE_S / 4)
        assert len(world.handshakes) == 2
        world.handshakes.expire(world.loop.time() + limits.HANDSHAKE_S + 1)
        assert (await silent.read(), await stuck.read()) == (b"", b"")
        assert len(world.handshakes) == 0

    world.run(test)
    assert world.log.errors == [("warn", "i/o timeout")] * 2


def test_places_are_limited_and_not_for_those_that_are_silent(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "HANDSHAKES_MAX", 3)
    monkeypatch.setattr(module, "_RESUME_BELOW", 2)
    world = World(authority, BOTH)

    async def test() -> None:
        stuck = []
        for count in range(1, 4):
            stuck.append(await world.connect(None))
            stuck[-1][1].write(b"\x16\x03\x01\x02\x00\x01")
            await world.until(lambda count=count: len(world.handshakes._shaking) == count)
        waits = world.loop.create_task(world.connect(world.context()))
        await world.until(lambda: world.held == [True])
        assert await talk(*await world.connect(None)) == b"HELLO", "who speaks no TLS needs no place"
        await world.until(lambda: not any(each.is_busy for each in world.handshakes._shaking))
        world.handshakes.expire(world.loop.time() + limits.HANDSHAKE_PRESSED_S + 1)
        assert await talk(*await waits) == b"HELLO"
        await world.until(lambda: world.held == [True, False])

    world.run(test)
    assert world.log.errors == [("warn", "i/o timeout")] * 3


def test_many_at_once_are_all_served(authority: Authority) -> None:
    world = World(authority, ONLY_TLS, client_cert_auth=True, trusted_ca_file=str(authority.ca))

    async def test() -> None:
        context = world.context("crowd")

        async def one() -> bytes:
            return await talk(*await world.connect(context))

        assert await asyncio.gather(*[one() for _ in range(60)]) == [b"HELLO"] * 60
        assert {served.common_name for served in world.served} == {"crowd"} and world.handshakes.done == 60

    world.run(test)


def test_what_comes_with_the_end_of_the_handshake_is_not_lost(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By threads: the request, close_notify and the end of the connection come while the last step is under way."""
    monkeypatch.setattr(module, "FEW", 0)
    world = World(authority, ONLY_TLS)

    async def test() -> None:
        session_in, session_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = world.context().wrap_bio(session_in, session_out, server_hostname="127.0.0.1")
        reader, writer = await world.connect(None)
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        writer.write(session_out.read())
        while True:
            session_in.write(await reader.read(10_000))
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                pass
        session.write(b"all")
        writer.write(session_out.read())
        for byte in b" of it":
            session.write(bytes([byte]))
            writer.write(session_out.read())
        with pytest.raises(ssl.SSLWantReadError):
            session.unwrap()
        writer.write(session_out.read())
        writer.write_eof()
        await reader.read()
        await world.until(lambda: bool(world.served))
        [served] = world.served
        assert b"".join(served.heard) == b"all of it"
        assert served.events.count("eof") == 1

    world.run(test)
    assert world.log.errors == []


def test_an_end_is_told(authority: Authority) -> None:
    """close_notify, without which a client cannot tell an end from a cut."""
    world = World(authority, ONLY_TLS)

    async def test() -> None:
        reader, writer = await world.connect(world.context())
        assert await talk(reader, writer) == b"HELLO"
        world.served[0].transport.write(b"last words")
        world.served[0].transport.close()
        world.served[0].transport.write(b"too late")
        assert await reader.read() == b"last words"
        ended = writer.get_extra_info("ssl_object")
        with pytest.raises(ssl.SSLZeroReturnError):
            ended.read(1)

    world.run(test)


def test_who_comes_while_the_listener_leaves_is_asked_to_go_on_elsewhere(authority: Authority) -> None:
    world = World(authority, ONLY_TLS)
    world.is_leaving = True

    async def test() -> None:
        assert await talk(*await world.connect(world.context())) == b"HELLO"
        assert world.served[0].events == ["drain"]

    world.run(test)


def test_without_good_files_nobody_is_served(authority: Authority, tmp_path: Path) -> None:
    world = World(authority, ONLY_TLS)
    settings = TlsSettings(cert_file=str(tmp_path / "none.pem"), key_file=str(tmp_path / "none-key.pem"))
    world.handshakes.files = TlsFiles(settings, world.log)

    async def test() -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await world.connect(world.context())

    world.run(test)
    assert len(world.log.errors) == 1


def test_a_mistake_ends_its_connection_alone(authority: Authority) -> None:
    world = World(authority, ONLY_TLS)
    world.handshakes.files = SimpleNamespace(server_context=lambda: 1 // 0)  # type: ignore[assignment]

    async def test() -> None:
        reader, writer = await world.connect(None)
        writer.write(b"\x16")
        with pytest.raises(ConnectionError):
            assert await reader.read() == b""
            raise ConnectionError
        assert [type(mistake) for mistake in world.mistakes] == [ZeroDivisionError]
        assert len(world.handshakes) == 0
        world.mistakes.clear()

    world.run(test)


def test_a_storm_begins_in_small_parts(authority: Authority) -> None:
    """Clients that are connected have their turn between them."""
    world = World(authority, ONLY_TLS)
    hello = client_hello(world)
    per_turn: list[int] = []

    async def test() -> None:
        before = 0
        clients = [await world.connect(None) for _ in range(3 * module.ADMITTED_PER_TURN)]
        shakes = world.handshakes
        await world.until(lambda: len(shakes) == len(clients))
        for handshake in list(shakes._accepted):
            handshake.data_received(hello)
        while sum(per_turn) < len(clients):
            per_turn.append(len(shakes._shaking) - before)
            before = len(shakes._shaking)
            await asyncio.sleep(0)
        for _, writer in clients:
            writer.close()

    world.run(test)
    assert max(per_turn) <= module.ADMITTED_PER_TURN


def client_hello(world: World) -> bytes:
    session = TlsSession(world.context(), False, "localhost")
    session.receive(b"")
    return session.outgoing()
