"""What /metrics says: etcd's names for what the actors of a member know of themselves.

Figures of several actors are added up. What no actor counts anyhow is left out rather than said to be 0.

Source: names, types and meaning as etcd 3.5's /metrics has them.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

Figures = Mapping[str, Any]
"""Of one actor, by the names that Actor.metrics gives them."""


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


class _Row(NamedTuple):
    """label: the figure is a text, told as this label of a metric that is 1."""

    metric: str
    make: Callable[..., Metric]
    help: str
    figure: str
    label: str = ""


class _Labelled(NamedTuple):
    """A metric with a series for each other member. Its figure: [[values of the labels], value] of each; the value of a
    histogram: (counts, sum in s).

    metric      its name behind "etcd_network_"
    bucket_s    upper bound of a histogram's first bucket; each further one is twice as wide
    """

    metric: str
    make: Callable[..., Metric]
    help: str
    figure: str
    labels: tuple[str, ...]
    bucket_s: float = 0.0


_GAUGE, _COUNTER, _HISTOGRAM = GaugeMetricFamily, CounterMetricFamily, HistogramMetricFamily
_ROWS: Final = (
    _Row("etcd_cluster_version", _GAUGE, "Which version is running.", "cluster_version", "cluster_version"),
    _Row("etcd_server_version", _GAUGE, "Which version is running.", "server_version", "server_version"),
    _Row("etcd_server_id", _GAUGE, "Server or member ID in hexadecimal format.", "member_id", "server_id"),
    _Row("etcd_server_has_leader", _GAUGE, "Whether or not a leader exists. 1 is existence, 0 is not.", "has_leader"),
    _Row("etcd_server_is_leader", _GAUGE, "Whether or not this member is a leader. 1 if is, 0 otherwise.", "is_leader"),
    _Row("etcd_server_is_learner", _GAUGE, "Whether or not this member is a learner.", "is_learner"),
    _Row("etcd_server_leader_changes_seen_total", _COUNTER, "The number of leader changes seen.", "leader_changes"),
    _Row(
        "etcd_server_heartbeat_send_failures_total",
        _COUNTER,
        "The total number of leader heartbeat send failures (likely overloaded from slow disk).",
        "late_heartbeats",
    ),
    _Row("etcd_server_proposals_committed_total", _GAUGE, "The total number of committed proposals.", "commit_index"),
    _Row("etcd_server_proposals_applied_total", _GAUGE, "The total number of applied proposals.", "applied_index"),
    _Row("etcd_server_quota_backend_bytes", _GAUGE, "Quota of the backend's size in bytes.", "quota_bytes"),
    _Row("etcd_mvcc_db_total_size_in_bytes", _GAUGE, "Total size of the store in bytes.", "db_bytes"),
    _Row("etcd_mvcc_db_total_size_in_use_in_bytes", _GAUGE, "Size of what is in use of it.", "db_bytes_in_use"),
    _Row("etcd_debugging_mvcc_keys_total", _GAUGE, "Total number of keys.", "keys"),
    _Row("etcd_debugging_mvcc_current_revision", _GAUGE, "The current revision of store.", "revision"),
    _Row("etcd_debugging_auth_revision", _GAUGE, "The current revision of auth store.", "auth_revision"),
    _Row("etcd_debugging_mvcc_compact_revision", _GAUGE, "The revision of the last compaction.", "compact_revision"),
    _Row("etcd_debugging_mvcc_watch_stream_total", _GAUGE, "Total number of watch streams.", "watch_streams"),
    _Row("etcd_debugging_mvcc_watcher_total", _GAUGE, "Total number of watchers.", "watchers"),
    _Row("etcd_debugging_mvcc_slow_watcher_total", _GAUGE, "Total number of unsynced slow watchers.", "slow_watchers"),
    _Row("etcd_disk_wal_fsync_duration_seconds", _HISTOGRAM, "How long syncs of the log take.", "fsync"),
)

_PAIR, _TO, _FROM = ("Local", "Remote"), ("To",), ("From",)
_RTT, _SNAPSHOT = 0.0001, 0.1
_LABELLED: Final = (
    _Labelled("active_peers", _GAUGE, "The current number of active peer connections.", "peers_active", _PAIR),
    _Labelled("disconnected_peers_total", _COUNTER, "Total number of disconnected peers.", "peers_disconnected", _PAIR),
    _Labelled("peer_sent_bytes_total", _COUNTER, "Total number of bytes sent to peers.", "peer_sent_bytes", _TO),
    _Labelled("peer_received_bytes_total", _COUNTER, "Total number of bytes from peers.", "peer_received_bytes", _FROM),
    _Labelled("peer_sent_failures_total", _COUNTER, "Total number of send failures.", "peer_sent_failures", _TO),
    _Labelled("peer_received_failures_total", _COUNTER, "Receive failures.", "peer_received_failures", _FROM),
    _Labelled("peer_round_trip_time_seconds", _HISTOGRAM, "Round trips between peers.", "peer_round_trip", _TO, _RTT),
    _Labelled("snapshot_send_success", _COUNTER, "Successful snapshot sends.", "snapshots_sent", _TO),
    _Labelled("snapshot_send_failures", _COUNTER, "Snapshot send failures.", "snapshots_not_sent", _TO),
    _Labelled("snapshot_send_inflights_total", _GAUGE, "Snapshots being sent.", "snapshots_sending", _TO),
    _Labelled("snapshot_send_total_duration_seconds", _HISTOGRAM, "Snapshot sends.", "snapshot_send", _TO, _SNAPSHOT),
    _Labelled("snapshot_receive_success", _COUNTER, "Snapshots received.", "snapshots_received", _FROM),
    _Labelled("snapshot_receive_failures", _COUNTER, "Snapshots that were not.", "snapshots_not_received", _FROM),
    _Labelled("snapshot_receive_inflights_total", _GAUGE, "Being received.", "snapshots_receiving", _FROM),
    _Labelled(
        "snapshot_receive_total_duration_seconds", _HISTOGRAM, "Receptions.", "snapshot_receive", _FROM, _SNAPSHOT
    ),
)

_ODD_NAMES: Final = re.compile(rb"(etcd_network_snapshot_(?:send|receive)_(?:success|failures))_total")
"""Counters whose names in etcd lack the ending that the client library gives every counter."""


def encode(whole: Whole, actors: Iterable[Figures]) -> bytes:
    """The text that Prometheus reads.

    actors  the figures of each actor; those of the same name are added up, texts must be the same
    """
    found: dict[str, Any] = {}
    for figures in actors:
        for name, value in figures.items():
            adds = name in found and isinstance(value, int | float)
            found[name] = found[name] + value if adds else value
    if "commit_index" in found:
        found["commit_index"] = max(found["commit_index"], found.get("applied_index", 0))
    families = [_family(row, found[row.figure]) for row in _ROWS if row.figure in found]
    families += [_labelled_family(row, found[row.figure]) for row in _LABELLED if found.get(row.figure)]
    text = generate_latest(_Collected([*families, *_certificates(found), *_process(whole)]))
    return _ODD_NAMES.sub(rb"\1", text) if b"_network_snapshot_" in text else text


def _family(row: _Row, value: Any) -> Metric:
    if row.label:
        family = row.make(row.metric, row.help, labels=[row.label])
        family.add_metric([str(value)], 1)  # type: ignore[attr-defined]
        return family
    if row.make is HistogramMetricFamily:
        counts, sum_s = value
        return HistogramMetricFamily(row.metric, row.help, buckets=_cumulative(counts, 0.001), sum_value=sum_s)
    return row.make(row.metric, row.help, value=value)


def _certificates(found: Figures) -> list[Metric]:
    """etcd has no such metric. What several listeners tell is told once."""
    text = "When a certificate expires, in seconds since 1970."
    family = GaugeMetricFamily("etcdz_tls_cert_not_after_seconds", text, labels=["side", "use", "file"])
    series = [*found.get("client_certificates", ()), *found.get("peer_certificates", ())]
    for labels, not_after_s in series:
        family.add_metric(labels, not_after_s)
    return [family] if series else []


def _labelled_family(row: _Labelled, series: list[Any]) -> Metric:
    family: Any = row.make(f"etcd_network_{row.metric}", row.help, labels=row.labels)
    for labels, value in series:
        if row.make is HistogramMetricFamily:
            counts, sum_s = value
            family.add_metric(labels, buckets=_cumulative(counts, row.bucket_s), sum_value=sum_s)
        else:
            family.add_metric(labels, value)
    return family  # type: ignore[no-any-return]


def _cumulative(counts: list[int], bucket_s: float) -> list[tuple[str, float]]:
    """counts: by bucket, the last one of all that is beyond the others
    bucket_s: upper bound of the first; each further one is twice as wide"""
    seen, buckets = 0, []
    for number, count in enumerate(counts):
        seen += count
        buckets.append((repr(bucket_s * 2**number) if number < len(counts) - 1 else "+Inf", float(seen)))
    return buckets


def _process(whole: Whole) -> list[Metric]:
    return [
        _COUNTER("process_cpu_seconds", "Total user and system CPU time spent in seconds.", value=whole.cpu_s),
        _GAUGE("process_resident_memory_bytes", "Resident memory size in bytes.", value=whole.rss_bytes),
        _GAUGE("process_virtual_memory_bytes", "Virtual memory size in bytes.", value=whole.virtual_bytes),
        _GAUGE("process_virtual_memory_max_bytes", "Maximum amount of virtual memory.", value=whole.virtual_bytes_max),
        _GAUGE("process_open_fds", "Number of open file descriptors.", value=whole.open_files),
        _GAUGE("process_max_fds", "Maximum number of open file descriptors.", value=whole.open_files_max),
        _GAUGE("process_start_time_seconds", "Start time since unix epoch in seconds.", value=whole.started_s),
    ]


class _Collected:
    """What the encoder takes for a registry."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families
