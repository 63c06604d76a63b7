"""What one turn of an actor costs beside its work: `python -m tests.bench.turn_cost`.

An actor with a handler that does nothing gets one frame at a time from a link in the same process, and takes a turn.
Printed: the time of a turn in which one message arrives, and of one that also sends an answer; the least of many
rounds, because everything else on the machine only ever adds to it.
"""

import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import zmq

from actors.runtime.loop import Actor
from actors.runtime.mailbox import Link, Mailbox
from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Applied, encode_frame

ROUNDS, TURNS = 2000, 20
SENDER = 5


class Idle(Actor):
    """Handles Applied, by nothing or by an answer."""

    def __init__(self, boot: Boot, answers: bool) -> None:
        super().__init__(boot)
        self.handlers[Applied] = self.answer if answers else self.ignore

    def ignore(self, message: Applied) -> None:
        pass

    def answer(self, message: Applied) -> None:
        self.links.send("other", message)


def least_us(directory: Path, answers: bool) -> float:
    """Microseconds per turn."""
    context: zmq.Context[Any] = zmq.Context()
    supervisor = context.socket(zmq.PULL)
    supervisor.bind(f"ipc://{directory}/supervisor")
    other = Mailbox(context, f"ipc://{directory}/other.{int(answers)}")
    other.admit(7)
    endpoint = f"ipc://{directory}/idle.{int(answers)}"
    boot = Boot("idle", "idle", 0, 7, str(directory), endpoint, f"ipc://{directory}/supervisor", [], {}, {})
    actor = Idle(boot, answers)
    actor.take_roster([("other", "other", 0, SENDER, f"ipc://{directory}/other.{int(answers)}")])
    link = Link(context, endpoint, SENDER)
    frame = encode_frame([Applied(1, 1)])
    best = min(_round(actor, link, frame, other) for _ in range(ROUNDS))
    other.close()
    link.close(0)
    actor.close(0)
    context.destroy(linger=0)
    return best


def _round(actor: Idle, link: Link, frame: bytes, other: Mailbox) -> float:
    spent = 0
    for _ in range(TURNS):
        link.send(frame)
        began = time.perf_counter_ns()
        actor.turn()
        spent += time.perf_counter_ns() - began
        other.take(1)
    return spent / TURNS / 1000


if __name__ == "__main__":
    directory = Path(tempfile.mkdtemp(prefix="etcdz-turn-"))
    try:
        for answers in (False, True):
            what = "one message, one answer" if answers else "one message"
            print(f"{what}: {least_us(directory, answers):.2f} us a turn")
    finally:
        shutil.rmtree(directory)
