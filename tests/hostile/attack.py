"""The table of attacks, and one attack by name: `python -m tests.hostile.attack NAME host:port --seed 7`.

Prints a JSON line with what it counted.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from random import Random
from typing import Final, NamedTuple

from tests.hostile import abuse, floods, heavy, mutated, stalls, web

Run = Callable[[str, Random, float], dict[str, int]]
"""(host:port, random choices, how many seconds or requests) -> counts by name"""

REQUESTS: Final = "mutated requests"


class Attack(NamedTuple):
    """One row.

    short, long     what `run` is given in the two forms of the suite: seconds, or a number of requests
    stall_s_max     how long the member may work while the victim waits for a call or an event, in seconds of CPU
    growth_mib_max  of the member's resident memory meanwhile
    at_least        counts that show that the attack took place
    never           counts that must be zero
    may_time_out    calls of the victim may, as in etcd: behind one entry that takes longer than a member lets them wait
    beside          whether a real etcd is attacked, too
    """

    name: str
    run: Run
    short: float = 0.5
    long: float = 10.0
    stall_s_max: float = 5.0
    growth_mib_max: float = 150.0
    at_least: Mapping[str, int] = {}
    never: tuple[str, ...] = ()
    may_time_out: bool = False
    beside: bool = True
    seconds_max: float = 300.0


def _stay_quiet(target: str, rng: Random, seconds: float) -> dict[str, int]:
    """What the figures of all others are to be held against."""
    time.sleep(seconds)
    return {}


def _send_mutated(target: str, rng: Random, count: float) -> dict[str, int]:
    return mutated.send_mutated_requests(target, rng, int(count))


_ROWS: Final = [
    Attack("quiet", _stay_quiet),
    # etcd 3.5 ends over a range with an unknown sort target, which is what these requests may hold: not beside.
    Attack(
        REQUESTS,
        _send_mutated,
        30_000,
        1_000_000,
        never=("lost", "unanswered"),
        beside=False,
        seconds_max=600,
        growth_mib_max=400,  # it writes as well
    ),
    Attack("mutated frames", floods.flood_mutated_frames, at_least={"conversations": floods.CONVERSATIONS}),
    Attack("metadata", floods.flood_metadata),
    Attack("connections", floods.flood_connections, at_least={"connections": floods.CONNECTIONS}),
    Attack("half-open calls", floods.hold_half_open),
    Attack("dripped prefaces", floods.drip_prefaces),
    Attack("HTTP/1", floods.flood_http1, at_least={"requests": 8}),
    Attack("HTTP/1 bodies", web.flood_bodies, at_least={"sent": web.SENT}),
    Attack("WebSockets", web.flood_websockets, at_least={"sent": web.SENT}),
    Attack("resets", floods.flood_resets),
    Attack("control frames", floods.flood_control_frames),
    Attack("watch churn", floods.churn_watches),
    Attack("expiring leases", floods.expire_leases),
    Attack("stalled watches", stalls.stall_watches),
    Attack("stalled ranges", stalls.stall_ranges),
    Attack("sizes", stalls.send_sizes),
    Attack("unfinished puts", stalls.hold_unfinished, at_least={"puts": 1}, growth_mib_max=250),
    Attack("stalled snapshots", stalls.stall_snapshots, 6, 30, at_least={"saved_mib": 3}, growth_mib_max=700),
    Attack("piled up puts", abuse.pile_up_puts),
    Attack("piled up large puts", abuse.pile_up_large_puts, growth_mib_max=1000),
    Attack("dropped puts", abuse.drop_connections_with_puts),
    Attack("long watch keys", abuse.watch_long_keys, growth_mib_max=300),
    Attack("progress", abuse.flood_progress),
    Attack("unread progress", abuse.flood_unread, growth_mib_max=300),
    Attack("keep-alives", abuse.flood_keep_alives),
    Attack("locks", abuse.wait_for_locks),
    Attack("compared ranges", abuse.compare_ranges),
    Attack("many puts at once", abuse.put_many_at_once),
    Attack("mass deletes", abuse.delete_and_put_much),
    Attack("crowded lease", abuse.crowd_a_lease),
    Attack("upkeep", abuse.storm_upkeep, growth_mib_max=400),
    Attack("snapshots", abuse.flood_snapshots),
    Attack("odd numbers", abuse.odd_numbers),
    Attack("large ranges, stalled", heavy.stall_large_ranges, stall_s_max=6.0, growth_mib_max=700),
    Attack(
        "sorted ranges",
        heavy.sort_ranges,
        stall_s_max=6.0,
        growth_mib_max=300,  # LONG_READS_BYTES_MAX of answers, made, on their way and not yet taken
        never=("unanswered", "reset"),
    ),
    Attack("one long range", heavy.range_over_all, stall_s_max=3.0, growth_mib_max=300),
    Attack(
        "sorted ranges, written",
        heavy.sort_in_a_txn,
        stall_s_max=300.0,
        at_least={"put_after": 1},
        may_time_out=True,
    ),
    Attack("writes with answers", heavy.answer_writes_with_much, growth_mib_max=512, never=("errors",)),
]
ALL: Final = {attack.name: attack for attack in _ROWS}


def _run_one(target: str, name: str, seed: int, scale: float, is_long: bool) -> None:
    attack = ALL[name]
    said = attack.run(target, Random(seed), scale or (attack.long if is_long else attack.short))
    print(json.dumps(said), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.attack")
    parser.add_argument("name", choices=ALL, nargs="?")
    parser.add_argument("target")
    parser.add_argument("--serve", action="store_true", help="do what the lines of stdin say, until it ends")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scale", type=float, default=0, help="seconds or requests (default: the table's)")
    parser.add_argument("--long", action="store_true")
    args = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if args.serve:
        for line in sys.stdin:
            _run_one(args.target, **json.loads(line))
    else:
        _run_one(args.target, args.name, args.seed, args.scale, args.long)
    return 0


if __name__ == "__main__":
    sys.exit(main())
