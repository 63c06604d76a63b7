"""What comes of bytes that a connection has received: plain tuples of one shape for each end, to be unpacked by name.

    for kind, stream_id, method, message, deadline, metadata in server.receive(data): ...
    for kind, stream_id, code, text, message in client.receive(data): ...

One shape for all kinds, with empty values where a kind has nothing to say, rather than a class for each: a NamedTuple
takes three times as long to make and twice as long to read, and there is one for every call.
"""

from typing import Final

from etcdz.wire.request_head import Metadata, Method

# What a server is told.
CALL: Final = 1
"""A whole call: method, message, deadline, metadata."""
STREAM_OPEN: Final = 2
"""A streaming call begins: method, deadline, metadata."""
STREAM_MESSAGE: Final = 3
"""message"""
STREAM_END: Final = 4
"""The client will send no more."""
CANCEL: Final = 5
"""Give the call up: reset, deadline, connection error."""
REQUEST: Final = 6
"""A whole request that is not gRPC, where such are served: message is its body, metadata all of its header fields,
pseudo-headers included."""
REQUEST_OPEN: Final = 7
"""The head of one whose body is handed on as it comes: metadata as of REQUEST."""
REQUEST_BODY: Final = 8
"""message: a piece of its body, not empty"""
REQUEST_END: Final = 9
"""The end of its body."""

ServerEvent = tuple[int, int, Method, bytes, float | None, Metadata]
"""(kind, stream id, method, message, deadline, metadata). deadline: on the connection's clock; None: none."""

NO_METHOD: Final = Method(b"", True)

# What a client is told.
MESSAGE: Final = 1
"""message, of a streaming call"""
DONE: Final = 2
"""The end of a call, exactly once: code, text, and the message of a unary call whose code is 0."""
GOAWAY: Final = 3
"""No new calls; those of stream ids above this one were never begun. code: HTTP/2's; text: what the server adds."""

ClientEvent = tuple[int, int, int, str, bytes]
"""(kind, stream id, code, text, message)."""
