"""`ps` and `tree`: the processes of a member, and the table of its tree."""

import argparse
import json
from collections.abc import Sequence
from typing import Final

from etcdz.cli.actors.command import Command, data_dir_of
from etcdz.cli.actors.tables import Column, age, duration, percentile, print_table, rate, size, text
from etcdz.control.client import ask


def ps(args: argparse.Namespace) -> int:
    """Print all actors; with --json as an array, else as a table with supervisor and zygote above."""
    result = ask(data_dir_of(args), "ps", {})
    if args.json:
        print(json.dumps(result["actors"], indent=2))
        return 0
    rows = [result["supervisor"], result["zygote"], *result["actors"]]
    print_table(PS_COLUMNS, [[shown(row) for _, shown, _ in PS_COLUMNS] for row in rows])
    return 0


def tree(args: argparse.Namespace) -> int:
    """Print the table of kinds of actors and their rules."""
    rows = ask(data_dir_of(args), "tree", {})
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    print_table(TREE_COLUMNS, [[shown(row) for _, shown, _ in TREE_COLUMNS] for row in rows])
    return 0


COMMANDS: Final = (
    Command("ps", "processes, what they do and what they use", ps),
    Command("tree", "the tree: kinds of actors and the rules they live under", tree),
)

PS_COLUMNS: Final[Sequence[Column]] = (
    ("NAME", text("name"), False),
    ("PID", text("pid"), True),
    ("STATE", lambda row: str(row.get("state", "-")), False),
    ("RESTARTS", text("restarts"), True),
    ("UPTIME", lambda row: duration(row["uptime_s"]) if row["pid"] else "-", True),
    ("CPU%", text("cpu_percent"), True),
    ("RSS", lambda row: size(row["rss_bytes"]), True),
    ("FDS", text("fds"), True),
    ("DEPTH", text("mailbox_depth"), True),
    ("OLDEST", age("oldest_us"), True),
    ("IN/S", rate("received_per_s"), True),
    ("OUT/S", rate("sent_per_s"), True),
    ("P50", percentile("turn_us", "p50"), True),
    ("P99", percentile("turn_us", "p99"), True),
    ("INCARNATION", text("incarnation"), True),
)
TREE_COLUMNS: Final[Sequence[Column]] = (
    ("STAGE", text("stage"), True),
    ("NAME", text("name"), False),
    ("KIND", text("kind"), False),
    ("COUNT", text("count"), True),
    ("RESTART", text("restart"), False),
    ("INTENSITY", lambda row: f"{row['intensity']['restarts']} in {row['intensity']['seconds']:g}s", False),
    ("START", lambda row: f"{row['start_s']:g}s", True),
    ("STOP", lambda row: f"{row['stop_s']:g}s", True),
    ("HANG", lambda row: f"{row['hang_s']:g}s", True),
)
