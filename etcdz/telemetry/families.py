"""What /metrics has: a row for each family, and which figure of the actors it shows.

A figure comes from `Actor.metrics`, under the name in `figure`, in one of these shapes:

    a number                      figures of several actors are added up
    a text                        where `is_text`: it is told as the label of a series that is 1
    [[values of labels], number]  ... one for each series, where there are labels; those of equal labels are added up
    (counts, sum)                 of a histogram: how many measurements lie in each bucket, the last beyond all bounds
    [[values of labels], (counts, sum)] ...

Figures that only grow are kept when the process that counted them has ended: see kept_figures.py.

Source: names, types, labels and buckets as etcd 3.5.1's /metrics has them; those that only its successors have say so.
"""

from typing import Any, Final, NamedTuple

from etcdz.api.grpc_methods import TIME_BOUNDS_S
from etcdz.telemetry.exposition import COUNTER, GAUGE, HISTOGRAM

Figures = dict[str, Any]
"""Of one actor, by the names below."""


class Row(NamedTuple):
    """first       upper bound of a histogram's first bucket; each further one is twice as wide
    bounds      of a histogram whose buckets are others
    is_text     see above
    grows       a gauge that is a counter in truth; etcd's types are kept
    """

    name: str
    kind: str
    help: str
    figure: str
    labels: tuple[str, ...] = ()
    first: float = 0.0
    is_text: bool = False
    grows: bool = False
    bounds: tuple[float, ...] = ()

    @property
    def is_cumulative(self) -> bool:
        """Whether the figure only grows while its process lives."""
        return self.kind != GAUGE or self.grows


def _text(name: str, help_text: str, figure: str, label: str) -> Row:
    return Row(name, GAUGE, help_text, figure, (label,), is_text=True)


_PAIR, _TO, _FROM = ("Local", "Remote"), ("To",), ("From",)
_ACTION: Final = ("action",)
_HTTP_METHOD: Final = ("method",)
_HTTP_TIMES_HELP: Final = (
    "Bucketed histogram of processing time (s) of successfully handled requests (non-watches), "
    "by method (GET/PUT etc.)."
)
_METHOD: Final = ("grpc_method", "grpc_service", "grpc_type")
_MS, _DECI, _CENTI, _TENTH_MS = 0.001, 0.1, 0.01, 0.0001

_SERVER: Final = (
    _text("etcd_cluster_version",
        "Which version is running. 1 for 'cluster_version' label with current cluster version", "cluster_version",
        "cluster_version"),
    _text("etcd_server_version", "Which version is running. 1 for 'server_version' label with current version.",
        "server_version", "server_version"),
    _text("etcd_server_id", "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
        "member_id", "server_id"),
    _text("etcd_server_go_version", "The interpreter that the server runs on; the name is etcd's.", "python_version",
        "server_go_version"),
    Row("etcd_server_has_leader", GAUGE, "Whether or not a leader exists. 1 is existence, 0 is not.", "has_leader"),
    Row("etcd_server_is_leader", GAUGE, "Whether or not this member is a leader. 1 if is, 0 otherwise.", "is_leader"),
    Row("etcd_server_is_learner", GAUGE, "Whether or not this member is a learner. 1 if is, 0 otherwise.",
        "is_learner"),
    Row("etcd_server_leader_changes_seen_total", COUNTER, "The number of leader changes seen.", "leader_changes"),
    Row("etcd_server_heartbeat_send_failures_total", COUNTER,
        "The total number of leader heartbeat send failures (likely overloaded from slow disk).", "late_heartbeats"),
    Row("etcd_server_proposals_committed_total", GAUGE, "The total number of consensus proposals committed.",
        "commit_index"),
    Row("etcd_server_proposals_applied_total", GAUGE, "The total number of consensus proposals applied.",
        "applied_index"),
    Row("etcd_server_proposals_pending", GAUGE, "The current number of pending proposals to commit.",
        "proposals_pending"),
    Row("etcd_server_proposals_failed_total", COUNTER, "The total number of failed proposals seen.",
        "proposals_failed"),
    Row("etcd_server_read_indexes_failed_total", COUNTER, "The total number of failed read indexes seen.",
        "read_indexes_failed"),
    Row("etcd_server_slow_read_indexes_total", COUNTER,
        "The total number of pending read indexes not in sync with leader's or timed out read index requests.",
        "read_indexes_slow"),
    Row("etcd_server_slow_apply_total", COUNTER,
        "The total number of slow apply requests (likely overloaded from slow disk).", "applies_slow"),
    Row("etcd_server_apply_duration_seconds", HISTOGRAM, "The latency distributions of v2 apply called by backend.",
        "applies", ("op", "success", "version"), _TENTH_MS),
    Row("etcd_server_client_requests_total", COUNTER, "The total number of client requests per client version.",
        "client_requests", ("client_api_version", "type")),
    Row("etcd_server_quota_backend_bytes", GAUGE, "Current backend storage quota size in bytes.", "quota_bytes"),
    Row("etcd_server_health_success", COUNTER, "The total number of successful health checks", "health_success"),
    Row("etcd_server_health_failures", COUNTER, "The total number of failed health checks", "health_failures"),
    Row("etcd_server_healthcheck", GAUGE, "The result of each kind of healthcheck.", "healthcheck", ("name", "type")),
    Row("etcd_server_healthchecks_total", COUNTER, "The total number of each kind of healthcheck.", "healthchecks",
        ("name", "status", "type")),
    Row("etcd_server_learner_promote_successes", COUNTER,
        "The total number of successful learner promotions while this member is leader.", "learners_promoted"),
    Row("etcd_server_snapshot_apply_in_progress_total", GAUGE,
        "1 if the server is applying the incoming snapshot. 0 if none.", "installing"),
)  # fmt: skip

