"""`etcdz monitor`: a member as a living pipeline, in a terminal.

On a terminal it fills the screen and takes keys; elsewhere, and with --once or --json, it prints. It asks the member's
control socket once per interval, and lives on while the member, or any part of it, is restarted.

With --endpoints it shows several members side by side (members.py).
"""

import argparse
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from etcdz.cli.access import AccessError, add_flags, take, with_values
from etcdz.cli.actors.command import data_dir_of
from etcdz.cli.actors.diagnostics import seconds
from etcdz.cli.endpoints import Endpoint, parse_endpoints
from etcdz.cli.monitor.terminal import ASCII
from etcdz.control.client import Refused, ask
from etcdz.monitor.sample import read_sample
from etcdz.monitor.screen import texts
from etcdz.monitor.view import History, View

AGAIN_S: Final = 0.3
"""Between the looks of --once: heartbeats come twice a second, and two make a rate."""
RATES_S_MAX: Final = 5.0
"""Longest wait for the rates of all actors."""
INTERVAL_S_MIN: Final = 0.1


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdz monitor`. return the exit status: 1 if no member runs there"""
    try:
        args = _arguments(argv)
    except SystemExit as exit:  # argparse has printed why
        return exit.code if isinstance(exit.code, int) else 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    interval_s = max(INTERVAL_S_MIN, args.watch or 1.0)
    try:
        if args.endpoints:
            from etcdz.cli.monitor import members

            return members.run(args, interval_s, _has_screen())
        if args.once or (args.json and args.watch is None):
            return _once(args)
        return _watch(args, interval_s) if args.json or not _has_screen() else _live(args, interval_s)
    except Refused as error:
        print(f"etcdz monitor: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


def _has_screen() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _live(args: argparse.Namespace, interval_s: float) -> int:
    """raises Refused: there is no member to begin with"""
    from etcdz.cli.monitor.live import Live
    from etcdz.cli.monitor.terminal import Terminal

    ask(data_dir_of(args), "ping", {})
    with Terminal(sys.stdin, sys.stdout, os.environ) as terminal:
        try:
            Live(terminal, data_dir_of(args), interval_s).run()
        except EOFError:  # the terminal is gone
            return 1
    return 0


def _once(args: argparse.Namespace) -> int:
    """As soon as all actors that run have rates."""
    history, until = History(), time.monotonic() + RATES_S_MAX
    view = _look(args, history)
    while time.monotonic() < until and any(a.in_per_s is None for a in view.actors if a.now.state == "ready"):
        time.sleep(AGAIN_S)
        view = _look(args, history)
    _print(args, view)
    return 0


def _watch(args: argparse.Namespace, interval_s: float) -> int:
    """Until interrupted. raises Refused: not even the first answer came"""
    history = History()
    view = _look(args, history)
    while True:
        _print(args, view)
        time.sleep(interval_s)
        try:
            view = _look(args, history)
        except Refused as error:
            view = history.lost(time.monotonic(), str(error))


def _look(args: argparse.Namespace, history: History) -> View:
    answer = ask(data_dir_of(args), "ps", {})
    return history.feed(read_sample(answer, time.monotonic()))


def _print(args: argparse.Namespace, view: View) -> None:
    if args.json:
        print(json.dumps(_plain(args, view)), flush=True)
        return
    title = f"etcdz monitor  {data_dir_of(args)}  {time.strftime('%H:%M:%S')}"
    text = "\n".join(texts(title, view, *shutil.get_terminal_size()))
    print(text if (sys.stdout.encoding or "").lower() == "utf-8" else text.translate(ASCII), flush=True)


def _plain(args: argparse.Namespace, view: View) -> dict[str, Any]:
    """member: which one, for the day when several are watched at once."""
    rates = ("in_per_s", "out_per_s", "in_by_type", "out_by_type")
    actors = [{**actor.now._asdict(), **{name: getattr(actor, name) for name in rates}} for actor in view.actors]
    events = [{"ago_s": round(view.at_s - event.at_s, 3), **event._asdict()} for event in view.events]
    flow = [edge._asdict() for edge in view.flow]
    peers = [peer._asdict() for peer in view.peers]
    told = {"actors": actors, "flow": flow, "events": events, "peers": peers}
    return {"member": data_dir_of(args), "lost": view.lost, **told}


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    """raises SystemExit"""
    parser = _parser()
    args = parser.parse_args(with_values(argv))
    try:
        args.access = take(vars(args)) if args.endpoints else None
        if args.access is not None:
            args.endpoints = args.access.settle(args.endpoints)
    except AccessError as error:
        parser.error(str(error))
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="etcdz monitor", description="Watch the processes of a running member, or several members."
    )
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the member (default: NAME.etcd)")
    side_by_side = "these members side by side, as in host1:2379,https://host2:2379"
    parser.add_argument("--endpoints", type=_endpoints, metavar="LIST", help=side_by_side)
    parser.add_argument("--name", default=os.environ.get("ETCD_NAME", "default"), help="its name (default: default)")
    parser.add_argument("--once", action="store_true", help="one screen, then end")
    parser.add_argument("--json", action="store_true", help="JSON, one object for each look; alone: one look")
    parser.add_argument("--watch", type=seconds, metavar="TIME", help="look this often (default: 1s)")
    add_flags(parser)
    return parser


def _endpoints(text: str) -> tuple[Endpoint, ...]:
    try:
        return parse_endpoints(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
