"""`etcdz bench ...`: from the command line to the report.

Exit status: 0 if all requests were made and at least one was answered; 1 if not, or nothing answers there; 2 for a
wrong command line; 130 after Ctrl-C, with a report of what was measured until then.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from etcdz.cli.bench import watchers
from etcdz.cli.bench.generator import clock
from etcdz.cli.bench.options import WATCH_COMMANDS, Options, parse
from etcdz.cli.bench.progress import ProgressBar
from etcdz.cli.bench.report import Outcome, to_json, to_text
from etcdz.cli.bench.team import BenchFailed, Interrupt, Measured, Team
from etcdz.cli.bench.upkeep import Compactor, grant_leases, hash_kv
from etcdz.net.blocking_channel import RpcError


def main(argv: Sequence[str]) -> int:
    """argv: what follows `etcdz bench`. return the exit status."""
    try:
        options = parse(argv)
    except SystemExit as exit:  # argparse has printed why
        return exit.code if isinstance(exit.code, int) else 2
    try:
        outcome = run(options)
    except BenchFailed as error:
        print(f"etcdz bench {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # the second Ctrl-C
        return 130
    try:
        sys.stdout.write(to_json(outcome) if options.json else to_text(outcome, options.precise))
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`
        sys.stderr.close()
        return 1
    return exit_status(outcome)


def exit_status(outcome: Outcome) -> int:
    """See the top of this file."""
    if outcome.interrupted:
        return 130
    return 0 if outcome.answered and outcome.answered + outcome.failed == outcome.asked else 1


def run(options: Options) -> Outcome:
    """The measurement, and what belongs to it. raises BenchFailed"""
    options = _logged_in(options)
    if options.command in WATCH_COMMANDS:
        return watchers.run(options)
    if options.leases:
        try:
            options = options._replace(lease_ids=grant_leases(options.endpoints[0], options.leases))
        except RpcError as error:
            raise BenchFailed(f"{options.endpoints[0].text}: no leases: {error.text}") from error
    with Interrupt() as interrupt:
        # NB: the bar comes after the fork, for it locks things that the children would inherit locked.
        with Team(options) as team, ProgressBar(options.total, options.command) as bar:
            compactor = Compactor(options.endpoints[0], options.compact_interval_s, options.compact_delta, clock())

            def every(seconds: float) -> None:
                bar.show(team.done, seconds)
                compactor.maybe_compact(clock())

            measured = team.measure(interrupt, every)
            compactor.close()
        notes, extras = _afterwards(options, measured, compactor)
        return _outcome(options, measured, interrupt.came, notes, extras)


def _logged_in(options: Options) -> Options:
    """With a token for each endpoint, if there is a user: one member may not have heard yet of another's. raises
    BenchFailed"""
    endpoints = []
    for endpoint in options.endpoints:
        try:
            endpoints.append(options.access.log_in(endpoint, options.dial_timeout_s))
        except RpcError as error:
            raise BenchFailed(f"{endpoint.text}: cannot log in: {error.text}") from error
    return options._replace(endpoints=tuple(endpoints))


def _afterwards(options: Options, measured: Measured, compactor: Compactor) -> tuple[list[str], dict[str, Any]]:
    """Notes and JSON members beside the figures."""
    lost = Counter(measured.lost)
    notes = [f"Connections that were lost for good: {count}; {text}" for text, count in lost.items()] + compactor.notes
    extras: dict[str, Any] = {}
    if options.compact_interval_s:
        extras["compactions"] = compactor.count
        notes.append(f"Compactions: {compactor.count}")
    if options.check_hashkv:
        try:
            said = extras["hash_kv"] = hash_kv(options.endpoints[0])
            notes.append(
                f"HashKV of {said['endpoint']}: {said['hash']} at revision {said['revision']},"
                f" in {said['seconds']:.4f} secs; database of {said['db_size']} bytes"
            )
        except RpcError as error:
            notes.append(f"HashKV failed: {error.text}")
    return notes, extras


def _outcome(
    options: Options, measured: Measured, interrupted: bool, notes: list[str], extras: dict[str, Any]
) -> Outcome:
    return Outcome(
        options.command,
        options.total,
        options.conns,
        options.clients,
        options.processes,
        measured.seconds,
        measured.latencies,
        measured.errors,
        measured.cpu_s,
        interrupted,
        tuple(notes),
        extras,
    )
