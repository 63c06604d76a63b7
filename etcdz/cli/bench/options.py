"""The command line: flags with the names and defaults of etcd's `benchmark` tool, checked before anything starts.

Flags that all commands know may stand before the command too, as etcd's documentation writes them.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from etcdz.cli.access import Access, AccessError, add_flags, take, with_values
from etcdz.cli.bench.workload import keys_max
from etcdz.cli.endpoints import Endpoint, parse_endpoints
from etcdz.config.literals import parse_bool, parse_duration

STAMP_BYTES: Final = 8
"""A watch load's values begin with the time of their put."""
CLIENTS_PER_PROCESS: Final = 25
"""Below so many callers a second process costs more in wake-ups than it takes over."""
_LIMIT_MIXED: Final = 1000
_COUNT_MAX: Final = 1 << 40
_SIZE_MAX: Final = 1 << 28


class Options(NamedTuple):
    """A checked command line. read_share: of the ranges in txn-mixed, 0 to 1; times in seconds, 0: none"""

    command: str
    endpoints: tuple[Endpoint, ...]
    conns: int
    clients: int
    processes: int
    dial_timeout_s: float
    access: Access
    json: bool
    total: int
    rate: float
    key_size: int = 8
    val_size: int = 8
    key_space: int = 1
    sequential: bool = False
    compact_interval_s: float = 0.0
    compact_delta: int = 1000
    check_hashkv: bool = False
    txn_ops: int = 1
    key: bytes = b""
    end: bytes = b""
    serializable: bool = False
    limit: int = 0
    keys_only: bool = False
    count_only: bool = False
    read_share: float = 0.5
    leases: int = 0
    lease_ids: tuple[int, ...] = ()
    """Granted before anything is measured."""
    streams: int = 0
    watchers_per_stream: int = 0
    watched_keys: int = 1
    prev_kv: bool = False
    precise: bool = False


def parse(argv: Sequence[str]) -> Options:
    """raises SystemExit, after usage and reason are printed: 2 for a wrong command line, 0 after --help"""
    parser = _parser()
    said = {**_SHARED_DEFAULTS, **vars(parser.parse_args(with_values(argv)))}
    try:
        said["access"] = take(said)
        said["endpoints"] = said["access"].settle(said["endpoints"])
    except AccessError as why:
        parser.error(str(why))
    ratio = said.pop("rw_ratio", 1.0)
    said |= _chosen(said)
    if error := _error(said):
        parser.error(error)
    return Options(**said, read_share=ratio / (1 + ratio))


