"""The transport between members as cores without I/O: bytes, facts and times in; bytes, answers and reports out.

Whoever owns the sockets (actors/peer) calls these. Times are arguments: `now` in seconds of a monotonic clock, `unix_s`
since 1970. Bad bytes raise ProtocolError (`protocol_error`): that stream or connection ends, and nothing else.

HTTP/1.1 (`http1`, `heads`, `chunks`), both ends, incremental and bounded:

    reader = RequestReader(routes.body_bytes_max)           accepted connections
    reader = ResponseReader(body_bytes_max, is_stream)      dialled connections
    reader.receive(data) -> list[event]     event: a head, bytes of a body, or END. raises ProtocolError(text, status)
    reader.receive_eof() -> list[event]     the other side has closed; raises ProtocolError inside a message
    reader.proceed() -> list[event]         after END: goes on with the next message; before, what follows only waits
    reader.is_idle, reader.waiting_bytes
    reader.hand_over() -> bytes             what has come of a body without a bound, behind its head
    RequestHead(method, target, headers, length, keeps_alive), .path, .expects_continue
    ResponseHead(status, headers, length, keeps_alive)
    encode_request(method, target, headers), encode_response(status, headers) -> bytes
    encode_chunk(parts) -> bytes, LAST_CHUNK, CONTINUE

Streams of raft messages (`message_stream`, `msgapp_stream`, `screen`, `appends`):

    screen = Screen(local_id); screen.removed = {...}       what may be stepped; screen.refused counts what may not
    MessageDecoder(screen).receive(data) -> list[bytes]     encoded raftpb.Message each, for Received; link heartbeats
    MsgappDecoder(screen, remote_id).receive(data)          are left out
    decode_post(screen, body) -> bytes | None               body of POST /raft; None: not to be stepped
    encode_frame(message) -> bytes, MESSAGE_HEARTBEAT, MSGAPP_HEARTBEAT
    MsgappEncoder(local_id, remote_id).encode(Append(term, log_term, index, commit, entries)) -> list[bytes]

What goes out to one member (`outbox`), its streams attached or not:

    outbox = Outbox(local_id, remote_id)
    outbox.attach(MSGAPP | MESSAGE), outbox.detach(kind)    an accepted stream of that kind is up, or gone
    outbox.send(message: bytes), outbox.append(append)      chooses the way; what does not fit is dropped and reported
    outbox.take(kind) -> bytes                              next chunk of that stream, b"" if there is nothing
    outbox.heartbeat(kind)                                  each LINK_HEARTBEAT_S
    outbox.next_post() -> bytes | None                      next body for POST /raft; on_post_failed() if it is lost
    outbox.take_unreachable() -> bool                       whether something was lost since the last look
    outbox.has_output(kind), outbox.waiting_bytes(kind), outbox.has_post
    message_type(encoded) -> int                            MSG_SNAP goes another way

Who is who (`directory`), requests that come in (`routes`, `answers`), those that go out (`dialling`):

    directory = Directory(member_id, cluster_id, peer_urls, server_version); directory.learn(members: Members)
    directory.members, .peers, .removed, .remotes, .urls_of(id), .is_removed
    check(head, directory) -> Accepted(what, remote_id, stream, body_bytes_max) | Answer        every peer URL
    Answer(status, headers, body).encode(unix_s, keeps_alive, is_head) -> bytes
    stream_head(directory, unix_s) -> bytes                 the 200 of an accepted STREAM
    accepted, not_processed, undecodable, members_answer, version_answer(directory) -> Answer
    probing_answer(unix_ns), asked_answer(directory, path, status, content_type, body) -> Answer
    text_error(status, text) -> Answer
    Dialler(directory, process).stream_request(kind, authority, remote_id), .message_request(authority, size),
        .snapshot_request(authority), .call_request(method, path, authority, body) -> bytes
    judge_stream(status, headers, body, server_version), judge_post(status, body) -> Verdict(kind, text)
        kind: OK, RETRY or REMOVED

How another member fares (`status`, `redial`, `processes`, `probing`):

    Status().activate(unix_s) -> bool, .deactivate(why) -> bool, .active_since
    Redial(urls).url, .due(now) -> s, .on_dial(now), .on_failure()
    Processes().are_two(process) -> bool                    whether it runs twice (`processes`)
    Probes(now).on_answer(took_s, unix_s, body), .on_failure(why), .round_trip_s, .warnings(now)
"""
