"""The least that an actor does: mailbox, Ready, heartbeats, Roster, Stop; `options` make it misbehave.

never_ready     does not say Ready
exit_at_start   exits with this status instead of saying Ready
exit_when       path: exits with status 1 once this file is there, whatever its incarnation
spin_when       path: says nothing more and burns CPU once this file is there, until it is gone
fault_at_start  [fatal, reason] sent before exit status 1
say_beats       says each heartbeat that it sends
linger_on_stop  ignores Stop and SIGTERM
"""

import json
import os
import signal
import sys
import time
from typing import Any

import zmq

from etcdz.ipc.boot import Boot
from etcdz.ipc.messages import Fault, Heartbeat, Ready, Roster, Stop, decode_frame, encode_frame

BEAT_S = 0.05


def say(boot: Boot, event: str, **fields: Any) -> None:
    line = json.dumps({"fake": boot.name, "incarnation": boot.incarnation, "event": event, **fields}) + "\n"
    sys.stderr.buffer.write(line.encode())
    sys.stderr.flush()


def run(boot: Boot) -> int:
    options = boot.options
    entered_at = time.monotonic()
    say(boot, "entered", pid=os.getpid(), roster=[child[0] for child in boot.roster], at=entered_at, kind=boot.kind)
    if "exit_at_start" in options:
        return int(options["exit_at_start"])
    if options.get("linger_on_stop"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    context = zmq.Context()
    try:
        return live(boot, context, options)
    finally:
        context.destroy(linger=30_000)  # until the supervisor has it


def live(boot: Boot, context: "zmq.Context[Any]", options: dict[str, Any]) -> int:
    mailbox = context.socket(zmq.PULL)
    mailbox.bind(boot.endpoint)
    supervisor = context.socket(zmq.PUSH)
    supervisor.connect(boot.supervisor)
    if "fault_at_start" in options:
        fatal, reason = options["fault_at_start"]
        supervisor.send(encode_frame([Fault(boot.name, boot.incarnation, fatal, reason)]))
        return 1
    if not options.get("never_ready"):
        supervisor.send(encode_frame([Ready(boot.name, boot.incarnation, {"fake": True})]))
    handled = 0
    while True:
        if mailbox.poll(BEAT_S * 1000):
            for message in decode_frame(mailbox.recv()):
                handled += 1
                if isinstance(message, Roster):
                    say(boot, "roster", children={child[0]: child[3] for child in message.children})
                if isinstance(message, Stop):
                    say(boot, "stop", deadline_s=message.deadline_s)
                    if not options.get("linger_on_stop"):
                        return 0
        if "exit_when" in options and os.path.exists(options["exit_when"]):
            return 1
        while "spin_when" in options and os.path.exists(options["spin_when"]):
            pass
        supervisor.send(encode_frame([Heartbeat(boot.name, boot.incarnation, handled, 1, 2, 3, {"fake": 1}, {})]))
        if options.get("say_beats"):
            say(boot, "beat")
