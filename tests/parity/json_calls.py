"""Calls over a member's JSON gateway, and when two answers are alike."""

import http.client
import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

STREAMS: Final = ("/v3/watch", "/v3/lease/keepalive", "/v3/election/observe", "/v3/maintenance/snapshot")
WILD: Final = re.compile(r"<(n|id|token)>")
"""In a recorded answer: differs from run to run."""


@dataclass(frozen=True)
class Answer:
    """body: of a stream as many lines as were waited for"""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=dict, compare=False)

    def lines(self) -> list[Any]:
        """Each JSON value of the body."""
        return [json.loads(line) for line in self.body.splitlines() if line]


class Gateway:
    """A client with one connection, opened anew after each stream. target: host:port"""

    def __init__(self, target: str) -> None:
        self.target = target
        self._connection = self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.target, timeout=60)

    def call(
        self, path: str, body: str | bytes | None, headers: dict[str, str] | None = None, method: str = "POST"
    ) -> Answer:
        """One request and its whole answer."""
        data = body.encode() if isinstance(body, str) else body
        self._connection.request(method, path, data, headers or {})
        response = self._connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.getheaders()))

    def post(self, path: str, message: Any) -> Any:
        """One call and its answer, both as values. raises AssertionError: it is an error"""
        answer = self.call(path, json.dumps(message))
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def stream(self, path: str, body: str, lines: int, headers: dict[str, str] | None = None) -> Answer:
        """The first lines of the answer to a stream, or all of it if it has no more."""
        self.open(path, body, headers)
        return self.read_lines(lines)

    def open(self, path: str, body: str, headers: dict[str, str] | None = None) -> None:
        """Begins a stream; read_line and read_lines have its answer."""
        self._connection.request("POST", path, body.encode(), headers or {})
        self._response: http.client.HTTPResponse | None = None

    def read_line(self) -> str:
        """The next line of a stream; empty at its end."""
        if self._response is None:
            self._response = self._connection.getresponse()
        return self._response.readline().decode()

    def read_lines(self, lines: int) -> Answer:
        """So many more, and the client ends the stream."""
        read = "".join([self.read_line() for _ in range(lines)])
        response = self._response
        assert response is not None
        self.end()
        return Answer(response.status, read, dict(response.getheaders()))

    def end(self) -> None:
        """The client ends the stream."""
        self.close()
        self._connection = self._connect()

    def close(self) -> None:
        self._connection.close()


def is_like(found: Any, recorded: Any) -> bool:
    """Whether a value is the recorded one, but for what differs from run to run. Names and their order count."""
    if isinstance(recorded, str) and WILD.search(recorded):
        pattern = ".*".join(map(re.escape, WILD.split(recorded)[::2]))
        return re.fullmatch(pattern, str(found)) is not None
    if isinstance(recorded, dict) and isinstance(found, dict):
        same_names = list(found) == list(recorded)
        return same_names and all(is_like(found[name], recorded[name]) for name in recorded)
    if isinstance(recorded, list) and isinstance(found, list):
        return len(found) == len(recorded) and all(map(is_like, found, recorded))
    return bool(found == recorded)
