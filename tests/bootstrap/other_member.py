"""A member that listens on a peer URL and says what it is told to say."""

import json
import socket
import threading
from contextlib import suppress
from typing import Any


class OtherMember:
    """answers: path -> whole HTTP answer, or None for silence. Use as a context manager."""

    def __init__(self, answers: dict[str, bytes | None] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepted: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "OtherMember":
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._accepted:
            sock.close()

    def says(self, path: str, body: Any, headers: str = "X-Etcd-Cluster-Id: 77\r\n", status: str = "200 OK") -> None:
        """body: bytes, or anything else as JSON"""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(data)}\r\n\r\n"
        self.answers[path] = head.encode() + data

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._accepted.append(sock)
                self._answer(sock)

    def _answer(self, sock: socket.socket) -> None:
        with suppress(OSError):
            path = sock.recv(65536).split(b" ")[1].decode()
            self.asked.append(path)
            answer = self.answers.get(path, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            if answer is not None:
                sock.sendall(answer)
                sock.shutdown(socket.SHUT_WR)
