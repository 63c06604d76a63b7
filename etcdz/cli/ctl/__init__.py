"""`etcdzctl`: etcdctl's commands, flags, variables and outputs, by the client library.

tree.py          the commands and their flags; what a command needs is loaded when it runs
flags.py         the flags of every command
environment.py   ETCDCTL_* variables
numbers.py       numbers as Go's strconv reads them
session.py       what a command has: its flags, a client, a printer
keys.py          put, get, del, compaction
leases.py        lease ...
printers/        one file per output
"""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """return the exit status."""
    from etcdz.cli.ctl.tree import run

    return run(list(sys.argv[1:] if argv is None else argv))