_STORE: Final = (
    Row("etcd_mvcc_db_total_size_in_bytes", GAUGE,
        "Total size of the underlying database physically allocated in bytes.", "db_bytes"),
    Row("etcd_mvcc_db_total_size_in_use_in_bytes", GAUGE,
        "Total size of the underlying database logically in use in bytes.", "db_bytes_in_use"),
    Row("etcd_mvcc_db_open_read_transactions", GAUGE, "The number of currently open read transactions", "long_reads"),
    Row("etcd_mvcc_range_total", COUNTER, "Total number of ranges seen by this member.", "ranges"),
    Row("etcd_mvcc_put_total", COUNTER, "Total number of puts seen by this member.", "puts"),
    Row("etcd_mvcc_delete_total", COUNTER, "Total number of deletes seen by this member.", "deletes"),
    Row("etcd_mvcc_txn_total", COUNTER, "Total number of txns seen by this member.", "txns"),
    Row("etcd_mvcc_hash_duration_seconds", HISTOGRAM, "The latency distribution of storage hash operation.",
        "hash_durations", (), _CENTI),
    Row("etcd_mvcc_hash_rev_duration_seconds", HISTOGRAM,
        "The latency distribution of storage hash by revision operation.", "hash_kv_durations", (), _CENTI),
    Row("etcd_disk_backend_commit_duration_seconds", HISTOGRAM,
        "The latency distributions of commit called by backend.", "commits", (), _MS),
    Row("etcd_disk_backend_defrag_duration_seconds", HISTOGRAM, "The latency distribution of backend defragmentation.",
        "defrags", (), _DECI),
    Row("etcd_disk_backend_snapshot_duration_seconds", HISTOGRAM, "The latency distribution of backend snapshots.",
        "snapshots_for_clients", (), _CENTI),
    Row("etcd_disk_defrag_inflight", GAUGE,
        "Whether or not defrag is active on the member. 1 means active, 0 means not.", "defrag_under_way"),
    Row("etcd_disk_wal_fsync_duration_seconds", HISTOGRAM, "The latency distributions of fsync called by WAL.",
        "fsync", (), _MS),
    Row("etcd_disk_wal_write_duration_seconds", HISTOGRAM, "The latency distributions of write called by WAL.",
        "wal_writes", (), _MS),
    Row("etcd_disk_wal_write_bytes_total", GAUGE, "Total number of bytes written in WAL.", "wal_bytes", grows=True),
    Row("etcd_snap_fsync_duration_seconds", HISTOGRAM, "The latency distributions of fsync called by snap.",
        "snap_saves", (), _MS),
    Row("etcd_debugging_snap_save_total_duration_seconds", HISTOGRAM,
        "The total latency distributions of save called by snapshot.", "snap_saves", (), _MS),
    Row("etcd_debugging_snap_save_marshalling_duration_seconds", HISTOGRAM,
        "The marshalling cost distributions of save called by snapshot.", "snap_encodings", (), _MS),
    Row("etcd_snap_db_save_total_duration_seconds", HISTOGRAM, "The total latency distributions of v3 snapshot save",
        "received_stores", (), _DECI),
    Row("etcd_snap_db_fsync_duration_seconds", HISTOGRAM, "The latency distributions of fsyncing .snap.db file",
        "received_store_syncs", (), _MS),
    Row("etcd_debugging_auth_revision", GAUGE, "The current revision of auth store.", "auth_revision"),
    Row("etcd_debugging_lease_granted_total", COUNTER, "The total number of granted leases.", "leases_granted"),
    Row("etcd_debugging_lease_revoked_total", COUNTER, "The total number of revoked leases.", "leases_revoked"),
    Row("etcd_debugging_lease_renewed_total", COUNTER, "The number of renewed leases seen by the leader.",
        "leases_renewed"),
    Row("etcd_debugging_lease_ttl_total", HISTOGRAM, "Bucketed histogram of lease TTLs.", "lease_ttls", (), 1),
    Row("etcd_debugging_server_lease_expired_total", COUNTER, "The total number of expired leases.", "leases_expired"),
    Row("etcd_debugging_mvcc_keys_total", GAUGE, "Total number of keys.", "keys"),
    Row("etcd_debugging_mvcc_current_revision", GAUGE, "The current revision of store.", "revision"),
    Row("etcd_debugging_mvcc_compact_revision", GAUGE, "The revision of the last compaction in store.",
        "compact_revision"),
    Row("etcd_debugging_mvcc_db_compaction_keys_total", COUNTER, "Total number of db keys compacted.",
        "compacted_records"),
    Row("etcd_debugging_mvcc_db_compaction_last", GAUGE,
        "The unix time of the last db compaction. Resets to 0 on start.", "compacted_at_s"),
    Row("etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds", HISTOGRAM,
        "Bucketed histogram of db compaction pause duration.", "compaction_pauses", (), 1),
    Row("etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", HISTOGRAM,
        "Bucketed histogram of db compaction total duration.", "compactions", (), 100),
    Row("etcd_debugging_mvcc_index_compaction_pause_duration_milliseconds", HISTOGRAM,
        "Bucketed histogram of index compaction pause duration.", "compaction_slices", (), 0.5),
    Row("etcd_debugging_mvcc_range_total", COUNTER, "Total number of ranges seen by this member.", "ranges"),
    Row("etcd_debugging_mvcc_total_put_size_in_bytes", GAUGE, "The total size of put kv pairs seen by this member.",
        "put_bytes", grows=True),
    Row("etcd_debugging_mvcc_watch_stream_total", GAUGE, "Total number of watch streams.", "watch_streams"),
    Row("etcd_debugging_mvcc_watcher_total", GAUGE, "Total number of watchers.", "watchers"),
    Row("etcd_debugging_mvcc_slow_watcher_total", GAUGE, "Total number of unsynced slow watchers.", "slow_watchers"),
    Row("etcd_debugging_mvcc_events_total", COUNTER, "Total number of events sent by this member.", "events_sent"),
    Row("etcd_debugging_mvcc_pending_events_total", GAUGE, "Total number of pending events to be sent.",
        "events_pending"),
    Row("etcd_debugging_store_reads_total", COUNTER,
        "Total number of reads action by (get/getRecursive), local to this member.", "v2_reads", _ACTION),
    Row("etcd_debugging_store_writes_total", COUNTER,
        "Total number of writes (e.g. set/compareAndDelete) seen by this member.", "v2_writes", _ACTION),
    Row("etcd_debugging_store_expires_total", COUNTER, "Total number of expired keys.", "v2_expired"),
    Row("etcd_debugging_store_watch_requests_total", COUNTER,
        "Total number of incoming watch requests (new or reestablished).", "v2_watch_requests"),
    Row("etcd_debugging_store_watchers", GAUGE, "Count of currently active watchers.", "v2_watchers"),
)  # fmt: skip

