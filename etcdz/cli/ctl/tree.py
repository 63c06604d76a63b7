"""The commands of etcdctl with their flags. What a command does is loaded when it runs."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from etcdz.cli.command_tree import Command, CommandError, Flag, Values, execute, flag_lines
from etcdz.cli.ctl.environment import Refused
from etcdz.cli.ctl.flags import GLOBAL
from etcdz.cli.ctl.numbers import flag_integer, flag_unsigned
from etcdz.cli.version import show_version


def _client_command(module: str, name: str) -> Callable[[list[str], Values], int]:
    """A function of a module of this package, which is loaded when it is called.

    NB: installed as etcdz-client there is nothing here that files of members, or SRV records, could be read with.
    """

    def run(arguments: list[str], values: Values) -> int:
        command: Callable[[list[str], Values], int] = getattr(import_module(f"etcdz.cli.ctl.{module}"), name)
        try:
            return command(arguments, values)
        except ModuleNotFoundError as error:
            raise CommandError(f"this needs {error.name}: install etcdz in the place of etcdz-client") from error

    return run


def _version(arguments: list[str], values: Values) -> int:
    return show_version("etcdctl")


def _options(arguments: list[str], values: Values) -> int:
    sys.stdout.write("The following options can be passed to any command:\n\n" + flag_lines(GLOBAL))
    return 0


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
    Flag("max-create-rev", "Maximum create revision", "0", check=flag_integer),
    Flag("max-mod-rev", "Maximum modification revision", "0", check=flag_integer),
    Flag("min-create-rev", "Minimum create revision", "0", check=flag_integer),
    Flag("min-mod-rev", "Minimum modification revision", "0", check=flag_integer),
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
_PEER_URLS: Final = Flag("peer-urls", "comma separated peer URLs of the member")
_MEMBER: Final = (
    Command(
        "add",
        "Adds a member into the cluster",
        "<memberName> [options]",
        _client_command("cluster", "add"),
        (Flag("learner", "indicates if the new member is raft learner", is_bool=True), _PEER_URLS),
    ),
    Command(
        "list",
        "Lists all members in the cluster",
        "",
        _client_command("cluster", "list_all"),
        (Flag("consistency", "Linearizable(l) or Serializable(s)", "l"),),
    ),
    Command(
        "promote", "Promotes a non-voting member in the cluster", "<memberID>", _client_command("cluster", "promote")
    ),
    Command("remove", "Removes a member from the cluster", "<memberID>", _client_command("cluster", "remove")),
    Command(
        "update",
        "Updates a member in the cluster",
        "<memberID> [options]",
        _client_command("cluster", "update"),
        (_PEER_URLS,),
    ),
)
_CLUSTER: Final = Flag("cluster", "use all endpoints from the cluster member list", is_bool=True)
_ENDPOINT: Final = (
    Command(
        "hashkv",
        "Prints the KV history hash for each endpoint in --endpoints",
        "",
        _client_command("endpoints", "hash_kv"),
        (_CLUSTER, Flag("rev", "maximum revision to hash (default: all revisions)", "0", check=flag_integer)),
    ),
    Command(
        "health",
        "Checks the healthiness of endpoints specified in `--endpoints` flag",
        "",
        _client_command("endpoints", "health"),
        (_CLUSTER,),
    ),
    Command(
        "status",
        "Prints out the status of endpoints specified in `--endpoints` flag",
        "",
        _client_command("endpoints", "status"),
        (_CLUSTER,),
    ),
)
_DOWNGRADE: Final = (
    Command(
        "cancel", "Cancels the downgrade of the cluster that is under way", "", _client_command("downgrade", "cancel")
    ),
    Command("enable", "Starts a downgrade of the cluster", "<TARGET_VERSION>", _client_command("downgrade", "enable")),
    Command(
        "validate",
        "Asks whether the cluster could be downgraded",
        "<TARGET_VERSION>",
        _client_command("downgrade", "validate"),
    ),
)
_ALARM: Final = (
    Command("disarm", "Disarms all alarms", "", _client_command("cluster", "disarm")),
    Command("list", "Lists all alarms", "", _client_command("cluster", "alarms")),
)
_AUTH: Final = (
    Command("disable", "Disables authentication", "", _client_command("users", "disable")),
    Command("enable", "Enables authentication", "", _client_command("users", "enable")),
    Command("status", "Returns authentication status", "", _client_command("users", "auth_status")),
)
_ASKS: Final = Flag("interactive", "ask for the password; false: its first line of stdin", "true", is_bool=True)
_USER: Final = (
    Command(
        "add",
        "Adds a new user",
        "<user name or user:password> [options]",
        _client_command("users", "user_add"),
        (
            _ASKS,
            Flag("new-user-password", "Supply password from the command line flag"),
            Flag("no-password", "Create a user without password (CN based auth only)", is_bool=True),
        ),
    ),
    Command("delete", "Deletes a user", "<user name>", _client_command("users", "user_delete")),
    Command(
        "get",
        "Gets detailed information of a user",
        "<user name> [options]",
        _client_command("users", "user_get"),
        (Flag("detail", "Show permissions of roles granted to the user", is_bool=True),),
    ),
    Command("grant-role", "Grants a role to a user", "<user name> <role name>", _client_command("users", "grant_role")),
    Command("list", "Lists all users", "", _client_command("users", "user_list")),
    Command(
        "passwd",
        "Changes password of user",
        "<user name> [options]",
        _client_command("users", "user_password"),
        (_ASKS,),
    ),
    Command(
        "revoke-role", "Revokes a role from a user", "<user name> <role name>", _client_command("users", "revoke_role")
    ),
)
_ROLE: Final = (
    Command("add", "Adds a new role", "<role name>", _client_command("users", "role_add")),
    Command("delete", "Deletes a role", "<role name>", _client_command("users", "role_delete")),
    Command("get", "Gets detailed information of a role", "<role name>", _client_command("users", "role_get")),
    Command(
        "grant-permission",
        "Grants a key to a role",
        "[options] <role name> <permission type> <key> [endkey]",
        _client_command("users", "grant_permission"),
        (_FROM_KEY, _PREFIX),
    ),
    Command("list", "Lists all roles", "", _client_command("users", "role_list")),
    Command(
        "revoke-permission",
        "Revokes a key from a role",
        "<role name> <key> [endkey]",
        _client_command("users", "revoke_permission"),
        (_FROM_KEY, _PREFIX),
    ),
)
_SNAPSHOT: Final = (
    Command(
        "restore",
        "Restores an etcd member snapshot to an etcd directory",
        "<filename> [options]",
        _client_command("snapshots", "restore"),
        (
            Flag("data-dir", "Path to the data directory"),
            Flag("initial-advertise-peer-urls", "Peer URLs of this member", "http://localhost:2380"),
            Flag("initial-cluster", "Initial cluster configuration", "default=http://localhost:2380"),
            Flag("initial-cluster-token", "Initial cluster token", "etcd-cluster"),
            Flag("name", "Human-readable name for this member", "default"),
            Flag("skip-hash-check", "Ignore snapshot integrity hash value", is_bool=True),
            Flag("wal-dir", "Path to the WAL directory (use --data-dir if none given)"),
        ),
    ),
    Command(
        "save",
        "Stores an etcd node backend snapshot to a given file",
        "<filename>",
        _client_command("snapshots", "save"),
    ),
    Command(
        "status",
        "[deprecated] Gets backend snapshot status of a given file",
        "<filename>",
        _client_command("snapshots", "status"),
    ),
)
_WATCH: Final = (
    Flag("interactive", "Interactive mode", short="i", is_bool=True),
    Flag("prefix", "Watch on a prefix if prefix is set", is_bool=True),
    Flag("prev-kv", "get the previous key-value pair before the event happens", is_bool=True),
    Flag("progress-notify", "get periodic watch progress notification from server", is_bool=True),
    Flag("rev", "Revision to start watching", "0", check=flag_integer),
)
_MIRROR: Final = (
    Flag("dest-cacert", "Verify certificates of TLS enabled secure servers using this CA bundle"),
    Flag("dest-cert", "Identify secure client using this TLS certificate file for the destination cluster"),
    Flag("dest-insecure-transport", "Disable transport security for client connections", "true", is_bool=True),
    Flag("dest-key", "Identify secure client using this TLS key file"),
    Flag("dest-password", "Destination password for authentication"),
    Flag("dest-prefix", "destination prefix to mirror a prefix to a different prefix in the destination cluster"),
    Flag("dest-user", "Destination username[:password] for authentication (prompt if password is not supplied)"),
    Flag(
        "max-txn-ops", "Maximum number of operations of a transaction that writes updates", "128", check=flag_unsigned
    ),
    Flag("no-dest-prefix", "mirror key-values to the root of the destination cluster", is_bool=True),
    Flag("prefix", "Key-value prefix to mirror"),
    Flag("rev", "The revision to start to mirror from; 0: first all that is there", "0", check=flag_integer),
)
_COMPLETION: Final = (
    Command("bash", "Prints a script for bash", "", _client_command("completion", "bash")),
    Command("fish", "Prints a script for fish", "", _client_command("completion", "fish")),
    Command("powershell", "Prints a script for PowerShell", "", _client_command("completion", "powershell")),
    Command("zsh", "Prints a script for zsh", "", _client_command("completion", "zsh")),
)
_LOAD: Final = (
    Flag("auto-compact", "Compact storage with last revision after test is finished.", is_bool=True),
    Flag("auto-defrag", "Defragment storage after test is finished.", is_bool=True),
    Flag("load", "The workload: s(small), m(medium), l(large), xl(xLarge)", "s"),
)
_CHECK: Final = (
    Command(
        "datascale",
        "Check the memory usage of holding data for different workloads on a given server endpoint.",
        "[options]",
        _client_command("check", "datascale"),
        (*_LOAD, Flag("prefix", "The prefix for writing the keys.", "/etcdctl-check-datascale/")),
    ),
    Command(
        "perf",
        "Check the performance of the etcd cluster",
        "[options]",
        _client_command("check", "perf"),
        (*_LOAD, Flag("prefix", "The prefix for writing the keys.", "/etcdctl-check-perf/")),
    ),
)

ROOT: Final = Command(
    "etcdctl",
    "A simple command line client for etcd3.",
    flags=GLOBAL,
    by_prefix=True,
    children=(
        Command("alarm", "Alarm related commands", children=_ALARM),
        Command("auth", "Enable or disable authentication", children=_AUTH),
        Command(
            "compaction",
            "Compacts the event history in etcd",
            "[options] <revision>",
            _client_command("keys", "compaction"),
            (Flag("physical", "wait until all old revisions are physically removed", is_bool=True),),
        ),
        Command("check", "commands for checking properties of the etcd cluster", children=_CHECK),
        Command("completion", "Prints what a shell needs to complete commands", children=_COMPLETION),
        Command(
            "defrag",
            "Defragments the storage of the etcd members with given endpoints",
            "",
            _client_command("endpoints", "defrag"),
            (_CLUSTER, Flag("data-dir", "not supported: a member that runs is defragmented by its endpoint")),
        ),
        Command(
            "del",
            "Removes the specified key or range of keys [key, range_end)",
            "[options] <key> [range_end]",
            _client_command("keys", "delete"),
            (_FROM_KEY, _PREFIX, _PREV, Flag("range", "delete range of keys", is_bool=True)),
        ),
        Command("downgrade", "Downgrade related commands", children=_DOWNGRADE),
        Command(
            "elect",
            "Observes and participates in leader election",
            "<election-name> [proposal]",
            _client_command("locks", "elect"),
            (Flag("listen", "observation mode", short="l", is_bool=True),),
        ),
        Command("endpoint", "Endpoint related commands", children=_ENDPOINT),
        Command(
            "get",
            "Gets the key or a range of keys",
            "[options] <key> [range_end]",
            _client_command("keys", "get"),
            _GET,
        ),
        Command("lease", "Lease related commands", children=_LEASE),
        Command(
            "lock",
            "Acquires a named lock",
            "<lockname> [exec-command arg1 arg2 ...]",
            _client_command("locks", "lock"),
            (Flag("ttl", "timeout for session", "10", check=flag_integer),),
        ),
        Command(
            "make-mirror",
            "Makes a mirror at the destination etcd cluster",
            "[options] <destination>",
            _client_command("mirror", "make_mirror"),
            _MIRROR,
        ),
        Command("member", "Membership related commands", children=_MEMBER),
        Command(
            "move-leader",
            "Transfers leadership to another etcd cluster member.",
            "<transferee-member-id>",
            _client_command("endpoints", "move_leader"),
        ),
        Command("options", "Shows the flags that every command has", "", _options),
        Command(
            "put",
            "Puts the given key into the store",
            "[options] <key> <value> (<value> can also be given from stdin)",
            _client_command("keys", "put"),
            _PUT,
        ),
        Command("role", "Role related commands", children=_ROLE),
        Command("snapshot", "Manages etcd node snapshots", children=_SNAPSHOT),
        Command(
            "txn",
            "Txn processes all the requests in one transaction",
            "[options]",
            _client_command("transactions", "txn"),
            (Flag("interactive", "Input transaction in interactive mode", short="i", is_bool=True),),
        ),
        Command("user", "User related commands", children=_USER),
        Command("version", "Prints the version of etcdctl", "", _version),
        Command(
            "watch",
            "Watches events stream on keys or prefixes",
            "[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
            _client_command("watching", "watch"),
            _WATCH,
        ),
    ),
)


def run(argv: Sequence[str]) -> int:
    """return the exit status."""
    if argv and argv[0] == "--version":
        return _version([], Values({}))
    try:
        return execute(ROOT, argv)
    except Refused:
        return 1