def _chosen(said: dict[str, Any]) -> dict[str, Any]:
    """Defaults that depend on other flags."""
    chosen: dict[str, Any] = {}
    if "key_space" in said:
        # NB: etcd's tool has 1, and refuses a transaction of several puts without the flag.
        chosen["key_space"] = said["key_space"] or said.get("txn_ops", 1)
    if "consistency" in said:
        chosen["serializable"] = said.pop("consistency") == "s"
    if end_key := said.pop("end_key", b""):
        chosen["end"] = end_key
    if said["command"] == "txn-mixed" and not said["key"]:
        chosen["key"] = b"\0"
        chosen["end"] = end_key or b"\0"  # all keys
    if said["command"] == "lease-keepalive" and not said["leases"]:
        chosen["leases"] = said["clients"]
    if "watched_keys" in said:
        said.pop("watched_in_order")
        space = said.pop("watched_space")
        chosen["watched_keys"] = min(said["watched_keys"], space or said["watched_keys"])
    if said["command"] in WATCH_COMMANDS:
        chosen["processes"] = 1
    if "watchers" in said:
        # As many on each stream: the number is rounded up.
        chosen["watchers_per_stream"] = -(-said.pop("watchers") // said["streams"])
        chosen |= {"rate": 0.0, "key_size": 32, "val_size": 32}
    elif not said["processes"]:
        # Half of the cores at most: the server often runs on the same machine.
        cores = len(os.sched_getaffinity(0)) // 2
        chosen["processes"] = max(1, min(cores, said["conns"], said["clients"] // CLIENTS_PER_PROCESS))
    return chosen


def _error(said: dict[str, Any]) -> str | None:
    """What is wrong with flags that are each fine by itself."""
    if said.get("processes", 0) > said["conns"]:
        return f"--processes {said['processes']} is more than --conns {said['conns']}: each needs a connection"
    if "key_space" not in said:
        return None
    space, size = said["key_space"], said["key_size"]
    if space > keys_max(size):
        return f"--key-space-size {space} is more than there are keys of --key-size {size}: {keys_max(size)}"
    if said.get("txn_ops", 1) > space:
        return f"--txn-ops {said['txn_ops']} is more than --key-space-size {space}: a transaction puts no key twice"
    return None


# ---- the parser ----

_SHARED_DEFAULTS: Final[dict[str, Any]] = {
    "endpoints": parse_endpoints("127.0.0.1:2379"),
    "conns": 1,
    "clients": 1,
    "processes": 0,
    "dial_timeout_s": 5.0,
    "json": False,
    "precise": False,
}


def _parser() -> argparse.ArgumentParser:
    shared = _shared_flags()
    parser = argparse.ArgumentParser(
        prog="etcdz bench",
        description="Load on etcdz or any other etcd, and how it answers.",
        parents=[shared],
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text, add_own_flags in _COMMANDS:
        command = commands.add_parser(name, help=text, description=text, parents=[shared], allow_abbrev=False)
        if name not in WATCH_COMMANDS:
            _add_total(command)
        add_own_flags(command)
    return parser


def _add_total(command: argparse.ArgumentParser) -> None:
    command.add_argument("--total", type=_positive, default=10_000, metavar="N", help="requests (default 10000)")
    command.add_argument(
        "--rate",
        type=_number,
        default=0.0,
        metavar="N",
        help="requests a second, asked for whether or not earlier ones are answered; a request that waits for an"
        " idle client counts from when it was due (default 0: every client asks as fast as it gets answers)",
    )


def _shared_flags() -> argparse.ArgumentParser:
    """NB: defaults come later: here, those of a subcommand would overwrite what stood before it."""
    shared = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    add = shared.add_argument
    add(
        "--endpoints",
        type=_endpoints,
        metavar="LIST",
        help="host:port, https://host:port or unix:path, several joined by commas; connections take them in turn"
        " (default 127.0.0.1:2379)",
    )
    add("--conns", type=_positive, metavar="N", help="connections (default 1)")
    add("--clients", type=_positive, metavar="N", help="callers, spread over the connections (default 1)")
    add(
        "--processes",
        type=_positive,
        metavar="N",
        help="processes of the load generator (default: by cores and clients)",
    )
    add(
        "--dial-timeout",
        dest="dial_timeout_s",
        type=_timeout,
        metavar="TIME",
        help="for a connection to come up, and to come back after it was lost (default 5s)",
    )
    add("--json", action="store_true", help="print one JSON object instead of the report")
    add("--precise", action="store_true", help="all digits of the report's figures")
    add_flags(shared)
    return shared


def _add_writing(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--key-size", type=_key_size, default=8, metavar="BYTES", help="of a key (default 8)")
    add("--val-size", type=_size, default=8, metavar="BYTES", help="of a value (default 8)")
    add(
        "--key-space-size",
        dest="key_space",
        type=_positive,
        metavar="N",
        help="how many keys there are at most (default 1, or as many as --txn-ops)",
    )


def _add_put(command: argparse.ArgumentParser) -> None:
    _add_writing(command)
    add = command.add_argument
    _add_switch(command, "--sequential-keys", "sequential", "keys in order, not at random")
    add(
        "--compact-interval",
        dest="compact_interval_s",
        type=_duration,
        default=0.0,
        metavar="TIME",
        help="compact the history each time so much has passed, e.g. 5m (default 0: never)",
    )
    add(
        "--compact-index-delta",
        dest="compact_delta",
        type=_count,
        default=1000,
        metavar="N",
        help="revisions that a compaction leaves (default 1000)",
    )
    _add_switch(command, "--check-hashkv", "check_hashkv", "say the store's hash afterwards, and how long it took")


def _add_txn_put(command: argparse.ArgumentParser) -> None:
    _add_writing(command)
    _add_order(command)
    command.add_argument("--txn-ops", type=_positive, default=1, metavar="N", help="puts per transaction (default 1)")


def _add_order(command: argparse.ArgumentParser) -> None:
    _add_switch(command, "--sequential-keys", "sequential", "accepted; transactions always take keys in order")


def _add_consistency(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--consistency", choices=["l", "s"], default="l", help="linearizable or serializable reads (default l)"
    )


def _add_range(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("key", type=os.fsencode, metavar="KEY")
    add(
        "end", type=os.fsencode, nargs="?", default=b"", metavar="END", help="read the keys from KEY to here, exclusive"
    )
    _add_consistency(command)
    add("--limit", type=_count, default=0, metavar="N", help="keys per answer (default 0: all)")
    add("--keys-only", action="store_true", help="answers without values")
    add("--count-only", action="store_true", help="answers with the number of keys alone")


def _add_txn_mixed(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("key", type=os.fsencode, nargs="?", default=b"", metavar="KEY", help="what is read (default: all keys)")
    add(
        "end", type=os.fsencode, nargs="?", default=b"", metavar="END", help="read the keys from KEY to here, exclusive"
    )
    _add_consistency(command)
    add("--end-key", type=os.fsencode, default=b"", metavar="END", help="the same as END")
    add("--limit", type=_count, default=_LIMIT_MIXED, metavar="N", help=f"keys per answer (default {_LIMIT_MIXED})")
    add("--rw-ratio", type=_number, default=1.0, metavar="R", help="reads for each write (default 1)")
    _add_writing(command)
    _add_order(command)


def _add_lease_keepalive(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--leases", type=_count, default=0, metavar="N", help="leases, renewed in turn (default 0: one per client)"
    )


def _add_watch(command: argparse.ArgumentParser) -> None:
    _add_watchers(command, per_stream=100, put_rate=0.0)
    command.add_argument(
        "--watched-key-total", dest="watched_keys", type=_positive, default=1, metavar="N", help="keys (default 1)"
    )
    # NB: etcd's tool has a space of 1 unless told otherwise, so that its watchers all watch one key.
    command.add_argument(
        "--key-space-size",
        dest="watched_space",
        type=_positive,
        default=0,
        metavar="N",
        help="how many different keys there are at most (default: as many as --watched-key-total)",
    )
    _add_switch(command, "--sequential-keys", "watched_in_order", "accepted; the watched keys are put in turn anyway")


def _add_watch_latency(command: argparse.ArgumentParser) -> None:
    _add_watchers(command, per_stream=10, put_rate=100.0)


def _add_watchers(command: argparse.ArgumentParser, per_stream: int, put_rate: float) -> None:
    add = command.add_argument
    add("--streams", type=_positive, default=10, metavar="N", help="watch streams, over the connections (default 10)")
    add(
        "--watch-per-stream",
        "--watchers-per-stream",
        dest="watchers_per_stream",
        type=_positive,
        default=per_stream,
        metavar="N",
        help=f"watchers of each stream (default {per_stream})",
    )
    _add_switch(command, "--prevkv", "prev_kv", "events with what was before")
    add("--put-total", "--total", dest="total", type=_positive, default=1000, metavar="N", help="puts (default 1000)")
    add(
        "--put-rate",
        dest="rate",
        type=_number,
        default=put_rate,
        metavar="N",
        help=f"puts a second, 0: as fast as --clients get answers (default {put_rate:g})",
    )
    add("--key-size", type=_key_size, default=32, metavar="BYTES", help="of a key (default 32)")
    add("--val-size", type=_stamped_size, default=32, metavar="BYTES", help="of a value, 8 or more (default 32)")


def _add_watch_get(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--watchers", type=_positive, default=10_000, metavar="N", help="watchers of the past (default 10000)")
    add("--streams", type=_positive, default=1, metavar="N", help="watch streams, over the connections (default 1)")
    add("--events", dest="total", type=_positive, default=8, metavar="N", help="events per watcher (default 8)")


WATCH_COMMANDS: Final = ("watch", "watch-latency", "watch-get")
_COMMANDS: Final[tuple[tuple[str, str, Callable[[argparse.ArgumentParser], None]], ...]] = (
    ("put", "Put one key per request.", _add_put),
    ("range", "Read a key, or the keys from KEY to END.", _add_range),
    ("txn-put", "Put several keys per transaction.", _add_txn_put),
    ("txn-mixed", "Transactions that read or put, mixed.", _add_txn_mixed),
    ("lease-keepalive", "Renew leases, one keep-alive per stream.", _add_lease_keepalive),
    ("watch", "Make watchers, then put what they watch: events per second.", _add_watch),
    ("watch-latency", "From the start of a put to its event.", _add_watch_latency),
    ("watch-get", "Read while many watchers catch up with the past.", _add_watch_get),
)


def _add_switch(command: argparse.ArgumentParser, flag: str, dest: str, text: str) -> None:
    """As Go's flags, it may be given as --flag=true or --flag=false too."""
    command.add_argument(
        flag, dest=dest, type=parse_bool, nargs="?", const=True, default=False, metavar="BOOL", help=text
    )


# ---- values; argparse shows the text of ArgumentTypeError ----


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if not 0 <= value <= _COUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is {'less than 0' if value < 0 else 'too much'}")
    return value


def _positive(text: str) -> int:
    value = _count(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _size(text: str) -> int:
    value = _count(text)
    if value > _SIZE_MAX:
        raise argparse.ArgumentTypeError(f"{text} is more than {_SIZE_MAX} bytes")
    return value


def _stamped_size(text: str) -> int:
    """Of a value that begins with the time of its put."""
    value = _size(text)
    if value < STAMP_BYTES:
        raise argparse.ArgumentTypeError(f"must be at least {STAMP_BYTES}")
    return value


def _key_size(text: str) -> int:
    return _size(str(_positive(text)))


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value <= _COUNT_MAX:
        raise argparse.ArgumentTypeError(f"{text} is out of range")
    return value


def _duration(text: str) -> float:
    try:
        value = parse_duration(text) / 1e9
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 500ms, 10s or 5m") from None
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is less than 0")
    return value


def _timeout(text: str) -> float:
    value = _duration(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _endpoints(text: str) -> tuple[Endpoint, ...]:
    try:
        return parse_endpoints(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
