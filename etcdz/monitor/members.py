"""Several members side by side: what each says of itself over the network, as rows of a table, and of their clusters.

A row needs Maintenance.Status and /metrics and nothing else, so it can be of another host, and of etcd.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.monitor.measures import byte_rate, count, duration, micros, size
from etcdz.monitor.paint import Line, Span, clean, cut, line

FIGURES: Final = {
    "etcd_server_proposals_applied_total": "applied",
    "etcd_debugging_mvcc_keys_total": "keys",
    "etcd_debugging_mvcc_watcher_total": "watchers",
    "etcd_disk_wal_fsync_duration_seconds_sum": "fsync_s",
    "etcd_disk_wal_fsync_duration_seconds_count": "fsyncs",
    "process_cpu_seconds_total": "cpu_s",
    "process_resident_memory_bytes": "rss_bytes",
    "process_open_fds": "fds",
    "process_start_time_seconds": "started_s",
}
"""Of /metrics, those without labels that are used here -> their names in MemberSample.figures."""
SUMS: Final = {
    "etcd_network_active_peers": "peers_heard",
    "etcd_network_peer_sent_bytes_total": "peers_sent_bytes",
    "etcd_network_peer_received_bytes_total": "peers_received_bytes",
    "etcd_network_peer_round_trip_time_seconds_sum": "round_trip_s",
    "etcd_network_peer_round_trip_time_seconds_count": "round_trips",
}
"""The same of those with a series for each other member, which are added up; `peers` is how many members these are."""
WIDE: Final = 118
WIDER: Final = 144
_HEADINGS: Final = ("ROLE", "REVISION", "APPLY/S", "FSYNC", "DB", "CPU%", "RSS", "UP")
_WIDTHS: Final = (9, 9, 7, 6, 5, 5, 5, 6)
_MORE: Final = ("VERSION", "TERM", "BEHIND", "KEYS", "WATCHERS", "FDS")
_MORE_WIDTHS: Final = (8, 6, 6, 6, 8, 5)
_OF_PEERS: Final = ("PEERS", "RTT", "TO/S", "FROM/S")
_OF_PEERS_WIDTHS: Final = (5, 6, 6, 6)
_ROLE_STYLES: Final = {"leader": "good", "follower": "good", "learner": "warn"}


class Status(NamedTuple):
    """What a member says of itself; errors: alarms, and that it has no leader."""

    cluster_id: int
    member_id: int
    leader_id: int
    version: str
    term: int
    revision: int
    raft_index: int
    applied_index: int
    db_bytes: int
    is_learner: bool
    errors: tuple[str, ...]


class MemberSample(NamedTuple):
    """One look at one member. now_s: since 1970, as `started_s` is; trouble: why it did not answer, "" if it did"""

    endpoint: str
    at_s: float
    now_s: float
    status: Status | None
    figures: Mapping[str, float]
    trouble: str = ""


class MemberView(NamedTuple):
    """As it is shown; what is None is not known, or not yet.

    behind          entries that a member of its cluster has in its log, and this one has not applied
    peers           other members; peers_heard: those with which it has a connection
    round_trip_us   to one of them and back, in the mean
    to_peers_per_s  bytes sent to them a second, from_peers_per_s: received
    """

    endpoint: str
    role: str
    status: Status | None
    applied_per_s: float | None
    fsync_us: float | None
    cpu_percent: float | None
    rss_bytes: int | None
    fds: int | None
    keys: int | None
    watchers: int | None
    uptime_s: float | None
    behind: int | None
    peers: int | None
    peers_heard: int | None
    round_trip_us: float | None
    to_peers_per_s: float | None
    from_peers_per_s: float | None
    trouble: str


def read_figures(text: str) -> dict[str, float]:
    """Those of FIGURES and SUMS that a text for Prometheus has."""
    found: dict[str, float] = {}
    for row in text.splitlines():
        name, _, value = row.rpartition(" ")
        if name in FIGURES:
            found[FIGURES[name]] = float(value)
            continue
        metric, brace, _ = name.partition("{")
        if brace and metric in SUMS:
            figure = SUMS[metric]
            found[figure] = found.get(figure, 0.0) + float(value)
            if figure == "peers_heard":
                found["peers"] = found.get("peers", 0.0) + 1
    return found


class Members:
    """Rates need two looks: remembers the last one at each member."""

    def __init__(self) -> None:
        self._last: dict[str, MemberSample] = {}

    def feed(self, samples: Sequence[MemberSample]) -> tuple[MemberView, ...]:
        """One of each member, in the order in which they are to be shown."""
        newest: dict[int, int] = {}
        for sample in samples:
            if sample.status is not None:
                cluster = sample.status.cluster_id
                newest[cluster] = max(newest.get(cluster, 0), sample.status.raft_index)
        views = tuple(_view(self._last.get(sample.endpoint), sample, newest) for sample in samples)
        self._last = {sample.endpoint: sample for sample in samples}
        return views


def _view(before: MemberSample | None, now: MemberSample, newest: Mapping[int, int]) -> MemberView:
    """newest: the greatest raft index of any member, by cluster"""
    figures, status = now.figures, now.status
    started_s = figures.get("started_s")
    fsyncs, fsync_s = _gain(before, now, "fsyncs"), _gain(before, now, "fsync_s")
    cpu = _per_s(before, now, "cpu_s")
    return MemberView(
        endpoint=now.endpoint,
        role=_role(now.status),
        status=now.status,
        applied_per_s=_per_s(before, now, "applied"),
        fsync_us=1e6 * fsync_s / fsyncs if fsyncs and fsync_s is not None else None,
        cpu_percent=None if cpu is None else round(100 * cpu, 1),
        rss_bytes=_whole(figures, "rss_bytes"),
        fds=_whole(figures, "fds"),
        keys=_whole(figures, "keys"),
        watchers=_whole(figures, "watchers"),
        uptime_s=None if started_s is None else max(0.0, now.now_s - started_s),
        behind=None if status is None else max(0, newest[status.cluster_id] - status.applied_index),
        peers=_whole(figures, "peers"),
        peers_heard=_whole(figures, "peers_heard"),
        round_trip_us=_round_trip_us(before, now),
        to_peers_per_s=_per_s(before, now, "peers_sent_bytes"),
        from_peers_per_s=_per_s(before, now, "peers_received_bytes"),
        trouble=now.trouble or "; ".join(now.status.errors if now.status is not None else ()),
    )


def _role(status: Status | None) -> str:
    if status is None:
        return "-"
    if status.is_learner:
        return "learner"
    if not status.leader_id:
        return "no leader"
    return "leader" if status.leader_id == status.member_id else "follower"


def _gain(before: MemberSample | None, now: MemberSample, figure: str) -> float | None:
    """None also if another process counts now."""
    if before is None or figure not in before.figures or figure not in now.figures:
        return None
    is_same = before.figures.get("started_s") == now.figures.get("started_s")
    return max(0.0, now.figures[figure] - before.figures[figure]) if is_same else None


def _per_s(before: MemberSample | None, now: MemberSample, figure: str) -> float | None:
    gain = _gain(before, now, figure)
    if before is None or gain is None or now.at_s <= before.at_s:
        return None
    return gain / (now.at_s - before.at_s)


def _round_trip_us(before: MemberSample | None, now: MemberSample) -> float | None:
    """Of those since the last look, or of all where there was none: members probe each other every 4 s."""
    trips, seconds = _gain(before, now, "round_trips"), _gain(before, now, "round_trip_s")
    if not trips:
        trips, seconds = now.figures.get("round_trips"), now.figures.get("round_trip_s")
    return 1e6 * seconds / trips if trips and seconds is not None else None


def _whole(figures: Mapping[str, float], name: str) -> int | None:
    return int(figures[name]) if name in figures else None


# ---- lines ----


def table(views: Sequence[MemberView], width: int, height: int) -> list[Line]:
    """A row for each member, then what their clusters are, and what is wrong; at most height lines of at most width
    characters."""
    columns = _columns(width)
    used = sum(wide + 1 for _, wide in columns)
    name_width = max(8, min(max([8, *(len(view.endpoint) for view in views)]), width - used))
    heading = "MEMBER".ljust(name_width) + "".join(" " + name.rjust(wide) for name, wide in columns)
    lines = [line(Span(heading, "head")), *(_row(view, name_width, columns) for view in views)]
    if clusters := _clusters(views):
        lines += [[], *clusters]
    troubles = [view for view in views if view.trouble]
    if troubles:
        lines += [[], *(line(Span(f"{clean(view.endpoint)}: {clean(view.trouble)}", "bad")) for view in troubles)]
    return [cut(one, width) for one in lines[:height]]


def _columns(width: int) -> list[tuple[str, int]]:
    """(heading, width) of those that have room."""
    headings = _HEADINGS + (_MORE if width >= WIDE else ()) + (_OF_PEERS if width >= WIDER else ())
    return list(zip(headings, _WIDTHS + _MORE_WIDTHS + _OF_PEERS_WIDTHS, strict=False))


def _row(view: MemberView, name_width: int, columns: Sequence[tuple[str, int]]) -> Line:
    name = clean(view.endpoint)[:name_width].ljust(name_width)
    role, *cells = (
        " " + text.rjust(wide)
        for text, (_, wide) in zip([view.role, *_numbers(view), *_rest(view), *_of_peers(view)], columns, strict=False)
    )
    return line(name, Span(role, _ROLE_STYLES.get(view.role, "bad")), "".join(cells))


def _numbers(view: MemberView) -> list[str]:
    status = view.status
    return [
        "-" if status is None else str(status.revision),
        count(view.applied_per_s),
        micros(view.fsync_us),
        "-" if status is None else size(status.db_bytes),
        "-" if view.cpu_percent is None else f"{view.cpu_percent:.1f}",
        "-" if view.rss_bytes is None else size(view.rss_bytes),
        "-" if view.uptime_s is None else duration(view.uptime_s),
    ]


def _rest(view: MemberView) -> list[str]:
    status = view.status
    head = ["-", "-"] if status is None else [status.version, str(status.term)]
    return [*head, count(view.behind), count(view.keys), count(view.watchers), count(view.fds)]


def _of_peers(view: MemberView) -> list[str]:
    heard = "-" if view.peers is None else f"{view.peers_heard or 0}/{view.peers}"
    return [heard, micros(view.round_trip_us), byte_rate(view.to_peers_per_s), byte_rate(view.from_peers_per_s)]


# ---- clusters ----


def _clusters(views: Sequence[MemberView]) -> list[Line]:
    """A line for each that has more than one member."""
    by_id: dict[int, list[MemberView]] = {}
    for view in views:
        if view.status is not None:
            by_id.setdefault(view.status.cluster_id, []).append(view)
    return [_cluster(id_, found) for id_, found in by_id.items() if len(found) > 1 or any(view.peers for view in found)]


def _cluster(id_: int, views: Sequence[MemberView]) -> Line:
    """Who leads is what those in the newest term say; they may still disagree, for no longer than a message takes."""
    told = [view.status for view in views if view.status is not None]
    term = max(status.term for status in told)
    leaders = {status.leader_id for status in told if status.term == term} - {0}
    size_ = 1 + max((view.peers or 0 for view in views), default=0)
    behind = sum(status.term < term for status in told)
    found = line(
        Span(f"cluster {id_:x}", "head"), f"  {len(told)} of {max(size_, len(told))} members here  term {term}  "
    )
    found.append(Span("no leader", "bad") if not leaders else Span(f"leader {_names(leaders, views)}", "good"))
    if behind:
        found.append(Span(f"  {behind} in an older term", "warn"))
    return found


def _names(ids: set[int], views: Sequence[MemberView]) -> str:
    known = {view.status.member_id: view.endpoint for view in views if view.status is not None}
    return ", ".join(clean(known.get(id_, f"{id_:x}")) for id_ in sorted(ids))


def as_json(view: MemberView) -> dict[str, Any]:
    """For programs; ids as etcdctl prints them."""
    found = view._asdict()
    if view.status is not None:
        status = view.status._asdict()
        found["status"] = {
            **status,
            "cluster_id": f"{view.status.cluster_id:x}",
            "member_id": f"{view.status.member_id:x}",
            "leader_id": f"{view.status.leader_id:x}",
        }
    return found
