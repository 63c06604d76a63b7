"""What all tests of a listener want."""

import pytest

from actors.listener import connection, gateway_calls, tls_transport, websocket


@pytest.fixture(autouse=True)
def endless_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, what has come is handled in one turn; tests of slices shorten them."""
    monkeypatch.setattr(connection, "_TURN_S", 1e9)
    monkeypatch.setattr(gateway_calls, "TURN_S", 1e9)
    monkeypatch.setattr(tls_transport, "_TURN_S", 1e9)
    monkeypatch.setattr(websocket, "TURN_S", 1e9)
