"""What was measured, as figures, as text in the shape of etcd's tool, and as one JSON object."""

import json
from array import array
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import chain
from math import ceil, sqrt
from typing import Any, Final, NamedTuple

PERCENTILES: Final = (10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
_BUCKETS: Final = 10
_BAR_CHARS: Final = 40
_BUSY_PERCENT: Final = 90
"""A generator that was busier than this may itself have been what was measured."""


class Figures(NamedTuple):
    """Of the calls that were answered; times in seconds.

    percentiles     of PERCENTILES, in that order
    histogram       (upper bound, calls up to it and above the one before)
    """

    calls: int
    min_s: float
    max_s: float
    mean_s: float
    stddev_s: float
    percentiles: tuple[float, ...]
    histogram: tuple[tuple[float, int], ...]


class Outcome(NamedTuple):
    """A whole run.

    command         "put", "range", ...
    asked           how many requests were to be made
    seconds         from the start to the last answer
    latencies       seconds, for each kind of request
    errors          text -> calls that ended with it
    cpu_s           CPU seconds of all the generator's processes
    notes           what else there is to say
    extras          further members of the JSON object
    """

    command: str
    asked: int
    conns: int
    clients: int
    processes: int
    seconds: float
    latencies: Mapping[str, Sequence[float]]
    errors: Mapping[str, int]
    cpu_s: float = 0.0
    interrupted: bool = False
    notes: tuple[str, ...] = ()
    extras: Mapping[str, Any] = {}

    @property
    def answered(self) -> int:
        """Calls that have an answer and no error."""
        return sum(map(len, self.latencies.values()))

    @property
    def failed(self) -> int:
        """Calls that ended with an error."""
        return sum(self.errors.values())

    @property
    def busy_percent(self) -> float:
        """How much of the time the generator's processes were on a CPU."""
        return 100 * self.cpu_s / (self.seconds * self.processes) if self.seconds else 0.0

    def per_second(self, count: int) -> float:
        return count / self.seconds if self.seconds else 0.0


def figures(latencies: Sequence[float]) -> Figures | None:
    """None: there is nothing to say about no calls."""
    if not latencies:
        return None
    ordered = array("d", sorted(latencies))
    count = len(ordered)
    mean = sum(ordered) / count
    stddev = sqrt(sum([(latency - mean) ** 2 for latency in ordered]) / count)
    ranks = [ceil(percent * count / 100) - 1 for percent in PERCENTILES]  # nearest rank
    percentiles = tuple([ordered[max(0, rank)] for rank in ranks])
    return Figures(count, ordered[0], ordered[-1], mean, stddev, percentiles, _histogram(ordered))


def _histogram(ordered: Sequence[float]) -> tuple[tuple[float, int], ...]:
    """Bounds in equal steps from the fastest to the slowest, both included."""
    fastest, slowest = ordered[0], ordered[-1]
    step = (slowest - fastest) / _BUCKETS
    bounds = [*[fastest + step * at for at in range(_BUCKETS)], slowest]
    below = [0, *[bisect_right(ordered, bound) for bound in bounds]]
    return tuple([(bound, below[at + 1] - below[at]) for at, bound in enumerate(bounds)])


# ---- text ----


def to_text(outcome: Outcome, precise: bool = False) -> str:
    """For people; ends with a newline. precise: with all digits, as etcd's tool has them"""
    every = figures(_all_latencies(outcome))
    digits = "" if precise else ".4f"
    parts = [_summary(outcome, every, digits)]
    if every:
        parts += [_histogram_text(every, digits), _distribution(every)]
    if len(outcome.latencies) > 1:
        parts += [_kind(outcome, kind, digits) for kind in outcome.latencies]
    if outcome.errors:
        parts.append(_errors(outcome))
    notes = list(outcome.notes)
    if outcome.busy_percent > _BUSY_PERCENT:
        notes.append(
            f"The load generator was busy {outcome.busy_percent:.0f} % of the time: it may have been the limit,"
            " and not the server. Try more --processes."
        )
    if notes:
        parts.append("\n".join(notes) + "\n")
    return "\n".join(parts)


def _summary(outcome: Outcome, every: Figures | None, digits: str) -> str:
    done = outcome.answered + outcome.failed
    cpu = f", {outcome.cpu_s / done * 1e6:.1f} us of CPU per request" if done and outcome.cpu_s else ""
    lines = [
        "Summary" + (" of what was measured until the interruption:" if outcome.interrupted else ":"),
        f"  Requests:\t{done} of {outcome.asked}, {outcome.failed} failed.",
        f"  Total:\t{outcome.seconds:{digits}} secs.",
    ]
    if every:
        lines += [
            f"  Slowest:\t{every.max_s:{digits}} secs.",
            f"  Fastest:\t{every.min_s:{digits}} secs.",
            f"  Average:\t{every.mean_s:{digits}} secs.",
            f"  Stddev:\t{every.stddev_s:{digits}} secs.",
        ]
    lines += [
        f"  Requests/sec:\t{outcome.per_second(outcome.answered):{digits}}",
        f"  Load from:\t{outcome.clients} clients on {outcome.conns} connections,"
        f" {outcome.processes} process{'es' if outcome.processes > 1 else ''}{cpu}.",
    ]
    return "\n".join(lines) + "\n"


def _histogram_text(every: Figures, digits: str) -> str:
    most = max(count for _, count in every.histogram)
    lines = [f"  {bound:{digits}} [{count}]\t|{'∎' * (count * _BAR_CHARS // most)}" for bound, count in every.histogram]
    return "\n".join(["Response time histogram:", *lines]) + "\n"


def _distribution(every: Figures) -> str:
    pairs = zip(PERCENTILES, every.percentiles, strict=True)
    lines = [f"  {percent:g}% in {latency * 1e3:.3f} ms." for percent, latency in pairs]
    return "\n".join(["Latency distribution:", *lines]) + "\n"


def _kind(outcome: Outcome, kind: str, digits: str) -> str:
    """One kind of request of several."""
    some = figures(outcome.latencies[kind])
    if some is None:
        return f"Of these {kind}: 0\n"
    head = f"Of these {kind}: {some.calls}, {outcome.per_second(some.calls):{digits}} requests/sec, average"
    return f"{head} {some.mean_s:{digits}} secs.\n{_distribution(some)}"


def _errors(outcome: Outcome) -> str:
    ranked = sorted(outcome.errors.items(), key=lambda item: (-item[1], item[0]))
    return "\n".join(["Error distribution:", *[f"  [{count}]\t{text}" for text, count in ranked]]) + "\n"


# ---- JSON ----


def to_json(outcome: Outcome) -> str:
    """One object on one line; ends with a newline. Times of no calls are null."""
    said: dict[str, Any] = {
        "command": outcome.command,
        "total": outcome.asked,
        "requests": outcome.answered + outcome.failed,
        "errors": outcome.failed,
        "seconds": outcome.seconds,
        **_figures_object(outcome, _all_latencies(outcome)),
        "errors_by_text": dict(outcome.errors),
        "conns": outcome.conns,
        "clients": outcome.clients,
        "processes": outcome.processes,
        "generator_cpu_s": outcome.cpu_s,
        "interrupted": outcome.interrupted,
        "notes": list(outcome.notes),
    }
    if len(outcome.latencies) > 1:
        said["kinds"] = {
            kind: {"answered": len(some), **_figures_object(outcome, some)} for kind, some in outcome.latencies.items()
        }
    return json.dumps(said | dict(outcome.extras)) + "\n"


def _figures_object(outcome: Outcome, latencies: Sequence[float]) -> dict[str, Any]:
    some = figures(latencies)
    times = (some.mean_s, some.stddev_s, some.min_s, some.max_s, *some.percentiles) if some else ()
    names = ["mean_s", "stddev_s", "min_s", "max_s", *[f"p{f'{at:g}'.replace('.', '')}_s" for at in PERCENTILES]]
    return {
        "requests_per_second": outcome.per_second(len(latencies)),
        **dict(zip(names, times or [None] * len(names), strict=True)),
        "histogram": [{"up_to_s": bound, "count": count} for bound, count in (some.histogram if some else ())],
    }


def _all_latencies(outcome: Outcome) -> Sequence[float]:
    return list(chain.from_iterable(outcome.latencies.values()))
