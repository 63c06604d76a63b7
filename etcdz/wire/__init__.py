"""The wire: HTTP/2 with gRPC and HTTP/1.1, as cores without I/O. Bytes in, events out; answers in, bytes out.

Server, one object per connection (`etcdz.wire.server`):

    conn = GrpcServerConnection(methods, settings, now)
        methods: Mapping[bytes, Method]     {b"/etcdserverpb.KV/Put": Method(path: bytes, unary: bool, tag: int = 0)}
        settings: ServerSettings            (message_bytes_max, max_concurrent_streams, window, ..., all with defaults)
        now: Callable[[], float]            a monotonic clock in seconds
    conn.receive(data: bytes) -> list[ServerEvent]      never raises; events in order, see `etcdz.wire.events`:
        (kind, stream_id, method, message, deadline, metadata), each of kind CALL, STREAM_OPEN, STREAM_MESSAGE,
        STREAM_END or CANCEL
    conn.reply(stream_id, message: bytes) -> None                       unary: the answer
    conn.fail(stream_id, code: int, text: str) -> None                  unary or streaming: the error
    conn.send_message(stream_id, message: bytes) -> None                streaming
    conn.send_parts(stream_id, head: bytes, body: bytes) -> None        the same; body is shared by many, not copied
    conn.send_joined(stream_id, messages: bytes) -> None                several, each behind its gRPC prefix
    conn.finish(stream_id, code: int = 0, text: str = "") -> None       streaming
    conn.take_output() -> bytes                 all that is to be written now (first the greeting): call it once a turn
    conn.should_close -> bool                   write take_output(), then close the transport
    conn.connection_lost() -> list[ServerEvent] the transport is gone: CANCEL for every open call
    conn.next_deadline() -> float | None        when to call
    conn.expire(now: float) -> list[ServerEvent] answers overdue calls itself; CANCEL for each that the application has
    conn.go_away() -> None                      graceful end: GOAWAY, PING, GOAWAY; should_close once all are served
    conn.goaway_confirmed -> bool               the client knows of the first GOAWAY
    conn.open_streams -> int
    conn.pending_bytes -> int                   held back by the client's windows, all streams
    conn.pending_stream_bytes(stream_id) -> int the same for one stream: a watch whose client stalls
    conn.closed, conn.error_code                ended by an error, and which (HTTP/2 code)

reply, fail, send_message and finish for a stream that is gone do nothing. What is not bounded here is the transport's
own buffer: stop reading from a client that does not read, and no new calls come.

Client (`etcdz.wire.client`), one object per connection:

    conn = GrpcClientConnection(ClientSettings(authority=b"host:2379", ...), now)
    conn.call(path: bytes, message: bytes, timeout_s=None, metadata=()) -> stream_id        unary; raises CannotOpen
    conn.open(path, timeout_s=None, metadata=()) -> stream_id                               streaming; raises CannotOpen
    conn.send_message(stream_id, message), half_close(stream_id), cancel(stream_id)
    conn.receive(data) -> list[ClientEvent]     never raises: (kind, stream_id, code, text, message), each of kind
        DONE, MESSAGE or GOAWAY
    conn.room -> int                            how many calls may be started now
    take_output, expire, next_deadline, should_close, connection_lost and the counts as above

Blocking (`etcdz.net.blocking_channel`), one thread per channel; targets host:port, http://host:port, unix:path:

    Channel(target).unary(path: str, body: bytes, timeout=None, metadata=()) -> bytes       raises RpcError(code, text)
    Channel(target).stream(path, ...) -> BlockingStream                     send, close_send, recv(timeout), cancel

HTTP/1.1 (`etcdz.wire.http1`): Http1Connection(Http1Limits()).receive(data) -> list[Request(id, method, target, headers,
body)]; respond(id, status, body, content_type, headers); take_output, should_close.

Which protocol, by the first bytes (`etcdz.wire.sniff`): sniff(data: bytes) -> HTTP2 | HTTP1 | None (need more bytes).
"""
