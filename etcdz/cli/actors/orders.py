"""Commands that give orders to the supervisor, and the list of what has happened."""

import argparse
import json
import re
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from etcdz.cli.actors.command import Command, data_dir_of
from etcdz.control.client import Refused, follow

_SIGNAL: Final = re.compile(r"-([A-Z0-9]+)")


def _act(args: argparse.Namespace, verb: str, **request: Any) -> int:
    """Gives an order and waits until it is carried out. return the exit status"""
    *_, answer = follow(data_dir_of(args), verb, {"force": args.force, "dry_run": args.dry_run, **request})
    if args.json:
        print(json.dumps(answer, indent=2))
        return 0
    for step in answer["plan"]:
        print(f"would {step}" if args.dry_run else step)
    for actor in answer["actors"]:
        pid = f", pid {actor['pid']}" if actor["pid"] else ""
        print(f"{actor['name']}: {actor['state']}, incarnation {actor['incarnation']}{pid}")
    return 0


def _add_order(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--force", action="store_true", help="also if the member would end, or serve no client")


def _add_actor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("actor", metavar="ACTOR", help="name of a process, as in `ps`")
    _add_order(parser)


def _add_restart(parser: argparse.ArgumentParser) -> None:
    _add_actor(parser)
    parser.add_argument("--graceful", action="store_true", help="the new one serves before the old one leaves")
    parser.add_argument("--upgrade", action="store_true", help="run the code that is on disk now")


def _add_kill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("signal", nargs="?", default="-KILL", metavar="-SIG", help="signal (default: -KILL)")
    _add_actor(parser)


def _add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", metavar="ROW=N", help="as in listener=4")
    _add_order(parser)


def _add_events(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens from now on")


def restart(args: argparse.Namespace) -> int:
    """Stop and start again; nothing that a client was told is lost."""
    return _act(args, "restart", actor=args.actor, graceful=args.graceful or args.upgrade, upgrade=args.upgrade)


def kill(args: argparse.Namespace) -> int:
    """Send a signal to an actor."""
    return _act(args, "kill", actor=args.actor, signal=signal_number(args.signal))


def signal_number(text: str) -> int:
    """The number of -9, -KILL or -SIGKILL. raises Refused: there is no such signal"""
    word = text.removeprefix("-").upper()
    try:
        return int(signal.Signals(int(word)) if word.isdigit() else signal.Signals["SIG" + word.removeprefix("SIG")])
    except (ValueError, KeyError):
        raise Refused(f"there is no signal {text}") from None


def scale(args: argparse.Namespace) -> int:
    """Change how many actors a row of the tree has."""
    row, _, count = args.target.partition("=")
    if not count.isdigit():
        raise Refused(f"{args.target} is not of the form ROW=N, as in listener=4")
    return _act(args, "scale", actor=row, count=int(count))


def events(args: argparse.Namespace) -> int:
    """Print what has happened to the actors, a line each, the oldest first."""
    answers = follow(data_dir_of(args), "events", {"follow": args.follow})
    for answer in answers:
        for event in [answer] if args.follow else answer:
            print(json.dumps(event) if args.json else _line(event), flush=args.follow)
    return 0


def _line(event: dict[str, Any]) -> str:
    fields = {key: value for key, value in event.items() if key not in ("time", "level", "msg", "child")}
    at = time.strftime("%H:%M:%S", time.localtime(event["time"])) + f".{int(event['time'] % 1 * 1000):03}"
    rest = " ".join(f"{key}={value}" for key, value in fields.items())
    return f"{at} {event['level']:5} {event.get('child', '-'):12} {event['msg']} {rest}"


def with_signals_as_words(argv: Sequence[str]) -> list[str]:
    """The words of `kill -9 wal` in a form that argparse takes: it would look for an option -9."""
    words = list(argv)
    if words[:1] == ["kill"]:
        at = next((i for i, word in enumerate(words) if _SIGNAL.fullmatch(word)), None)
        if at is not None:
            words[at] = words[at][1:]
            words.insert(1, words.pop(at))
    return words


def _stop(args: argparse.Namespace) -> int:
    return _act(args, "stop", actor=args.actor)


def _start(args: argparse.Namespace) -> int:
    return _act(args, "start", actor=args.actor)


def _drain(args: argparse.Namespace) -> int:
    try:
        return _act(args, "drain", actor=args.actor)
    except KeyboardInterrupt:
        print("still draining", file=sys.stderr)
        return 130


COMMANDS: Final = (
    Command("restart", "restart an actor; --graceful: the new one first", restart, _add_restart),
    Command("kill", "send a signal to an actor", kill, _add_kill),
    Command("stop", "stop an actor until it is started again", _stop, _add_actor),
    Command("start", "start a stopped actor, or let one that drains take clients again", _start, _add_actor),
    Command("scale", "change how many listeners there are", scale, _add_scale),
    Command("drain", "let a listener send its clients to the others", _drain, _add_actor),
    Command("events", "what has happened to the actors; -f follows", events, _add_events),
)