_NETWORK: Final = (
    Row("etcd_network_client_grpc_received_bytes_total", COUNTER,
        "The total number of bytes received from grpc clients.", "grpc_received"),
    Row("etcd_network_client_grpc_sent_bytes_total", COUNTER, "The total number of bytes sent to grpc clients.",
        "grpc_sent"),
    Row("etcd_http_received_total", COUNTER,
        "Counter of requests received into the system (successfully parsed and authd).", "v2_http_received",
        _HTTP_METHOD),
    Row("etcd_http_failed_total", COUNTER,
        "Counter of handle failures of requests (non-watches), by method (GET/PUT etc.) and code (400, 500 etc.).",
        "v2_http_failed", ("code", *_HTTP_METHOD)),
    Row("etcd_http_successful_duration_seconds", HISTOGRAM, _HTTP_TIMES_HELP, "v2_http_times", _HTTP_METHOD, 0.0005),
    Row("etcd_network_known_peers", GAUGE, "Other members that are known; since etcd 3.6.", "peers_known", _PAIR),
    Row("etcd_network_active_peers", GAUGE, "The current number of active peer connections.", "peers_active", _PAIR),
    Row("etcd_network_disconnected_peers_total", COUNTER, "The total number of disconnected peers.",
        "peers_disconnected", _PAIR),
    Row("etcd_network_peer_sent_bytes_total", COUNTER, "The total number of bytes sent to peers.", "peer_sent_bytes",
        _TO),
    Row("etcd_network_peer_received_bytes_total", COUNTER, "The total number of bytes received from peers.",
        "peer_received_bytes", _FROM),
    Row("etcd_network_peer_sent_failures_total", COUNTER, "The total number of send failures from peers.",
        "peer_sent_failures", _TO),
    Row("etcd_network_peer_received_failures_total", COUNTER, "The total number of receive failures from peers.",
        "peer_received_failures", _FROM),
    Row("etcd_network_peer_round_trip_time_seconds", HISTOGRAM, "Round-Trip-Time histogram between peers",
        "peer_round_trip", _TO, _TENTH_MS),
    Row("etcd_network_snapshot_send_success", COUNTER, "Total number of successful snapshot sends", "snapshots_sent",
        _TO),
    Row("etcd_network_snapshot_send_failures", COUNTER, "Total number of snapshot send failures", "snapshots_not_sent",
        _TO),
    Row("etcd_network_snapshot_send_inflights_total", GAUGE, "Total number of inflight snapshot sends",
        "snapshots_sending", _TO),
    Row("etcd_network_snapshot_send_total_duration_seconds", HISTOGRAM,
        "Total latency distributions of v3 snapshot sends", "snapshot_send", _TO, _DECI),
    Row("etcd_network_snapshot_receive_success", COUNTER, "Total number of successful snapshot receives",
        "snapshots_received", _FROM),
    Row("etcd_network_snapshot_receive_failures", COUNTER, "Total number of snapshot receive failures",
        "snapshots_not_received", _FROM),
    Row("etcd_network_snapshot_receive_inflights_total", GAUGE, "Total number of inflight snapshot receives",
        "snapshots_receiving", _FROM),
    Row("etcd_network_snapshot_receive_total_duration_seconds", HISTOGRAM,
        "Total latency distributions of v3 snapshot receives", "snapshot_receive", _FROM, _DECI),
)  # fmt: skip

