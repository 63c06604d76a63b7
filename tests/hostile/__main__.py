"""The table of attacks: `python -m tests.hostile [--compare] [--long] [--seed N] [NAME ...]`.

Each row is a member under one attack, with what a victim beside it noticed: its puts and gets in milliseconds (median,
99th percentile, longest), how late its watch was, errors, and by how much the member grew. --compare attacks a real
etcd the same way and prints its row below.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from random import SystemRandom

from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.hostile.attack import ALL, REQUESTS, Attack
from tests.hostile.siege import Siege, check


def _besiege(kind: type[Member], attack: Attack, args: argparse.Namespace) -> bool:
    """One row of the table, from a member of its own. return whether all was as it should be"""
    with tempfile.TemporaryDirectory() as home, kind(Path(home), "--quota-backend-bytes=8000000000") as member:
        siege = Siege(member)
        try:
            report = siege.attack(attack, args.seed, args.requests if attack.name == REQUESTS else 0, args.long)
            last = siege.end()
        finally:
            siege.kill()
    print(report.row(attack.name, kind.kind), flush=True)
    try:
        check(report, attack)
        assert last == []
    except AssertionError:
        print("    not as it should be:", *report.victim["errors"][:3], *last, flush=True)
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("names", nargs="*", help="attacks (default: all)", metavar="NAME")
    parser.add_argument("--compare", action="store_true", help="attack a real etcd as well")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--requests", type=int, default=0, help="mutated requests")
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1 << 32))
    args = parser.parse_args()
    names = args.names or list(ALL)
    print(f"seed {args.seed}; median / p99 / longest in ms")
    is_well = True
    for name in names:
        is_well &= _besiege(Etcdz, ALL[name], args)
        if args.compare and ALL[name].beside and not RealEtcd.why_absent():
            _besiege(RealEtcd, ALL[name], args)
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
