"""Requests to the member that runs in a data directory; see supervisor/control/socket.py for their form."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import zmq

from supervisor.runtime.data_dir import read_record

ANSWER_MS: Final = 5000
"""Longest wait for the answer to one request."""
CHECK_MS: Final = 500
"""How often it is checked whether a member that does not answer still runs."""


class Refused(Exception):
    """No member answers there, or it does not do it; the text is for the user."""


def ask(data_dir: str, verb: str, request: Mapping[str, Any], answer_ms: int = ANSWER_MS) -> Any:
    """The answer to one request to the member that runs in data_dir.

    verb, request   of supervisor/control/verbs.py
    answer_ms       longest silence
    raises          Refused
    """
    *_, answer = follow(data_dir, verb, request, answer_ms)
    return answer


def follow(data_dir: str, verb: str, request: Mapping[str, Any], answer_ms: int | None = None) -> Iterator[Any]:
    """Everything that the member says to a request, the answer last. raises Refused

    answer_ms   longest silence; None: as long as the member lives
    """
    record = read_record(data_dir)
    if record is None:
        raise Refused(f"no member runs in data directory {data_dir}")
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(record["control"])
        socket.send_multipart([b"", json.dumps({"verb": verb, "args": dict(request)}).encode()])
        more = True
        while more:
            _wait(socket, record, data_dir, answer_ms)
            answer = json.loads(socket.recv_multipart()[-1])
            if not answer["ok"]:
                raise Refused(str(answer["error"]))
            yield answer["result"]
            more = answer.get("more", False)


def _wait(socket: "zmq.Socket[bytes]", record: Mapping[str, Any], data_dir: str, answer_ms: int | None) -> None:
    """Returns when something has come. raises Refused"""
    waited_ms = 0
    while not socket.poll(CHECK_MS if answer_ms is None else min(CHECK_MS, answer_ms - waited_ms)):
        waited_ms += CHECK_MS
        if read_record(data_dir) != record:
            raise Refused(f"the member in {data_dir} (pid {record['pid']}) has ended")
        if answer_ms is not None and waited_ms >= answer_ms:
            silent_s = answer_ms / 1000
            raise Refused(f"the member in {data_dir} (pid {record['pid']}) did not answer within {silent_s:g} s")
