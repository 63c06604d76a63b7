"""The commands of etcdctl with their flags. What a command does is loaded when it runs."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from etcdz.cli.command_tree import Command, Flag, Values, descend, execute
from etcdz.cli.ctl.environment import Refused
from etcdz.cli.ctl.flags import GLOBAL
from etcdz.cli.ctl.numbers import flag_integer
from etcdz.cli.version import show_version


def _client_command(module: str, name: str) -> Callable[[list[str], Values], int]:
    """A function of a module of this package, which is loaded when it is called."""

    def run(arguments: list[str], values: Values) -> int:
        command: Callable[[list[str], Values], int] = getattr(import_module(f"etcdz.cli.ctl.{module}"), name)
        return command(arguments, values)

    return run


def _version(arguments: list[str], values: Values) -> int:
    return show_version("etcdctl")


def _not_yet(arguments: list[str], values: Values) -> int:
    raise NotImplementedError  # `run` has answered before a flag is looked at


_PREFIX: Final = Flag("prefix", "keys with matching prefix", is_bool=True)
_FROM_KEY: Final = Flag("from-key", "keys that are greater than or equal to the given key", is_bool=True)
_PREV: Final = Flag("prev-kv", "return what was there before", is_bool=True)

_PUT: Final = (
    Flag("ignore-lease", "updates the key using its current lease", is_bool=True),
    Flag("ignore-value", "updates the key using its current value", is_bool=True),
    Flag("lease", "lease ID (in hexadecimal) to attach to the key", "0"),
    _PREV,
)
_GET: Final = (
    Flag("consistency", "Linearizable(l) or Serializable(s)", "l"),
    Flag("count-only", "Get only the count", is_bool=True),
    _FROM_KEY,
    Flag("keys-only", "Get only the keys", is_bool=True),
    Flag("limit", "Maximum number of results", "0", check=flag_integer),
    Flag("order", "Order of results; ASCEND or DESCEND (ASCEND by default)"),
    _PREFIX,
    Flag("print-value-only", 'Only write values when using the "simple" output format', is_bool=True),
    Flag("rev", "Specify the kv revision", "0", check=flag_integer),
    Flag("sort-by", "Sort target; CREATE, KEY, MODIFY, VALUE, or VERSION"),
)
_LEASE: Final = (
    Command("grant", "Creates leases", "<ttl>", _client_command("leases", "grant")),
    Command(
        "keep-alive",
        "Keeps leases alive (renew)",
        "[options] <leaseID>",
        _client_command("leases", "keep_alive"),
        (Flag("once", "renews the lease once and exits", is_bool=True),),
    ),
    Command("list", "List all active leases", "", _client_command("leases", "list_all")),
    Command("revoke", "Revokes leases", "<leaseID>", _client_command("leases", "revoke")),
    Command(
        "timetolive",
        "Get lease information",
        "<leaseID> [options]",
        _client_command("leases", "time_to_live"),
        (Flag("keys", "Get keys attached to this lease", is_bool=True),),
    ),
)
_TO_COME: Final = (
    "alarm auth check completion defrag elect endpoint lock make-mirror member move-leader role snapshot txn user watch"
)

ROOT: Final = Command(
    "etcdctl",
    "A simple command line client for etcd3.",
    flags=GLOBAL,
    children=(
        Command(
            "compaction",
            "Compacts the event history in etcd",
            "[options] <revision>",
            _client_command("keys", "compaction"),
            (Flag("physical", "wait until all old revisions are physically removed", is_bool=True),),
        ),
        Command(
            "del",
            "Removes the specified key or range of keys [key, range_end)",
            "[options] <key> [range_end]",
            _client_command("keys", "delete"),
            (_FROM_KEY, _PREFIX, _PREV),
        ),
        Command(
            "get",
            "Gets the key or a range of keys",
            "[options] <key> [range_end]",
            _client_command("keys", "get"),
            _GET,
        ),
        Command("lease", "Lease related commands", children=_LEASE),
        Command(
            "put",
            "Puts the given key into the store",
            "[options] <key> <value> (<value> can also be given from stdin)",
            _client_command("keys", "put"),
            _PUT,
        ),
        Command("version", "Prints the version of etcdctl", "", _version),
        *[Command(name, "Not supported yet", run=_not_yet, is_hidden=True) for name in _TO_COME.split()],
    ),
)


def run(argv: Sequence[str]) -> int:
    """return the exit status."""
    if argv and argv[0] == "--version":
        return _version([], Values({}))
    command = descend(ROOT, argv)[0][-1]
    if command.run is _not_yet:
        sys.stderr.write(f"Error: etcdzctl {command.name} is not supported yet; etcd's own etcdctl works with etcdz\n")
        return 1
    try:
        return execute(ROOT, argv)
    except Refused:
        return 1
