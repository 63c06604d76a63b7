"""Takes a snapshot of a member's store and sends it to another member: a process that the peer actor starts for one.

    python -m actors.peer.snapshot_sender <directory of the store>

    stdout   {"taken": [index, term, conf state, v2 store]}, then now and then {"progress": [bytes sent, bytes in all]},
             then {"sent": [whether it has arrived, status, text]}
    stdin    {"message": encoded MsgSnap, "targets": [[address, head of the request, server name], ..],
             "tls": TlsSettings.to_dict()}; when it ends so does this process (actors/runtime/worker_process.py)
    stderr   one line that says why it failed, with exit status 1

    body     := length of the message (8, BE), the message, the store as a bbolt file

It works on a checkpoint, so that message and file are of one and the same entry, however long raft takes over the one.
The file's first page names its last one, so all rows are gone through twice: once to find out where they will lie.
"""

import queue
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgpack

from actors.runtime import worker_process
from etcdz.bbolt import Layout
from etcdz.cluster.membership import Membership
from etcdz.mvcc.bolt_rows import write_file
from etcdz.net.tls_socket import TlsDialler
from etcdz.peer.chunks import LAST_CHUNK, encode_chunk
from etcdz.peer.heads import ResponseHead
from etcdz.peer.http1 import END, ResponseReader
from etcdz.peer.protocol_error import ProtocolError
from etcdz.store import buckets
from etcdz.store.checkpoint import open_checkpoint
from etcdz.store.interface import Store
from etcdz.telemetry import logs
from etcdz.tls.files import TlsFiles
from etcdz.tls.handshake_errors import handshake_error
from etcdz.tls.settings import TlsSettings
from etcdz.v2 import rows as v2_rows
from etcdz.v2 import snapshot as v2_snapshot
from etcdz.v2.cluster_nodes import store_of

BUFFER_BYTES: Final = 256 << 10
PROGRESS_BYTES: Final = 4 << 20
"""After so many it says how far it is."""
DIAL_S: Final = 2.0
WRITE_S: Final = 5.0
"""A receiver that takes nothing for so long is gone."""
ANSWER_S: Final = 120.0
ANSWER_BYTES_PER_S: Final = 1 << 20
"""A receiver makes a store of what it got before it answers. It takes a tenth of this; one that takes more is gone."""
KEEPALIVE_S: Final = 30
"""Between looks whether a machine that says nothing is still there; three in vain end the connection."""
NO_CONTENT: Final = 204

log = logs.get("peer")

Address = list[Any] | str
"""[host, port], or the path of a unix socket."""
Target = tuple[Address, bytes, str]
"""Address, head of the request, and the host whose certificate it must be; empty: without TLS."""


def taken_from(store: Store) -> tuple[int, int, bytes, bytes]:
    """(index, term, encoded raftpb.ConfState, v2 store) of what a store holds."""
    member_id, cluster_id = msgpack.unpackb(store.get(buckets.IDENTITY) or b"")
    membership = Membership.load(store, member_id, cluster_id)
    data = v2_snapshot.encode(v2_rows.load(store) or store_of(membership))
    index, term = (int.from_bytes(store.get(row) or b"", "big") for row in (buckets.CONSISTENT_INDEX, buckets.TERM))
    return index, term, membership.conf_state(), data


Tell = Callable[[int], None]
"""Called with how many bytes of the body have been sent."""


class _Chunks:
    """Collects pieces of the body into chunks."""

    def __init__(self, send: Callable[[bytes], None], tell: Tell) -> None:
        self._send = send
        self._tell = tell
        self._sent = self._told = 0
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._pieces:
            self._send(encode_chunk(self._pieces))
            self._sent += self._size
            self._pieces.clear()
            self._size = 0
        if self._sent - self._told >= PROGRESS_BYTES:
            self._told = self._sent
            self._tell(self._sent)

    def finish(self) -> None:
        self.flush()
        self._send(LAST_CHUNK)


def send(
    store: Store, layout: Layout, message: bytes, connection: socket.socket, request: bytes, tell: Tell
) -> tuple[int, str]:
    """Posts the snapshot. return (status, body) of the answer. raises OSError, ProtocolError"""
    try:
        connection.settimeout(WRITE_S)
        connection.sendall(request)
        body = _Chunks(connection.sendall, tell)
        body.add(len(message).to_bytes(8, "big") + message)
        body.add(layout.head())
        if write_file(store, body.add) != layout:
            raise RuntimeError("the store has changed between two looks")
        body.finish()
    except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
        connection.settimeout(WRITE_S)  # it has refused before it has read all: what it says lies there
        return _answer(connection)
    connection.settimeout(ANSWER_S + layout.file_bytes / ANSWER_BYTES_PER_S)
    return _answer(connection)


def _answer(connection: socket.socket) -> tuple[int, str]:
    reader = ResponseReader()
    status, text = 0, b""
    while True:
        data = connection.recv(1 << 16)
        for event in reader.receive(data) if data else reader.receive_eof():
            if event is END:
                return status, text.decode(errors="replace").strip()
            if isinstance(event, ResponseHead):
                status = event.status
                connection.settimeout(WRITE_S)
            else:
                text += event
        if not data:
            raise ConnectionError("the connection was closed without an answer")


def dial(address: Address, server_name: str, tls: TlsDialler) -> socket.socket:
    """raises OSError"""
    connection = _connect(address)
    return tls.wrap(connection, server_name) if server_name else connection


def _connect(address: Address) -> socket.socket:
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(DIAL_S)
        connection.connect(address)
    else:
        connection = socket.create_connection((address[0], address[1]), DIAL_S)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (
            (socket.TCP_KEEPIDLE, KEEPALIVE_S),
            (socket.TCP_KEEPINTVL, KEEPALIVE_S),
            (socket.TCP_KEEPCNT, 3),
        ):
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


def send_to_first(
    store: Store, layout: Layout, message: bytes, targets: Sequence[Target], tls: TlsDialler, tell: Tell
) -> tuple[bool, int, str]:
    """To the targets in order, until one answers. return (whether it has arrived, status or 0, text)"""
    why = "no address"
    for address, request, server_name in targets:
        try:
            with dial(address, server_name, tls) as connection:
                status, text = send(store, layout, message, connection, request, tell)
            return status == NO_CONTENT, status, text
        except (OSError, ProtocolError) as error:
            why = f"{address}: {handshake_error(error).text if isinstance(error, ssl.SSLError) else error}"
    return False, 0, why


def work(directory: str, orders: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """raises OSError: no checkpoint can be made"""
    with open_checkpoint(Path(directory)) as store:
        try:
            worker_process.say(taken=taken_from(store))
            layout = write_file(store, None)
            order = orders.get()
            total = len(order["message"]) + layout.file_bytes
            tell: Tell = lambda sent: worker_process.say(progress=[sent, total])  # noqa: E731
            tls = TlsDialler(TlsFiles(TlsSettings.from_dict(order["tls"]), log))
            worker_process.say(sent=send_to_first(store, layout, order["message"], order["targets"], tls, tell))
        finally:
            worker_process.hold_signals()


if __name__ == "__main__":
    given = worker_process.begin_with_orders()
    worker_process.end_with(lambda: work(sys.argv[1], given), OSError)
