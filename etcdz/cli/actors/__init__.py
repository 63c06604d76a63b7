"""`etcdz actors ...`: look at the processes of a running member, and act on them, through its control socket.

Exit status: 0; 1 if no member runs there, or it does not answer, or it refuses; 2 for wrong arguments.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from etcdz.cli.actors import diagnostics, orders, ps
from etcdz.cli.actors.command import Command
from etcdz.control.client import Refused

COMMANDS: tuple[Command, ...] = (*ps.COMMANDS, *orders.COMMANDS, *diagnostics.COMMANDS)
"""In the order of the help text. Each module of this package has one kind of commands."""


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdz actors`."""
    try:
        args = _parser().parse_args(orders.with_signals_as_words(argv))
    except SystemExit as exit:  # argparse has printed why
        return exit.code if isinstance(exit.code, int) else 2
    try:
        return int(args.run(args))
    except Refused as error:
        print(f"etcdz actors {args.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:  # the end of what is followed
        return 130


def _parser() -> argparse.ArgumentParser:
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--data-dir", metavar="DIR", help="data directory of the member (default: NAME.etcd)")
    where.add_argument("--name", default=os.environ.get("ETCD_NAME", "default"), help="its name (default: default)")
    where.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser = argparse.ArgumentParser(prog="etcdz actors", description="Look at the processes of a running member.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        found = commands.add_parser(command.name, parents=[where], help=command.help, description=command.help)
        command.add_arguments(found)
        found.set_defaults(run=command.run)
    return parser
