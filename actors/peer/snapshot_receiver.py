"""Receives another member's snapshot and makes a store of it: a process that the peer actor starts for one request.

    python -m actors.peer.snapshot_receiver <directory> <member id> <cluster id> <fd> <length>

    directory  of the member's store, `member/snap`
    fd         the connection, on which the head of the request was read
    length     of the body in bytes; negative: it is chunked

    stdin    {"begin": what was read of the body}, later {"answer": what to answer}; when it ends so does this process
    stdout   {"arrived": [index, term, path of the store, encoded MsgSnap], "synced_ns": how long its sync took}, or
             {"refused": [status, text]}
    stderr   one line that says why it failed, with exit status 1

    body     := length of the message (8, BE), the message, a bbolt file to the end

The store is whole and synced, and has its name (etcdz/store/received.py), before raft hears of it, so that the member
goes on as it is for as long as this takes. Nothing of what comes is trusted, and no size is taken at its word.
"""

import queue
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, NoReturn

from google.protobuf.message import DecodeError

from actors.runtime import worker_process
from etcdz import limits
from etcdz.bbolt import BoltCorrupt
from etcdz.migration.errors import MigrationError
from etcdz.migration.received_snapshot import make_store
from etcdz.peer.chunks import ChunkedDecoder
from etcdz.peer.protocol_error import ProtocolError
from etcdz.raft.codec import decode_message
from etcdz.raft.messages import MSG_SNAP, Message
from etcdz.store import ballast, received, working_directory

STORE: Final = "leveldb"
READ_S: Final = 5.0
PACE_S: Final = 30.0
PACE_BYTES: Final = 1 << 20
"""What must come in so long: one whose snapshot trickles in would keep all others from sending theirs."""
READ_BYTES: Final = 256 << 10
MESSAGE_BYTES_MAX: Final = 256 << 20
"""Of the message, which carries the v2 store: little, but in a cluster whose clients once used that API."""
SPACE_CHECK_BYTES: Final = 16 << 20
LINGER_S: Final = 1.0
LINGER_BYTES: Final = 4 << 20
"""A sender that was refused is still writing: so much is read for so long, or it would see a reset and no answer."""


class Refused(Exception):
    """What the sender is answered."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Body:
    """The body of the request, as it comes."""

    def __init__(self, connection: socket.socket, begin: bytes, length: int) -> None:
        self._connection = connection
        self._begin = begin
        self._left = length
        self._chunks = ChunkedDecoder() if length < 0 else None
        self._pieces = self._read()
        self._rest = b""
        self._paced, self._paced_at = 0, time.monotonic()

    def take(self, count: int) -> bytes:
        """The next count bytes; fewer only at the end. raises OSError, ProtocolError"""
        taken = bytearray(self._rest)
        while len(taken) < count and (piece := next(self._pieces, None)) is not None:
            taken += piece
        self._rest = bytes(taken[count:])
        return bytes(taken[:count])

    def rest(self) -> Iterator[bytes]:
        """What follows. raises OSError, ProtocolError"""
        if self._rest:
            yield self._rest
        yield from self._pieces

    def _read(self) -> Iterator[bytes]:
        data = self._begin
        while True:
            yield from self._decode(data)
            if self._chunks.has_ended if self._chunks is not None else not self._left:
                return
            data = self._connection.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the connection was closed inside the body")
            self._check_pace(len(data))

    def _check_pace(self, size: int) -> None:
        """raises ConnectionError: too little has come for too long"""
        self._paced += size
        now = time.monotonic()
        if self._paced >= PACE_BYTES:
            self._paced, self._paced_at = 0, now
        elif now - self._paced_at > PACE_S:
            raise ConnectionError(f"less than {PACE_BYTES} bytes have come in {PACE_S:g} s")

    def _decode(self, data: bytes) -> list[bytes]:
        if self._chunks is not None:
            return self._chunks.receive(data, 0)[0]
        data = data[: self._left]
        self._left -= len(data)
        return [data] if data else []


def read_message(body: Body, member_id: int) -> tuple[bytes, Message]:
    """raises Refused, OSError, ProtocolError"""
    size = int.from_bytes(body.take(8), "big")
    if size > MESSAGE_BYTES_MAX:
        raise Refused(400, f"failed to decode raft message (message of {size} bytes)")
    encoded = body.take(size)
    if len(encoded) < size or not size:
        raise Refused(400, "failed to decode raft message (unexpected EOF)")
    try:
        message = decode_message(encoded)
    except DecodeError as error:
        raise Refused(400, f"failed to decode raft message ({error})") from error
    if message.type != MSG_SNAP or message.snapshot is None:
        raise Refused(400, "wrong raft message type")
    if message.to != member_id:
        raise Refused(500, "error processing raft message")
    return encoded, message


def save(body: Body, path: Path) -> None:
    """The file, as it comes. raises OSError, ProtocolError; Refused: no space"""
    with path.open("wb") as file:
        unchecked = SPACE_CHECK_BYTES
        for piece in body.rest():
            file.write(piece)
            unchecked += len(piece)
            if unchecked >= SPACE_CHECK_BYTES:
                unchecked = 0
                check_space(file, path)


def check_space(file: BinaryIO, path: Path) -> None:
    """raises Refused: what is left is not enough for the file once more, as a store"""
    needed = file.tell() + limits.BALLAST_BYTES + limits.DISK_RESERVE_BYTES
    if ballast.free_bytes(path.parent) < needed:
        raise Refused(500, f"failed to save KV snapshot (no space left on device, {needed} bytes are needed)")


def receive(body: Body, directory: Path, member_id: int, cluster_id: int) -> dict[str, Any]:
    """return what it says on stdout. raises Refused, OSError, ProtocolError"""
    encoded, message = read_message(body, member_id)
    assert message.snapshot is not None
    store, index = directory / STORE, message.snapshot.index
    working, lock = working_directory.make(directory, received.PREFIX)
    try:
        save(body, working / "db")
        synced_ns = make_store(working / "db", message.snapshot, member_id, cluster_id, working / STORE)
        path = received.keep(working / STORE, store, index)
    except (BoltCorrupt, MigrationError, ValueError) as error:
        raise Refused(500, f"failed to save KV snapshot ({error})") from error
    finally:
        worker_process.hold_signals()
        working_directory.remove(working, lock)
        worker_process.release_signals()
    return {"arrived": [index, message.snapshot.term, str(path), encoded], "synced_ns": synced_ns}


def answer(connection: socket.socket, data: bytes) -> None:
    """Sends the answer, and sees to it that it arrives."""
    with suppress(OSError):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(LINGER_S)
        left = LINGER_BYTES
        while left > 0 and (read := connection.recv(READ_BYTES)):
            left -= len(read)


def work(
    directory: Path, ids: tuple[int, int], connection: socket.socket, length: int, orders: "queue.SimpleQueue[Any]"
) -> None:
    """raises OSError, ProtocolError: the connection or the disk"""
    connection.settimeout(READ_S)
    try:
        body = Body(connection, orders.get()["begin"], length)
        worker_process.say(**receive(body, directory, *ids))
    except Refused as error:
        worker_process.say(refused=[error.status, error.text])
    answer(connection, orders.get()["answer"])


def main(directory: str, member_id: str, cluster_id: str, fd: str, length: str) -> NoReturn:
    orders = worker_process.begin_with_orders()

    def receive_one() -> None:
        with socket.socket(fileno=int(fd)) as connection:
            work(Path(directory), (int(member_id), int(cluster_id)), connection, int(length), orders)

    worker_process.end_with(receive_one, OSError, ProtocolError)


if __name__ == "__main__":
    main(*sys.argv[1:])
