"""`etcdzctl`: etcdctl's commands, flags, variables and outputs, by the client library.

tree.py          the commands and their flags; what a command needs is loaded when it runs
flags.py         the flags of every command
environment.py   ETCDCTL_* variables
numbers.py       numbers as Go's strconv reads them
quoting.py       strings in quotes as Go writes and reads them
exits.py         exit statuses
session.py       what a command has: its flags, a client, a printer
discovery.py     endpoints by SRV records
passwords.py     what is typed unseen
keys.py          put, get, del, compaction
transactions.py  txn
leases.py        lease ...
watching.py      watch
locks.py         lock, elect
mirror.py        make-mirror
check.py         check perf, check datascale
completion.py    completion
endpoints.py     endpoint ..., defrag, move-leader
cluster.py       member ..., alarm ...
downgrade.py     downgrade ...
users.py         auth, user, role
snapshots.py     snapshot ...
printers/        one file per output

With ETCDCTL_API=2 etcdz/cli/ctl_v2 takes its place.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """return the exit status. NB: who is interrupted, or whose reader has gone, ends by that signal, as etcdctl does"""
    package = "ctl_v2" if os.environ.get("ETCDCTL_API") == "2" else "ctl"
    tree = importlib.import_module(f"etcdz.cli.{package}.tree")  # by name: each has what it needs of the other
    try:
        return int(tree.run(list(sys.argv[1:] if argv is None else argv)))
    except KeyboardInterrupt:
        return _end_by(signal.SIGINT)
    except BrokenPipeError:
        return _end_by(signal.SIGPIPE)


def _end_by(number: signal.Signals) -> int:
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    return 128 + number
