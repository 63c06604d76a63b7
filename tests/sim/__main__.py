"""Simulate whole Raft clusters: python -m tests.sim [--sim-seeds N] [--first N] | --seed N [-v]

Without --seed: runs seeds first, first + 1, ... on all cores and prints what they did. Exit status 1 if any failed.
--seed N     that run alone; with -v everything that happens in it, the core's own log lines included
"""

import argparse
import sys

from tests.sim.many import Outcome, run_many
from tests.sim.run import play


def replay_line(outcome: Outcome) -> str:
    return f"seed {outcome.seed}: {outcome.failure}\n    again: python -m tests.sim --seed {outcome.seed} -v"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description="simulate Raft clusters from seeds")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("-v", "--verbose", action="store_true", help="with --seed: say all that happens")
    parser.add_argument("--sim-seeds", type=int, default=2000, metavar="N", help="how many (default %(default)s)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (default %(default)s)")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        outcome = play(options.seed, print if options.verbose else None)
        print("passed" if outcome.passed else replay_line(outcome))
        return int(not outcome.passed)
    report = run_many(
        range(options.first, options.first + options.sim_seeds),
        on_failure=lambda outcome: print(replay_line(outcome), flush=True),
    )
    print(report.table())
    print(f"{report.runs - len(report.failures)} of {report.runs} runs passed")
    return int(bool(report.failures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