_CALLS: Final = (
    Row("grpc_server_started_total", COUNTER, "Total number of RPCs started on the server.", "grpc_started", _METHOD),
    Row("grpc_server_handled_total", COUNTER,
        "Total number of RPCs completed on the server, regardless of success or failure.", "grpc_handled",
        ("grpc_code", *_METHOD)),
    Row("grpc_server_msg_received_total", COUNTER, "Total number of RPC stream messages received on the server.",
        "grpc_msg_received", _METHOD),
    Row("grpc_server_msg_sent_total", COUNTER, "Total number of gRPC stream messages sent by the server.",
        "grpc_msg_sent", _METHOD),
    Row("grpc_server_handling_seconds", HISTOGRAM,
        "Histogram of response latency (seconds) of gRPC that had been application-level handled by the server.",
        "grpc_times", _METHOD, bounds=TIME_BOUNDS_S),
)  # fmt: skip

_SCRAPES: Final = (
    Row("promhttp_metric_handler_requests_total", COUNTER, "Total number of scrapes by HTTP status code.", "scrapes",
        ("code",)),
    Row("promhttp_metric_handler_requests_in_flight", GAUGE, "Current number of scrapes being served.",
        "scrapes_under_way"),
)  # fmt: skip

_OWN: Final = (
    Row("etcdz_tls_cert_not_after_seconds", GAUGE, "When a certificate expires, in seconds since 1970.",
        "certificates", ("side", "use", "file")),
)  # fmt: skip

ROWS: Final = (*_SERVER, *_STORE, *_NETWORK, *_CALLS, *_SCRAPES, *_OWN)
CUMULATIVE: Final = {row.figure: row for row in ROWS if row.is_cumulative}
BY_FIGURE: Final = {row.figure: row for row in ROWS}


def add(row: Row, one: Any, other: Any) -> Any:
    """The same figure of two actors, or of two incarnations of one, put together."""
    if row.is_text:
        return other
    if not row.labels:
        return add_values(one, other)
    found = {tuple(labels): value for labels, value in one}
    for labels, value in other:
        key = tuple(labels)
        found[key] = add_values(found[key], value) if key in found and row.figure not in SAME else value
    return [[list(labels), value] for labels, value in found.items()]


SAME: Final = frozenset(("certificates", "healthcheck"))
"""What several listeners tell of this is the same, and not added up."""


def add_values(one: Any, other: Any) -> Any:
    """Numbers, or histograms."""
    if isinstance(one, int | float):
        return one + other
    (counts, total), (more, rest) = one, other
    return [a + b for a, b in zip(counts, more, strict=True)], total + rest


def add_figures(found: Figures, figures: Figures) -> None:
    """Adds those of one actor to found. Those without a row are passed over."""
    for name, value in figures.items():
        row = BY_FIGURE.get(name)
        if row is not None:
            found[name] = add(row, found[name], value) if name in found else value
