"""Commands that look into one actor, and `chaos`, which lets it fail on purpose."""

import argparse
import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from etcdz.cli.actors.command import Command, data_dir_of
from etcdz.cli.actors.tables import duration, frame_line, micros, print_rows, print_table, size
from etcdz.control.client import Refused, ask, follow
from supervisor.telemetry import crash_reports

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """For argparse: 250ms, 30s, 5m, 1h30m; a number alone means seconds. raises ValueError"""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|$)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(text)
    return sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)


def inspect(args: argparse.Namespace) -> int:
    """Print everything about one actor."""
    found = ask(data_dir_of(args), "inspect", {"actor": args.actor})
    if args.json:
        print(json.dumps(found, indent=2))
        return 0
    actor = found["actor"]
    print(f"{actor['name']}  pid {actor['pid']}  incarnation {actor['incarnation']}  {actor['state']}")
    _print_fields("process", _process(actor))
    if found["answered"]:
        inside = found["inside"]
        _print_state({**inside["summary"], **inside["details"]})
        _print_fields("switched for a time (seconds left)", inside["switched"])
        _print_links(inside["links"])
    else:
        print(f"\nno answer from inside: {found['why_not']}")
        _print_fields("state at the last heartbeat", (actor["heartbeat"] or {}).get("summary", {}))
    _print_fields("received per second", actor["received_per_s"])
    _print_fields("sent per second", actor["sent_per_s"])
    print("\nlast messages")
    for frame in found["messages"]:
        print("  " + frame_line(frame, f"-{frame['ago_s']:10.4f}s"))
    return 0


def _process(actor: Mapping[str, Any]) -> dict[str, Any]:
    turns = actor["turn_us"]
    fsyncs = actor["fsync_us"]
    heard = actor["heartbeat_age_s"]
    return {
        "uptime": duration(actor["uptime_s"]),
        "restarts": actor["restarts"],
        "cpu": f"{actor['cpu_percent']}%",
        "rss": size(actor["rss_bytes"]),
        "fds": actor["fds"],
        "heartbeat": "-" if heard is None else f"{heard:.1f}s ago",
        "mailbox depth": actor["mailbox_depth"],
        "oldest message": "-" if actor["oldest_us"] is None else micros(actor["oldest_us"]),
        "turn": _percentiles(turns),
        **({"fsync": _percentiles(fsyncs)} if fsyncs else {}),
        "last error": actor["last_error"]["msg"] if actor["last_error"] else "-",
        "last exit": actor["last_exit"]["reason"] if actor["last_exit"] else "-",
    }


def _percentiles(times: Mapping[str, int] | None) -> str:
    if not times or not times["count"]:
        return "-"
    return f"p50 {micros(times['p50'])}, p99 {micros(times['p99'])}, max {micros(times['max'])} of {times['count']}"


def _print_state(state: Mapping[str, Any]) -> None:
    """What has rows of its own comes as a table behind the rest."""
    tables = {name: value for name, value in state.items() if _has_rows(value)}
    _print_fields("state", {name: value for name, value in state.items() if name not in tables})
    for name, rows in tables.items():
        print_rows(name, rows)


def _has_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _print_fields(title: str, fields: Mapping[str, Any] | None) -> None:
    if fields:
        print(f"\n{title}")
        width = max(len(name) for name in fields)
        for name, value in fields.items():
            print(f"  {name:<{width}}  {value}")


def _print_links(links: Sequence[Mapping[str, Any]]) -> None:
    print()
    rows = [[str(link["name"]), str(link["frames_sent"]), str(link["frames_taken"])] for link in links]
    none = lambda row: ""  # noqa: E731
    print_table(
        (("  LINK", none, False), ("SENT", none, True), ("TAKEN", none, True)), [["  " + r[0], *r[1:]] for r in rows]
    )


def read_logs(args: argparse.Namespace) -> int:
    """Print the last lines that an actor logged; -f goes on, over its restarts."""
    for piece in follow(
        data_dir_of(args), "logs", {"actor": args.actor, "follow": args.follow}, None if args.follow else 5000
    ):
        for line in piece["lines"]:
            print(json.dumps({"line": line}) if args.json else line, flush=args.follow)
    return 0


def loglevel(args: argparse.Namespace) -> int:
    """Change which lines an actor logs."""
    request = {"actor": args.actor, "level": args.level, "for_s": args.for_s, "dry_run": args.dry_run}
    return _tell(args, ask(data_dir_of(args), "loglevel", request))


def stack(args: argparse.Namespace) -> int:
    """Print an actor's stacks. return exit status 1 if they could not be had"""
    found = ask(data_dir_of(args), "stack", {"actor": args.actor})
    if args.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['actor']}  pid {found['pid']}  {found['kernel']}")
        print(found["stack"] or found["why_not"])
    return 0 if found["stack"] else 1


def trace(args: argparse.Namespace) -> int:
    """Print frames as actors take them, until interrupted, or --count frames have come."""
    request = {"actor": args.actor, "types": args.type, "rate": args.rate, "key_prefix": args.key_prefix}
    left = args.count
    for piece in follow(data_dir_of(args), "trace", request):
        for frame in piece["frames"][: left if args.count else None]:
            when = time.strftime("%H:%M:%S", time.localtime(frame["time"])) + f"{frame['time'] % 1:.4f}"[1:]
            print(json.dumps(frame) if args.json else frame_line(frame, when), flush=True)
        if piece["held_back"] and not args.json:
            print(f"... {piece['held_back']} more were not shown", flush=True)
        left -= len(piece["frames"])
        if args.count and left <= 0:
            return 0
    return 0


