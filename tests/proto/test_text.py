"""Strings that are not UTF-8 go through messages, frames and JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdz.gateway.responses import encode_response
from etcdz.ipc.messages import AuthState, decode_frame, encode_frame
from etcdz.proto import etcdserverpb as pb
from etcdz.proto.text import decode_text, encode_text, printable


@given(st.binary(max_size=20))
def test_a_string_is_the_bytes_that_it_was(value: bytes) -> None:
    field = b"\x0a%c%b" % (len(value), value)
    message = pb.InternalRaftRequest(auth_user_add=pb.AuthUserAddRequest.FromString(field))
    again = pb.InternalRaftRequest.FromString(message.SerializeToString())
    text = decode_text(again.auth_user_add.name)
    assert encode_text(text) == value
    state = AuthState(1, 2, True, 3, [(text, [text])], [])
    assert [encode_text(name) for name, _ in decode_frame(encode_frame([state]))[0].users] == [value]


@pytest.mark.parametrize(
    ("value", "shown"), [(b"e\xcc", "e\ufffd"), (b"\xed\xa0\x80", "\ufffd" * 3), ("\u00e9".encode(), "\u00e9")]
)
def test_json_shows_each_byte_that_is_no_text(value: bytes, shown: str) -> None:
    assert printable(value) == shown
    message = pb.AuthUserListResponse.FromString(b"\x12%c%b" % (len(value), value))
    assert encode_response(message) == b'{"users":["%b"]}' % shown.encode()
