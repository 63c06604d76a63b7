"""What a TLS client says first, as real clients say it, and as nobody should."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.wire.client_hello import decode_client_hello

TLS_1_2, TLS_1_3 = 0x303, 0x304


def hello(name: str | None = None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = newest
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def test_the_server_that_is_wanted() -> None:
    for name in ("example.com", "localhost"):
        found = decode_client_hello(hello(name))
        assert found is not None and found.server_name == name
    found = decode_client_hello(hello())
    assert found is not None and found.server_name == ""


def test_versions() -> None:
    found = decode_client_hello(hello())
    assert found is not None and found.versions == (TLS_1_3, TLS_1_2)
    found = decode_client_hello(hello(newest=ssl.TLSVersion.TLSv1_2))
    assert found is not None and TLS_1_2 in found.versions and TLS_1_3 not in found.versions


def test_a_greeting_without_extensions_offers_all_up_to_its_version() -> None:
    body = b"\x03\x02" + bytes(32) + b"\0" + b"\0\x02\0\x2f" + b"\x01\0"
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    found = decode_client_hello(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
    assert found == ("", (0x302, 0x301))


def test_in_several_records() -> None:
    whole = hello("example.com")
    message = whole[5:]
    records = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in (message[:3], message[3:50], message[50:])
    )
    assert decode_client_hello(records) == decode_client_hello(whole)


def test_cut_anywhere_it_is_none() -> None:
    whole = hello("example.com")
    assert [decode_client_hello(whole[:size]) for size in range(len(whole))] == [None] * len(whole)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    decode_client_hello(data)
    decode_client_hello(b"\x16\x03\x01" + len(data).to_bytes(2, "big") + data)


@given(st.integers(0, 500), st.integers(0, 255))
def test_a_greeting_with_one_wrong_byte(at: int, value: int) -> None:
    whole = bytearray(hello("example.com"))
    whole[at % len(whole)] = value
    decode_client_hello(bytes(whole))