def postmortem(args: argparse.Namespace) -> int:
    """Print why actors died, from reports in the data directory: the member need not run."""
    reports = crash_reports.read_all(data_dir_of(args), args.actor or "")
    if args.json:
        print(json.dumps(reports, indent=2))
        return 0
    if not reports:
        raise Refused(f"no report of a death{' of ' + args.actor if args.actor else ''} in {data_dir_of(args)}")
    for report in reports[:-1]:
        print(_headline(report))
    _print_report(reports[-1])
    return 0


def _headline(report: Mapping[str, Any]) -> str:
    return f"{report['time']}  {report['name']} (pid {report['pid']}) {report['reason']}"


def _print_report(report: Mapping[str, Any]) -> None:
    print(_headline(report))
    print(f"  lived {duration(report['uptime_s'])}, status {report['status']}, {report['path']}")
    _print_fields("state at its last heartbeat", report["summary"])
    print("\nlast messages, the last one is what it was about")
    for frame in report["messages"][-20:]:
        print("  " + frame_line(frame, f"-{frame['ago_s']:10.4f}s"))
    print(f"\nstack\n{report['stack'] or '  none: it had no time to write one'}")
    print("\nlast lines of its log")
    for line in report["log"].splitlines()[-20:]:
        print("  " + line)


def chaos(args: argparse.Namespace) -> int:
    """Let an actor fail. raises Refused: a time where none belongs, or none where one does"""
    if (args.time is None) == (args.action == "delay"):
        raise Refused("a delay needs a time" if args.time is None else f"{args.action} takes no time but --for")
    request = {"action": args.action, "actor": args.actor, "for_s": args.for_s, "dry_run": args.dry_run}
    return _tell(args, ask(data_dir_of(args), "chaos", {**request, "force": args.force, "ms": 1000 * (args.time or 0)}))


def _tell(args: argparse.Namespace, done: Mapping[str, Any]) -> int:
    if args.json:
        print(json.dumps(done, indent=2))
    else:
        shown = " ".join(f"{name}={value}" for name, value in done.items() if name not in ("actor", "verb", "dry_run"))
        print(f"{'would ' if done.get('dry_run') else ''}{done['verb']} {done['actor']} {shown}")
    return 0


# ---- arguments ----


def _actor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("actor", metavar="NAME", help="of an actor, as ps shows it")


def _dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")


def _for(parser: argparse.ArgumentParser, help: str) -> None:
    parser.add_argument("--for", dest="for_s", type=seconds, default=0.0, metavar="TIME", help=help)


def _logs_arguments(parser: argparse.ArgumentParser) -> None:
    _actor(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what comes, until interrupted")


def _loglevel_arguments(parser: argparse.ArgumentParser) -> None:
    _actor(parser)
    parser.add_argument("level", metavar="LEVEL", help="debug, info, warn, error, dpanic, panic or fatal")
    _for(parser, "e.g. 5m, then as configured again (default: until the actor ends)")
    _dry_run(parser)


def _trace_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--actor", default="", metavar="NAME", help="only what this actor takes")
    parser.add_argument("--type", action="append", metavar="TYPE", help="only frames with such a message; repeatable")
    parser.add_argument("--key-prefix", metavar="PREFIX", help="only messages about such keys; shows these keys")
    parser.add_argument("--rate", type=int, default=100, metavar="N", help="frames a second at most (default: 100)")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="stop after so many (default: go on)")


def _postmortem_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("actor", metavar="NAME", nargs="?", help="of an actor (default: all)")


def _chaos_arguments(parser: argparse.ArgumentParser) -> None:
    actions = (
        "kill: SIGKILL; pause: SIGSTOP, then SIGCONT; delay: sleep before each turn; fail: raise an exception; "
        "exhaust: use up the memory that --actor-rules=NAME:memory-max=SIZE allows"
    )
    parser.add_argument("action", choices=("kill", "pause", "delay", "fail", "exhaust"), help=actions)
    _actor(parser)
    parser.add_argument("time", type=seconds, nargs="?", metavar="TIME", help="of a delay, e.g. 50ms; 0ms: no more")
    _for(parser, "how long it lasts (default: a pause 1s, a delay until the actor ends)")
    _dry_run(parser)
    parser.add_argument("--force", action="store_true", help="also if the member would end")


COMMANDS: Final = (
    Command("inspect", "everything about one actor", inspect, _actor),
    Command("logs", "the last lines that an actor logged; -f follows", read_logs, _logs_arguments),
    Command("loglevel", "which lines an actor logs", loglevel, _loglevel_arguments),
    Command("stack", "where an actor is in its code, also if it hangs", stack, _actor),
    Command("trace", "messages as they are taken: headers only", trace, _trace_arguments),
    Command("postmortem", "why actors died; works without the member, too", postmortem, _postmortem_arguments),
    Command("chaos", "let an actor fail: kill, pause, delay, fail, exhaust", chaos, _chaos_arguments),
)
