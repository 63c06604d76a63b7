"""What /metrics says: etcd's names for what the actors of a member know of themselves.

Figures of several actors are added up (families.py). What nobody has told is left out rather than said to be 0.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from etcdz.api.grpc_methods import CODE_NAMES, METHODS, PREREGISTERED, TIME_BOUNDS_S
from etcdz.telemetry import exposition
from etcdz.telemetry.exposition import COUNTER, GAUGE, HISTOGRAM, Family
from etcdz.telemetry.families import ROWS, Figures, Row, add_figures


class Whole(NamedTuple):
    """What all processes of a member use together. Memory that several share counts as often as it is shared.

    started_s     since 1970
    """

    cpu_s: float
    rss_bytes: int
    virtual_bytes: int
    virtual_bytes_max: float
    open_files: int
    open_files_max: int
    started_s: float


class ActorUse(NamedTuple):
    """One actor as the supervisor sees it. Times in seconds.

    restarts      of its name since the member's start
    handling_s    what its turns took, since the start of its process
    messages      that it has taken since then
    mailbox_frames, oldest_frame_s  the most that waited at a time, and the longest that one did, over the last seconds
    turn_s        how long a turn takes: {0.5: ..., 0.99: ...}
    """

    name: str
    age_s: float
    restarts: int
    rss_bytes: int
    handling_s: float
    messages: int
    mailbox_frames: int
    oldest_frame_s: float
    turn_s: dict[float, float]


class ProxyUse(NamedTuple):
    """What a gRPC proxy counts. Every server of etcd tells it, and only a proxy counts anything."""

    cache_hits: int = 0
    cache_keys: int = 0
    cache_misses: int = 0
    events_coalesced: int = 0
    watchers_coalesced: int = 0


NO_PROXY: Final = ProxyUse()
_GRPC_PROXY: Final = (
    ("cache_hits_total", GAUGE, "Total number of cache hits"),
    ("cache_keys_total", GAUGE, "Total number of keys/ranges cached"),
    ("cache_misses_total", GAUGE, "Total number of cache misses"),
    ("events_coalescing_total", COUNTER, "Total number of events coalescing"),
    ("watchers_coalescing_total", GAUGE, "Total number of current watchers coalescing"),
)
"""In the order of ProxyUse."""


def encode(whole: Whole, actors: Iterable[Figures], used: Sequence[ActorUse] = (), proxy: ProxyUse = NO_PROXY) -> bytes:
    """The text that Prometheus reads.

    actors  the figures of each actor, and of those that have ended
    used    what each actor uses
    proxy   what a gRPC proxy has counted
    """
    found: Figures = {}
    for figures in actors:
        add_figures(found, figures)
    if "commit_index" in found:
        found["commit_index"] = max(found["commit_index"], found.get("applied_index", 0))
    if "grpc_started" in found:
        _preregister(found)
    rows = [row for row in ROWS if row.figure in found and (found[row.figure] or not row.labels)]
    families = [_family(row, found[row.figure]) for row in rows]
    return exposition.encode([*families, *_proxy(proxy), *_actors(used), *_process(whole)])


def _proxy(use: ProxyUse) -> list[Family]:
    rows = zip(_GRPC_PROXY, use, strict=True)
    return [Family(f"etcd_grpc_proxy_{name}", kind, text, samples=[((), n)]) for (name, kind, text), n in rows]


def _family(row: Row, value: Any) -> Family:
    if row.is_text:
        return Family(row.name, row.kind, row.help, row.labels, [((str(value),), 1)])
    series = sorted((tuple(labels), one) for labels, one in value) if row.labels else [((), value)]
    if row.kind != HISTOGRAM:
        return Family(row.name, row.kind, row.help, row.labels, series)
    bounds = row.bounds or [row.first * 2**n for n in range(len(series[0][1][0]) - 1)]
    measured = [(labels, counts, total) for labels, (counts, total) in series]
    return Family(row.name, row.kind, row.help, row.labels, bounds=bounds, measured=measured)


def _preregister(found: Figures) -> None:
    """Every method has its series from the start, as in etcd: a rate over one that appears with its first call would
    miss that."""
    zeros: dict[str, Any] = {name: [] for name in ("grpc_started", "grpc_msg_received", "grpc_msg_sent")}
    for tag in PREREGISTERED:
        for series in zeros.values():
            series.append([list(METHODS[tag]), 0])
    handled = [[[name, *METHODS[tag]], 0] for tag in PREREGISTERED for name in CODE_NAMES.values()]
    add_figures(found, {**zeros, "grpc_handled": handled})
    if "grpc_times" in found:
        none = [0] * (len(TIME_BOUNDS_S) + 1), 0.0
        add_figures(found, {"grpc_times": [[list(METHODS[tag]), none] for tag in PREREGISTERED]})


def _actors(used: Sequence[ActorUse]) -> list[Family]:
    """etcdz's own, each with the actor's name. NB: what counts since the start of a process begins anew with the next
    one, which is what Prometheus expects of a counter."""
    if not used:
        return []

    def family(name: str, kind: str, text: str, values: Iterable[float]) -> Family:
        samples = [((one.name,), value) for one, value in zip(used, values, strict=True)]
        return Family(f"etcdz_actor_{name}", kind, text, ("actor",), samples)

    turns = [((one.name, str(part)), took) for one in used for part, took in one.turn_s.items()]
    return [
        family("age_seconds", GAUGE, "Since the start of the process.", [one.age_s for one in used]),
        family("restarts_total", COUNTER, "Restarts since the member's start.", [one.restarts for one in used]),
        family("resident_memory_bytes", GAUGE, "Resident memory.", [one.rss_bytes for one in used]),
        family("handling_seconds_total", COUNTER, "What its turns took.", [one.handling_s for one in used]),
        family("messages_total", COUNTER, "Messages taken.", [one.messages for one in used]),
        family("mailbox_frames", GAUGE, "The most frames that waited lately.", [one.mailbox_frames for one in used]),
        family(
            "oldest_frame_seconds", GAUGE, "The longest that one waited lately.", [one.oldest_frame_s for one in used]
        ),
        Family("etcdz_actor_turn_seconds", GAUGE, "How long a turn takes.", ("actor", "quantile"), turns),
    ]


def _process(whole: Whole) -> list[Family]:
    def family(name: str, kind: str, text: str, value: float) -> Family:
        return Family(name, kind, text, samples=[((), value)])

    used, most = "Number of open file descriptors.", "Maximum number of open file descriptors."
    virtual_most = "Maximum amount of virtual memory available in bytes."
    return [
        family("os_fd_used", GAUGE, "The number of used file descriptors.", whole.open_files),
        family("os_fd_limit", GAUGE, "The file descriptor limit.", whole.open_files_max),
        family("process_cpu_seconds_total", COUNTER, "Total user and system CPU time spent in seconds.", whole.cpu_s),
        family("process_resident_memory_bytes", GAUGE, "Resident memory size in bytes.", whole.rss_bytes),
        family("process_virtual_memory_bytes", GAUGE, "Virtual memory size in bytes.", whole.virtual_bytes),
        family("process_virtual_memory_max_bytes", GAUGE, virtual_most, whole.virtual_bytes_max),
        family("process_open_fds", GAUGE, used, whole.open_files),
        family("process_max_fds", GAUGE, most, whole.open_files_max),
        family(
            "process_start_time_seconds",
            GAUGE,
            "Start time of the process since unix epoch in seconds.",
            whole.started_s,
        ),
    ]
