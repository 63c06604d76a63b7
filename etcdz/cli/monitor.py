"""`etcdz monitor`: a member as a living pipeline, in a terminal.

It asks the member's control socket once per interval, and lives on while the member, or any part of it, is restarted.
On a terminal it redraws its screen until ^C; elsewhere it prints one screen after the other.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Final

from etcdz.cli.actors.asking import Refused, ask, data_dir_of
from etcdz.cli.actors.inspecting import seconds
from etcdz.monitor.sample import read_sample
from etcdz.monitor.text import lines
from etcdz.monitor.view import History, View

AGAIN_S: Final = 0.3
"""Between the looks of --once: heartbeats come twice a second, and two make a rate."""
RATES_S_MAX: Final = 5.0
"""Longest wait for the rates of all actors."""
INTERVAL_S_MIN: Final = 0.1
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _LINE_END, _REST = "\x1b[H", "\x1b[K\r\n", "\x1b[J"


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdz monitor`. return the exit status: 1 if no member runs there"""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as exit:  # argparse has printed why
        return exit.code if isinstance(exit.code, int) else 2
    try:
        return _once(args) if args.once or (args.json and args.watch is None) else _watch(args, args.watch or 1.0)
    except Refused as error:
        print(f"etcdz monitor: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130


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
    full_screen = sys.stdout.isatty() and not args.json
    sys.stdout.write(_ENTER if full_screen else "")
    try:
        while True:
            (_draw if full_screen else _print)(args, view)
            time.sleep(max(INTERVAL_S_MIN, interval_s))
            try:
                view = _look(args, history)
            except Refused as error:
                now = time.monotonic()
                history.lost(now, str(error))
                view = view._replace(at_s=now, events=history.events)
    finally:
        sys.stdout.write(_LEAVE if full_screen else "")
        sys.stdout.flush()


def _look(args: argparse.Namespace, history: History) -> View:
    answer = ask(args, "ps", {})
    return history.feed(read_sample(answer, time.monotonic()))


def _print(args: argparse.Namespace, view: View) -> None:
    if args.json:
        print(json.dumps(_plain(view)), flush=True)
        return
    width, height = shutil.get_terminal_size()
    print("\n".join(lines(view, _title(args), width, height)), flush=True)


def _draw(args: argparse.Namespace, view: View) -> None:
    """Over what was drawn before; the size is asked for each time, so that a resize is seen at once."""
    width, height = shutil.get_terminal_size()
    text = _LINE_END.join(lines(view, _title(args), width, height))
    sys.stdout.write(f"{_HOME}{text}\x1b[K{_REST}")
    sys.stdout.flush()


def _title(args: argparse.Namespace) -> str:
    return f"etcdz monitor  {data_dir_of(args)}  {time.strftime('%H:%M:%S')}  ^C ends"


def _plain(view: View) -> dict[str, object]:
    rates = ("in_per_s", "out_per_s", "in_by_type")
    actors = [{**actor.now._asdict(), **{name: getattr(actor, name) for name in rates}} for actor in view.actors]
    events = [event._asdict() for event in view.events]
    return {"actors": actors, "flow": [edge._asdict() for edge in view.flow], "events": events}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="etcdz monitor", description="Watch the processes of a running member.")
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the member (default: NAME.etcd)")
    parser.add_argument("--name", default=os.environ.get("ETCD_NAME", "default"), help="its name (default: default)")
    parser.add_argument("--once", action="store_true", help="one screen, then end")
    parser.add_argument("--json", action="store_true", help="JSON, one object for each look; alone: one look")
    parser.add_argument("--watch", type=seconds, metavar="TIME", help="look this often (default: 1s)")
    return parser
