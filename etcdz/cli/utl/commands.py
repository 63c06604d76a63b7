"""The command tree of etcdzutl."""

from collections.abc import Sequence

from etcdz.cli.command_tree import Command, CommandError, Flag, Values, execute
from etcdz.cli.utl import migrate, restore, status
from etcdz.cli.version import show_version

BAD_ARGUMENTS = 128
"""Exit status of etcd's tools for a wrong number of arguments."""
_URL = "http://localhost:2380"


def _one_file(arguments: list[str], command: str) -> str:
    if len(arguments) != 1:
        raise CommandError(f"snapshot {command} requires exactly one argument", BAD_ARGUMENTS)
    return arguments[0]


def _version(arguments: list[str], flags: Values) -> int:
    return show_version("etcdutl")


def _save(arguments: list[str], flags: Values) -> int:
    raise CommandError("In order to download snapshot use: `etcdctl snapshot save ...`", BAD_ARGUMENTS)


def _status(arguments: list[str], flags: Values) -> int:
    return status.run(_one_file(arguments, "status"), flags["write-out"])


def _restore(arguments: list[str], flags: Values) -> int:
    options = restore.Options(
        _one_file(arguments, "restore"),
        data_dir=flags["data-dir"],
        wal_dir=flags["wal-dir"],
        name=flags["name"],
        initial_cluster=flags["initial-cluster"],
        token=flags["initial-cluster-token"],
        peer_urls=flags["initial-advertise-peer-urls"],
        skip_hash_check=flags["skip-hash-check"] == "true",
    )
    return restore.run(options)


def _migrate(arguments: list[str], flags: Values) -> int:
    if arguments:
        raise CommandError("migrate takes no arguments", BAD_ARGUMENTS)
    return migrate.run(flags["data-dir"], flags["wal-dir"], flags["to"])


_STATUS = Command("status", "Gets backend snapshot status of a given file", "<filename>", _status)
_RESTORE = Command(
    "restore",
    "Restores an etcd member snapshot to an etcdz directory",
    "<filename> --data-dir {output dir} [options]",
    _restore,
    (
        Flag("data-dir", "Path to the output data directory", required=True),
        Flag("wal-dir", "Path to the WAL directory (use --data-dir if none given)"),
        Flag("initial-cluster", "Initial cluster configuration for restore bootstrap", f"default={_URL}"),
        Flag(
            "initial-cluster-token",
            "Initial cluster token for the etcd cluster during restore bootstrap",
            "etcd-cluster",
        ),
        Flag(
            "initial-advertise-peer-urls",
            "List of this member's peer URLs to advertise to the rest of the cluster",
            _URL,
        ),
        Flag("name", "Human-readable name for this member", "default"),
        Flag(
            "skip-hash-check",
            "Ignore snapshot integrity hash value (required if copied from data directory)",
            is_bool=True,
        ),
    ),
)
_MIGRATE = Command(
    "migrate",
    "Turns the data directory of a stopped etcd into one of etcdz, or back",
    "--data-dir {data dir} [options]",
    _migrate,
    (
        Flag("data-dir", "Path to the data directory; what it held before is kept in it", required=True),
        Flag("wal-dir", "Path to the WAL directory, if it is not in the data directory; it stays as it is"),
        Flag("to", "etcd or etcdz (default: the one that it is not)"),
    ),
)
ROOT = Command(
    "etcdzutl",
    "",
    flags=(Flag("write-out", "set the output format (fields, json, protobuf, simple, table)", "simple", short="w"),),
    children=(
        Command("help", "Help about any command"),
        _MIGRATE,
        Command(
            "snapshot",
            "Manages etcd node snapshots",
            children=(_RESTORE, _STATUS, Command("save", "", "<filename>", _save, is_hidden=True)),
        ),
        Command("version", "Prints the version of etcdzutl", "", _version),
    ),
)


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdzutl`. return the exit status"""
    words = ["version" if word == "--version" else word for word in argv]
    return execute(ROOT, [] if words[:1] == ["help"] else words)
