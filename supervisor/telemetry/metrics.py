"""/metrics of a member: the figures of its actors, each asked once per scrape, and what its processes use."""

import os
import resource
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final

from etcdz.telemetry import logs, metrics
from etcdz.telemetry.kept_figures import KeptFigures
from etcdz.telemetry.metrics import ActorUse, Whole
from supervisor.children.child import Child
from supervisor.processes import process_usage
from supervisor.telemetry.heartbeats import Heartbeats
from supervisor.telemetry.queries import Queries

log = logs.get("supervisor")

_QUANTILES: Final = {"p50": 0.5, "p99": 0.99}


class Scrape:
    """One scrape: answered when every actor has answered, or has not in time."""

    def __init__(
        self,
        listed: Sequence[Child],
        queries: Queries,
        kept: KeptFigures,
        use: Callable[[], tuple[Whole, list[ActorUse]]],
        answer: Callable[[bytes], None],
    ) -> None:
        """Asks all actors at once.

        listed  the actors
        kept    what those had counted that have ended
        use     what the processes use, when the answers are there
        answer  called once, with the body of /metrics
        """
        self._kept = kept
        self._use = use
        self._answer = answer
        self._found: list[dict[str, Any]] = []
        self._missing = len(listed)
        now = time.monotonic()
        for child in listed:
            take = partial(self._take, child.incarnation)
            queries.ask(child.name, child.incarnation, "metrics", {}, now, take)

    def _take(self, incarnation: int, ok: bool, result: Any) -> None:
        if ok:
            self._found.append(result)
            self._kept.on_figures(incarnation, result)
        else:
            self._found.append(self._kept.last_of(incarnation))  # so that no sum goes back
        self._missing -= 1
        if not self._missing:
            self._finish()

    def _finish(self) -> None:
        """NB: figures that cannot be put together must not end the member: its listener answers that there are none."""
        try:
            whole, used = self._use()
            text = metrics.encode(whole, [*self._kept.of_ended(), *self._found], used)
        except Exception as error:
            log.error("metrics could not be put together", error=repr(error))
            return
        self._answer(text)


def use_of_actors(listed: Sequence[Child], heartbeats: Heartbeats, now: float) -> list[ActorUse]:
    """What each actor uses, by its last heartbeat. now: on the monotonic clock"""
    return [_use_of(child, heartbeats, now) for child in listed if child.pid is not None]


def _use_of(child: Child, heartbeats: Heartbeats, now: float) -> ActorUse:
    beat = heartbeats.last(child.incarnation)
    shown = heartbeats.shown(child, now)
    turns = shown["turn_us"] or {}
    return ActorUse(
        name=child.name,
        age_s=round(now - child.spawned_at, 3),
        restarts=child.restarts,
        rss_bytes=process_usage.rss_bytes(child.pid or 0) or 0,
        handling_s=beat.busy_us / 1e6 if beat is not None else 0.0,
        messages=beat.handled if beat is not None else 0,
        mailbox_frames=shown["mailbox_depth"] or 0,
        oldest_frame_s=(shown["oldest_us"] or 0) / 1e6,
        turn_s={part: turns[name] / 1e6 for name, part in _QUANTILES.items() if name in turns},
    )


def use_of_all(pids: Iterable[int], began_at: float) -> Whole:
    """What all processes of the member use, those that have ended included in the CPU time.

    pids      of all that live but this one
    began_at  start of the member on the monotonic clock
    return    limits are those of one process
    """
    living = [os.getpid(), *pids]
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = [process_usage.memory_bytes(pid) or (0, 0) for pid in living]
    virtual_max = resource.getrlimit(resource.RLIMIT_AS)[0]
    return Whole(
        cpu_s=sum(process_usage.cpu_s(pid) or 0.0 for pid in living) + ended.ru_utime + ended.ru_stime,
        rss_bytes=sum(rss for _, rss in memory),
        virtual_bytes=sum(virtual for virtual, _ in memory),
        virtual_bytes_max=float(virtual_max if virtual_max != resource.RLIM_INFINITY else 2**64 - 1),
        open_files=sum(process_usage.open_files(pid) or 0 for pid in living),
        open_files_max=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        started_s=round(time.time() - (time.monotonic() - began_at), 2),
    )
