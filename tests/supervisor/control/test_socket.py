"""The control socket: answers at once, answers later, pieces, and who may ask."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zmq

from etcdz.ipc.messages import Look, Looked
from supervisor.control.socket import LATER, ControlError, ControlSocket, Request, Verb


class NothingPending:
    def look(self, now: float) -> None:
        pass


class Asked:
    """A control socket with verbs of our own, and a client."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kept: list[Request] = []
        verbs: dict[str, Verb] = {"echo": self._echo, "keep": self._keep, "refuse": self._refuse}
        self.context: zmq.Context[Any] = zmq.Context()
        self.looked: list[tuple[int, Looked]] = []
        links = SimpleNamespace(send=lambda incarnation, message: self.looked.append((incarnation, message)))
        member: Any = SimpleNamespace(zmq=self.context, data=SimpleNamespace(control=f"ipc://{path}"), links=links)
        looks = {name: verbs[name] for name in ("echo", "keep")}
        self.control = ControlSocket(member, NothingPending(), verbs, looks)
        self.asker: zmq.Socket[bytes] = self.context.socket(zmq.DEALER)
        self.asker.connect(f"ipc://{path}")

    def _echo(self, loop: Any, request: Request) -> Any:
        return dict(request.args)

    def _keep(self, loop: Any, request: Request) -> Any:
        self.kept.append(request)
        return LATER

    def _refuse(self, loop: Any, request: Request) -> Any:
        raise ControlError("no")

    def ask(self, **request: Any) -> None:
        self.asker.send_multipart([b"", json.dumps(request).encode()])
        assert self.control.socket.poll(60_000)
        self.control.serve()

    def answer(self) -> Any:
        assert self.asker.poll(60_000)
        return json.loads(self.asker.recv_multipart()[-1])

    def close(self) -> None:
        self.asker.close(linger=0)
        self.control.close()
        self.context.term()


@pytest.fixture
def asked() -> Iterator[Asked]:
    with tempfile.TemporaryDirectory(prefix="run-") as path:
        found = Asked(Path(path) / "control")
        yield found
        found.close()


def test_a_verb_answers_at_once_or_later_or_in_pieces(asked: Asked) -> None:
    asked.ask(verb="echo", args={"a": 1})
    assert asked.answer() == {"ok": True, "result": {"a": 1}}
    asked.ask(verb="keep")
    (kept,) = asked.kept
    assert kept.piece(1) and kept.piece(2) and kept.answer(3)
    assert [asked.answer() for _ in range(3)] == [
        {"ok": True, "more": True, "result": 1},
        {"ok": True, "more": True, "result": 2},
        {"ok": True, "result": 3},
    ]


def test_a_refusal_is_the_text_of_the_error(asked: Asked) -> None:
    asked.ask(verb="refuse")
    assert asked.answer() == {"ok": False, "error": "no"}


def test_a_listener_gets_what_its_clients_may_see_and_nothing_else(asked: Asked) -> None:
    for number, verb in enumerate(("echo", "keep", "refuse")):
        asked.control.on_look(Look(7, number, verb, {"a": 1}))
    asked.kept[0].answer("later")
    told = [(to, message.seq, message.ok, json.loads(message.result)) for to, message in asked.looked]
    assert told[0] == (7, 0, True, {"a": 1})
    assert told[2] == (7, 1, True, "later")
    assert told[1][:3] == (7, 2, False) and "known verbs: echo, keep" in told[1][3]


def test_who_has_gone_away_is_told_so_to_whoever_would_answer(asked: Asked) -> None:
    asked.ask(verb="keep")
    asked.asker.close(linger=0)
    (kept,) = asked.kept
    while kept.piece("x" * 1000):
        pass
    assert not kept.answer(1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask in another user's name")
def test_another_user_gets_no_answer_even_if_the_directory_is_open(asked: Asked) -> None:
    asked.path.parent.chmod(0o755)
    asked.path.chmod(0o777)
    script = (
        "import os, socket, sys\n"
        "os.setuid(int(sys.argv[2]))\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.settimeout(100)\n"
        "s.connect(sys.argv[1])\n"
        "print(len(s.recv(64)))\n"
    )

    def greeted(uid: int) -> str:
        """Bytes of ZeroMQ's greeting; 0: the connection was closed at once."""
        command = [sys.executable, "-c", script, str(asked.path), str(uid)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.strip()

    assert greeted(65534) == "0"
    assert greeted(os.getuid()) != "0"
