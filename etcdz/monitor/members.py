"""Several members side by side: what each says of itself over the network, as rows of a table.

A row needs Maintenance.Status and /metrics and nothing else, so it can be of another host, and of etcd.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from etcdz.monitor.measures import count, duration, micros, size
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
WIDE: Final = 118
_HEADINGS: Final = ("ROLE", "REVISION", "APPLY/S", "FSYNC", "DB", "CPU%", "RSS", "UP")
_WIDTHS: Final = (9, 9, 7, 6, 5, 5, 5, 6)
_MORE: Final = ("VERSION", "TERM", "BEHIND", "KEYS", "WATCHERS", "FDS")
_MORE_WIDTHS: Final = (8, 6, 6, 6, 8, 5)
_ROLE_STYLES: Final = {"leader": "good", "follower": "good", "learner": "warn"}


class Status(NamedTuple):
    """What a member says of itself; errors: alarms, and that it has no leader."""

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
    """As it is shown; what is None is not known, or not yet."""

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
    trouble: str


def read_figures(text: str) -> dict[str, float]:
    """Those of FIGURES that a text for Prometheus has."""
    found = {}
    for row in text.splitlines():
        name, _, value = row.partition(" ")
        if name in FIGURES:
            found[FIGURES[name]] = float(value)
    return found


class Members:
    """Rates need two looks: remembers the last one at each member."""

    def __init__(self) -> None:
        self._last: dict[str, MemberSample] = {}

    def feed(self, samples: Sequence[MemberSample]) -> tuple[MemberView, ...]:
        """One of each member, in the order in which they are to be shown."""
        views = tuple(_view(self._last.get(sample.endpoint), sample) for sample in samples)
        self._last = {sample.endpoint: sample for sample in samples}
        return views


def _view(before: MemberSample | None, now: MemberSample) -> MemberView:
    figures = now.figures
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


def _whole(figures: Mapping[str, float], name: str) -> int | None:
    return int(figures[name]) if name in figures else None


# ---- lines ----


def table(views: Sequence[MemberView], width: int, height: int) -> list[Line]:
    """A row for each member, and below what is wrong with them; at most height lines of at most width characters."""
    wide = width >= WIDE
    widths = (*_WIDTHS, *(_MORE_WIDTHS if wide else ()))
    name_width = max(8, min(max([8, *(len(view.endpoint) for view in views)]), width - sum(widths) - len(widths)))
    heading = "MEMBER".ljust(name_width) + _cells((*_HEADINGS, *(_MORE if wide else ())), widths)
    lines = [line(Span(heading, "head")), *(_row(view, name_width, wide) for view in views)]
    troubles = [view for view in views if view.trouble]
    if troubles:
        lines += [[], *(line(Span(f"{clean(view.endpoint)}: {clean(view.trouble)}", "bad")) for view in troubles)]
    return [cut(one, width) for one in lines[:height]]


def _row(view: MemberView, name_width: int, wide: bool) -> Line:
    name = clean(view.endpoint)[:name_width].ljust(name_width)
    role = Span(" " + view.role.rjust(_WIDTHS[0]), _ROLE_STYLES.get(view.role, "bad"))
    found = line(name, role, _cells(_numbers(view), _WIDTHS[1:]))
    if wide:
        found += line(_cells(_rest(view), _MORE_WIDTHS))
    return found


def _cells(texts: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(" " + text.rjust(width) for text, width in zip(texts, widths, strict=True))


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
    """BEHIND: entries of the log that are not applied yet."""
    status = view.status
    head = ["-", "-", "-"]
    if status is not None:
        head = [status.version, str(status.term), count(max(0, status.raft_index - status.applied_index))]
    return [*head, count(view.keys), count(view.watchers), count(view.fds)]


def as_json(view: MemberView) -> dict[str, Any]:
    """For programs; ids as etcdctl prints them."""
    found = view._asdict()
    if view.status is not None:
        status = view.status._asdict()
        found["status"] = {
            **status,
            "member_id": f"{view.status.member_id:x}",
            "leader_id": f"{view.status.leader_id:x}",
        }
    return found
