"""The commands with their options. What a command does is loaded when it runs."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final

from etcdz import ETCD_VERSION
from etcdz.cli.ctl_v2.words import (
    Command,
    HelpAsked,
    Option,
    Values,
    Wrong,
    command_help,
    group_help,
    options_first,
    read_options,
    root_help,
)
from etcdz.config.literals import parse_duration, parse_int

_NAME: Final = "etcdctl"
_SUMMARY: Final = "A simple command line client for etcd."
_NO_SUCH: Final = 3

Run = Callable[[list[str], Values, Values], int]


def _of(module: str, name: str) -> Run:
    def run(arguments: list[str], values: Values, options: Values) -> int:
        command: Run = getattr(import_module(f"etcdz.cli.ctl_v2.{module}"), name)
        return command(arguments, values, options)

    return run


def _flag(names: str, text: str) -> Option:
    return Option(tuple(names.split(", ")), text, is_bool=True)


def _number(name: str, text: str) -> Option:
    return Option((name,), text, "0", check=parse_int)


GLOBAL: Final = (
    _flag("debug", "output cURL commands which can be used to reproduce the request"),
    _flag("no-sync", "don't synchronize cluster information before sending request"),
    Option(
        ("output", "o"),
        "output response in the given format (simple, `extended` or `json`)",
        '"simple"',
        value="simple",
    ),
    Option(("discovery-srv", "D"), "domain name to query for SRV records describing cluster endpoints"),
    _flag("insecure-discovery", "accept insecure SRV records describing cluster endpoints"),
    Option(("peers", "C"), 'DEPRECATED - "--endpoints" should be used instead'),
    Option(("endpoint",), 'DEPRECATED - "--endpoints" should be used instead'),
    Option(
        ("endpoints",),
        'a comma-delimited list of machine addresses in the cluster (default: "http://127.0.0.1:2379,'
        'http://127.0.0.1:4001")',
    ),
    Option(("cert-file",), "identify HTTPS client using this SSL certificate file"),
    Option(("key-file",), "identify HTTPS client using this SSL key file"),
    Option(("ca-file",), "verify certificates of HTTPS-enabled servers using this CA bundle"),
    Option(("username", "u"), "provide username[:password] and prompt if password is not supplied."),
    Option(("timeout",), "connection timeout per request", "2s", check=parse_duration),
    Option(("total-timeout",), "timeout for the command execution (except watch)", "5s", check=parse_duration),
)

_TTL: Final = _number("ttl", "key time-to-live in seconds")
_SORT: Final = _flag("sort", "returns result in sorted order")
_QUORUM: Final = _flag("quorum, q", "require quorum for get request")
_AFTER: Final = _number("after-index", "watch after the given index")
_ROLES: Final = Option(("roles",), "List of roles to grant or revoke", is_list=True)
_SET_NOTE: Final = """Set sets the value of a key.

   When <value> begins with '-', <value> is interpreted as a flag.
   Insert '--' for workaround:

   $ set -- <key> <value>"""


def _paths(how: str, done: str) -> tuple[Option, ...]:
    return (
        Option(("path",), f"Path {done} for the role to access"),
        _flag("read", f"{how} read{'-only' if how == 'Grant' else ''} access"),
        _flag("write", f"{how} write{'-only' if how == 'Grant' else ''} access"),
        _flag("readwrite, rw", f"{how} read-write access"),
    )


_MEMBER: Final = (
    Command("list", "enumerate existing cluster members", " ", _of("members", "list_all")),
    Command("add", "add a new member to the etcd cluster", "<name> <peerURL>", _of("members", "add")),
    Command("remove", "remove an existing member from the etcd cluster", "<memberID>", _of("members", "remove")),
    Command(
        "update", "update an existing member in the etcd cluster", "<memberID> <peerURLs>", _of("members", "update")
    ),
)
_USER: Final = (
    Command("add", "add a new user for the etcd cluster", "<user>", _of("users", "user_add")),
    Command("get", "get details for a user", "<user>", _of("users", "user_get")),
    Command("list", "list all current users", "<user>", _of("users", "user_list")),
    Command("remove", "remove a user for the etcd cluster", "<user>", _of("users", "user_remove")),
    Command("grant", "grant roles to an etcd user", "<user>", _of("users", "user_grant"), (_ROLES,)),
    Command("revoke", "revoke roles for an etcd user", "<user>", _of("users", "user_revoke"), (_ROLES,)),
    Command("passwd", "change password for a user", "<user>", _of("users", "user_password")),
)
_ROLE: Final = (
    Command("add", "add a new role for the etcd cluster", "<role> ", _of("users", "role_add")),
    Command("get", "get details for a role", "<role>", _of("users", "role_get")),
    Command("list", "list all roles", " ", _of("users", "role_list")),
    Command("remove", "remove a role from the etcd cluster", "<role>", _of("users", "role_remove")),
    Command(
        "grant", "grant path matches to an etcd role", "<role>", _of("users", "role_grant"), _paths("Grant", "granted")
    ),
    Command(
        "revoke",
        "revoke path matches for an etcd role",
        "<role>",
        _of("users", "role_revoke"),
        _paths("Revoke", "revoked"),
    ),
)
_AUTH: Final = (
    Command("enable", "enable auth access controls", " ", _of("users", "enable")),
    Command("disable", "disable auth access controls", " ", _of("users", "disable")),
)
COMMANDS: Final = (
    Command(
        "cluster-health",
        "check the health of the etcd cluster",
        " ",
        _of("health", "cluster_health"),
        (_flag("forever, f", "forever check the health every 10 second until CTRL+C"),),
    ),
    Command(
        "mk",
        "make a new key with a given value",
        "<key> <value>",
        _of("keys", "make"),
        (_flag("in-order", "create in-order key under directory <key>"), _TTL),
    ),
    Command("mkdir", "make a new directory", "<key>", _of("keys", "make_directory"), (_TTL,)),
    Command(
        "rm",
        "remove a key or a directory",
        "<key>",
        _of("keys", "remove"),
        (
            _flag("dir", "removes the key if it is an empty directory or a key-value pair"),
            _flag("recursive, r", "removes the key and all child keys(if it is a directory)"),
            Option(("with-value",), "previous value"),
            _number("with-index", "previous index"),
        ),
    ),
    Command(
        "rmdir",
        "removes the key if it is an empty directory or a key-value pair",
        "<key>",
        _of("keys", "remove_directory"),
    ),
    Command("get", "retrieve the value of a key", "<key>", _of("keys", "get"), (_SORT, _QUORUM)),
    Command(
        "ls",
        "retrieve a directory",
        "[key]",
        _of("keys", "ls"),
        (
            _SORT,
            _flag("recursive, r", "returns all key names recursively for the given path"),
            _flag("p", "append slash (/) to directories"),
            _QUORUM,
        ),
    ),
    Command(
        "set",
        "set the value of a key",
        "<key> <value>",
        _of("keys", "set_"),
        (_TTL, Option(("swap-with-value",), "previous value"), _number("swap-with-index", "previous index")),
        description=_SET_NOTE,
    ),
    Command(
        "setdir",
        "create a new directory or update an existing directory TTL",
        "<key>",
        _of("keys", "set_directory"),
        (_TTL,),
    ),
    Command("update", "update an existing key with a given value", "<key> <value>", _of("keys", "update"), (_TTL,)),
    Command("updatedir", "update an existing directory", "<key> <value>", _of("keys", "update_directory"), (_TTL,)),
    Command(
        "watch",
        "watch a key for changes",
        "<key>",
        _of("watching", "watch"),
        (
            _flag("forever, f", "forever watch a key until CTRL+C"),
            _AFTER,
            _flag("recursive, r", "returns all values for key and child keys"),
        ),
    ),
    Command(
        "exec-watch",
        "watch a key for changes and exec an executable",
        "<key> <command> [args...]",
        _of("watching", "exec_watch"),
        (_AFTER, _flag("recursive, r", "watch all values for key and child keys")),
    ),
    Command("member", "member add, remove and list subcommands", children=_MEMBER),
    Command("user", "user add, grant and revoke subcommands", children=_USER),
    Command("role", "role add, grant and revoke subcommands", children=_ROLE),
    Command("auth", "overall auth controls", children=_AUTH),
)


def run(argv: Sequence[str]) -> int:
    """return the exit status."""
    from etcdz.cli.ctl_v2.session import Failed

    whole = root_help(_NAME, _SUMMARY, GLOBAL, COMMANDS)
    version = Option(("version", "v"), "", is_bool=True)
    try:
        options, words = read_options((*GLOBAL, version), argv)
    except Wrong as error:
        print(f"Incorrect Usage. {error}\n\n{whole}", end="")
        print(error, file=sys.stderr)
        return 1
    except HelpAsked:
        words = []
        options = {"version": "false"}
    if options["version"] == "true":
        print(f"{_NAME} version: {ETCD_VERSION}\nAPI version: 2")
        return 0
    if not words or words in (["help"], ["h"]):
        print(whole, end="")
        return 0
    try:
        return _descend(words, options)
    except Failed as error:
        print(error, file=sys.stderr)
        return error.status


def _descend(words: list[str], options: Values) -> int:
    is_help = words[0] in ("help", "h")
    path = _NAME
    known: Sequence[Command] = COMMANDS
    rest = words[1:] if is_help else words
    while True:
        command = next((command for command in known if command.name == rest[0]), None)
        if command is None:
            print(f"No help topic for '{rest[0]}'", file=sys.stderr)
            return _NO_SUCH
        path, rest = f"{path} {command.name}", rest[1:]
        if not command.children or is_help or not rest or rest[0].startswith("-"):
            break
        known = command.children
    shown = command_help(path, command)
    if is_help or command.run is None:
        print(group_help(path, command) if is_help and command.children else shown, end="")
        return 0
    try:
        values, arguments = read_options(command.options, options_first(rest))
    except Wrong as error:
        print(f"Incorrect Usage: {error}\n\n{shown}", end="")
        print(error, file=sys.stderr)
        return 1
    except HelpAsked:
        print(shown, end="")
        return 0
    return command.run(arguments, values, options)
