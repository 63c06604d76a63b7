"""What one client sends under TLS takes no more than its turn of the event loop."""

import asyncio
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from actors.listener import tls_transport
from actors.listener.tls_transport import TlsTransport
from etcdz.testing.certificates import Authority
from etcdz.tls import contexts
from etcdz.tls.settings import TlsSettings
from etcdz.wire.tls_session import TlsSession
from tests.wire.key_updates import key_updates


class Lower:
    """The event loop's transport."""

    def __init__(self) -> None:
        self.written = b""
        self.reads, self.is_over = True, False
        self.abort = self.get_extra_info = self.get_write_buffer_size = self.set_write_buffer_limits = None

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.is_over = True

    def is_closing(self) -> bool:
        return self.is_over

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


class Client:
    """What is above it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.ends = 0

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def eof_received(self) -> bool:
        self.ends += 1
        return True


@pytest.fixture
def ends(tmp_path: Path) -> Any:
    authority = Authority(tmp_path)
    files = authority.issue("server", dns=["localhost"])
    server = TlsSession(
        contexts.server_context(TlsSettings(cert_file=str(files.cert), key_file=str(files.key)), ()), True
    )
    client = TlsSession(ssl.create_default_context(cafile=str(authority.ca)), False, "localhost")
    client.receive(b"")
    while not (client.is_established and server.is_established):
        server.receive(client.outgoing())
        client.receive(server.outgoing())
    lower, above = Lower(), Client()
    return SimpleNamespace(client=client, lower=lower, above=above, transport=TlsTransport(lower, server, above))  # type: ignore[arg-type]


def says(client: TlsSession, what: bytes) -> bytes:
    client.send(what)
    return client.outgoing()


def test_others_have_their_turn_between_slices_and_nothing_is_out_of_order(
    ends: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_transport, "_TURN_S", 0.0)
    words = [b"%04d" % number for number in range(100)]
    data = b"".join([says(ends.client, word) + key_updates(ends.client, 10, True) for word in words])

    async def run() -> int:
        ends.transport.data_received(data)
        assert not ends.lower.reads, "no more is read before the rest has been taken"
        turns = 0
        while not ends.lower.reads:
            turns += 1
            if turns == 2:
                ends.transport.pause_reading()
                for _ in range(3):
                    await asyncio.sleep(0)
                heard = len(ends.above.heard)
                await asyncio.sleep(0)
                assert len(ends.above.heard) == heard, "who is above takes nothing now"
                ends.transport.eof_received()
                ends.transport.resume_reading()
            if ends.above.ends:
                break
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(run()) > 5
    assert b"".join(ends.above.heard) == b"".join(words)
    assert ends.above.ends == 1, "behind all that it has said"
    assert len(ends.lower.written) > 1_000 * 20, "answers of TLS itself do not pile up"


def test_a_flood_of_new_keys_ends_the_connection(ends: Any) -> None:
    ends.transport.data_received(key_updates(ends.client, 1_000, False))
    assert ends.lower.is_over
