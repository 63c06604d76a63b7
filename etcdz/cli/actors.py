"""`etcdz actors ...`: look at the processes of a running member through its control socket.

Exit status: 0; 1 if no member runs there or it does not answer; 2 for wrong arguments.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import zmq

from supervisor.data_dir import read_record

ANSWER_MS: Final = 5000


class NoMember(Exception):
    """No member answers there; the text is for the user."""


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdz actors`."""
    try:
        args = _parser().parse_args(argv)
    except SystemExit as exit:  # argparse has printed why
        return exit.code if isinstance(exit.code, int) else 2
    try:
        return int(COMMANDS[args.command](args))
    except NoMember as error:
        print(f"etcdz actors {args.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        return 1


def ask(data_dir: str, verb: str, args: Mapping[str, Any]) -> Any:
    """One request to the member that runs in data_dir. raises NoMember: none does, or it refuses or is silent."""
    record = read_record(data_dir)
    if record is None:
        raise NoMember(f"no member runs in data directory {data_dir}")
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(record["control"])
        socket.send(json.dumps({"verb": verb, "args": dict(args)}).encode())
        if not socket.poll(ANSWER_MS):
            silent_s = ANSWER_MS / 1000
            raise NoMember(f"the member in {data_dir} (pid {record['pid']}) did not answer within {silent_s:g} s")
        answer = json.loads(socket.recv())
    if not answer["ok"]:
        raise NoMember(str(answer["error"]))
    return answer["result"]


def ps(args: argparse.Namespace) -> int:
    """All actors; with --json as an array, else as a table with supervisor and zygote above."""
    result = ask(_data_dir(args), "ps", {})
    if args.json:
        print(json.dumps(result["actors"], indent=2))
        return 0
    rows = [result["supervisor"], result["zygote"], *result["actors"]]
    _print_table(PS_COLUMNS, [[shown(row) for _, shown, _ in PS_COLUMNS] for row in rows])
    return 0


def tree(args: argparse.Namespace) -> int:
    """The table of kinds of actors and their rules."""
    rows = ask(_data_dir(args), "tree", {})
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    _print_table(TREE_COLUMNS, [[shown(row) for _, shown, _ in TREE_COLUMNS] for row in rows])
    return 0


COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {"ps": ps, "tree": tree}


def _parser() -> argparse.ArgumentParser:
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--data-dir", metavar="DIR", help="data directory of the member (default: NAME.etcd)")
    where.add_argument("--name", default=os.environ.get("ETCD_NAME", "default"), help="its name (default: default)")
    where.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser = argparse.ArgumentParser(prog="etcdz actors", description="Look at the processes of a running member.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("ps", parents=[where], help="processes, what they do and what they use")
    commands.add_parser("tree", parents=[where], help="the tree: kinds of actors and the rules they live under")
    return parser


def _data_dir(args: argparse.Namespace) -> str:
    return str(args.data_dir or os.environ.get("ETCD_DATA_DIR") or f"{args.name}.etcd")


# ---- tables ----

Column = tuple[str, Callable[[dict[str, Any]], str], bool]
"""Heading, text of a cell, whether it is a number and stands on the right."""


def _print_table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    lines = [[heading for heading, _, _ in columns], *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        cells = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, (_, _, right) in zip(line, widths, columns, strict=True)
        )
        print("  ".join(cells).rstrip())


def _text(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: "-" if row.get(key) is None else str(row[key])


def _beat(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: str((row.get("heartbeat") or {}).get(key, "-"))


def duration(seconds: float) -> str:
    """Two units at most: 850ms, 12s, 3m04s, 5h02m, 9d03h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def size(count: float) -> str:
    """Bytes in binary units."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:.0f}{unit}" if unit == "B" else f"{count:.1f}{unit}"


PS_COLUMNS: Final[Sequence[Column]] = (
    ("NAME", _text("name"), False),
    ("PID", _text("pid"), True),
    ("STATE", lambda row: str(row.get("state", "-")), False),
    ("RESTARTS", _text("restarts"), True),
    ("UPTIME", lambda row: duration(row["uptime_s"]) if row["pid"] else "-", True),
    ("CPU%", _text("cpu_percent"), True),
    ("RSS", lambda row: size(row["rss_bytes"]), True),
    ("HANDLED", _beat("handled"), True),
    ("INCARNATION", _text("incarnation"), True),
)
TREE_COLUMNS: Final[Sequence[Column]] = (
    ("STAGE", _text("stage"), True),
    ("NAME", _text("name"), False),
    ("KIND", _text("kind"), False),
    ("COUNT", _text("count"), True),
    ("RESTART", _text("restart"), False),
    ("INTENSITY", lambda row: f"{row['intensity']['restarts']} in {row['intensity']['seconds']:g}s", False),
    ("START", lambda row: f"{row['start_s']:g}s", True),
    ("STOP", lambda row: f"{row['stop_s']:g}s", True),
    ("HANG", lambda row: f"{row['hang_s']:g}s", True),
)
