"""The transport between members as cores without I/O: bytes, facts and times in; bytes, answers and reports out.

Whoever owns the sockets (actors/peer) calls these. Times are arguments: `now` in seconds of a monotonic clock, `unix_s`
since 1970. Bad bytes raise ProtocolError (`protocol_error`): that stream or connection ends, and nothing else.

HTTP/1.1 (`http1`, `heads`, `chunks`), both ends, incremental and bounded:

    reader = RequestReader(body_bytes_max: Callable[[RequestHead], int | None])    accepted connections
    reader = ResponseReader()                                        dialled connections
    reader.receive(data) -> list[event]     event: a head, bytes of a body, or END. raises ProtocolError(text, status)
    reader.receive_eof() -> list[event]     the other side has closed; raises ProtocolError inside a message
    reader.proceed() -> list[event]         after END: goes on with the next message; before, what follows only waits
    RequestHead(method, target, headers, keeps_alive, expects_continue), .path, ResponseHead(status, headers, keeps_alive)
    encode_request(method, target, headers), encode_response(status, headers) -> bytes
    encode_chunk(parts) -> bytes, LAST_CHUNK, CONTINUE

Streams of raft messages (`message_stream`, `msgapp_stream`):

    screen = Screen(local_id); screen.removed = {...}       what may be stepped; screen.refused counts what may not
    MessageDecoder(screen).receive(data) -> list[bytes]     encoded raftpb.Message each, for Received; link heartbeats
    MsgappDecoder(screen, remote_id).receive(data)          are left out
    decode_post(screen, body) -> bytes | None               body of POST /raft; None: not to be stepped (answer 500)
    encode_frame(message) -> bytes, MESSAGE_HEARTBEAT, MSGAPP_HEARTBEAT
    MsgappEncoder(local_id, remote_id).encode(append) -> list[bytes]      append: (term, log term, index, commit, entries)

What goes out to one member (`outbox`), its streams attached or not:

    outbox = Outbox(local_id, remote_id)
    outbox.attach(MSGAPP | MESSAGE), outbox.detach(kind)    an accepted stream of that kind is up, or gone
    outbox.send(message: bytes), outbox.append(append)      chooses the way; what does not fit is dropped and reported
    outbox.take(kind) -> bytes                              next chunk of that stream, b"" if there is nothing
    outbox.heartbeat(kind)                                  each LINK_HEARTBEAT_S
    outbox.next_post() -> bytes | None                      next body for POST /raft
    outbox.take_unreachable() -> bool                       whether something was lost since the last look
    outbox.has_output(kind), outbox.has_post

Requests that come in (`routes`, `answers`), and those that go out with what an answer means (`dialling`):

    check(head, host: Host) -> Accepted(kind, remote_id, told_urls, ...) | Answer      every peer URL
    body_bytes_max(head) -> int                             for RequestReader
    Answer(status, headers, body).encode(unix_s, keep_alive) -> bytes
    stream_head(host, unix_s) -> bytes                      the 200 of an accepted stream
    members_answer(host), version_answer(host), probing_answer(unix_ns), raft_answer(host, ok) -> Answer
    Dialler(host): stream_request(kind, authority, remote_id), message_request(authority, size),
        snapshot_request(authority), call_request(method, path, authority, body) -> bytes
    judge_stream(status, headers, body), judge_post(...) -> Verdict(kind, text)    OK, RETRY, REMOVED

State of the other members (`directory`, `status`, `redial`, `probing`):

    directory = Directory(member_id, cluster_id, peer_urls, server_version); directory.learn(members: Members)
    directory.peers, directory.removed, directory.remotes: who is who; it is the Host of the checks above
    Status().activate(unix_s) -> bool, .deactivate(why) -> bool, .active_since
    Redial(urls).next_url(), .failed(), .due(now) -> float
    Probes(): on_answer(sent, now, body, unix_s), on_failure(), .smoothed_s, .warnings(now)
"""
