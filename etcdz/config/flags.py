"""Every flag of etcd 3.5 to 3.7 and of etcdz alone, as one table: the order here is the order of --help.

A flag that is not built yet is known all the same. Its default is accepted; anything else is refused where a member
without it would not do what it is for, or not be as safe as the user thinks (DEFAULT_ONLY), and accepted where it could
change nothing that is there (WITHOUT_EFFECT). Defaults are those of etcd 3.5; what 3.6 and 3.7 added has its default
there.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Final, NamedTuple

from etcdz.config.feature_gates import FEATURES
from etcdz.config.kinds import (
    BOOL,
    DURATION,
    HOSTS,
    IGNORED,
    INT,
    INT64,
    LIST,
    ORIGINS,
    STRING,
    UINT,
    UINT32,
    UINT64,
    URLS,
    WORDS,
    Kind,
    choice,
    choices,
)


class Status(Enum):
    """How far a flag has come."""

    WORKS = "works"
    DEFAULT_ONLY = "only its default is supported yet"
    WITHOUT_EFFECT = "accepted, and has nothing to act on yet"
    WITHOUT_MEANING = "accepted; tunes bbolt, which is not used here"
    OBSOLETE = "ignored, as etcd does"


WORKS, DEFAULT_ONLY = Status.WORKS, Status.DEFAULT_ONLY
WITHOUT_EFFECT, WITHOUT_MEANING = Status.WITHOUT_EFFECT, Status.WITHOUT_MEANING


class Flag(NamedTuple):
    """One flag. default is text, read as if it had been given; field names where its value goes in MemberConfig."""

    name: str
    kind: Kind
    default: str
    status: Status
    section: str
    help: str
    field: str = ""

    @property
    def default_value(self) -> Any:
        """The default as its kind reads it."""
        return self.kind.parse(self.default)

    def is_supported(self, value: Any) -> bool:
        """Whether this value does what it says; the others are refused."""
        if self.status is DEFAULT_ONLY:
            return bool(value == self.default_value)
        return self.name not in _SUPPORTED or _SUPPORTED[self.name](value)


_SUPPORTED: Final[dict[str, Callable[[Any], bool]]] = {
    "log-outputs": lambda outputs: "systemd/journal" not in outputs,
}
"""Flags that work in part."""

MISSED: Final[dict[str, str]] = {
    "memory-mlock": "memory is not kept from being swapped out",
    "experimental-memory-mlock": "memory is not kept from being swapped out",
    "experimental-stop-grpc-service-on-defrag": "clients are served while the member defragments",
}
"""What a user may expect of a flag without effect, and does not get: the log says so."""

_LOCAL_PEER: Final = "http://localhost:2380"
_LOCAL_CLIENT: Final = "http://localhost:2379"
_ROTATION: Final = '{"maxsize": 100, "maxage": 0, "maxbackups": 0, "localtime": false, "compress": false}'
_V2_PHASES: Final = choices("not-yet", "write-only", "write-only-drop-data", "gone")

_Row = tuple[str, Kind, str, Status, str] | tuple[str, Kind, str, Status, str, str]

_MEMBER: Final[tuple[_Row, ...]] = (
    ("name", STRING, "default", WORKS, "What people call this member.", "name"),
    ("data-dir", STRING, "", WORKS, "Where the member keeps its data; ${name}.etcd when empty.", "data_dir"),
    ("wal-dir", STRING, "", WORKS, "Where the write-ahead log goes, when it should not lie in data-dir.", "wal_dir"),
    ("snapshot-count", UINT64, "100000", WORKS, "Applied entries between two snapshots.", "snapshot_count"),
    ("heartbeat-interval", UINT, "100", WORKS, "Milliseconds between two heartbeats of the leader.", "heartbeat_ms"),
    ("election-timeout", UINT, "1000", WORKS, "Milliseconds without a leader before an election.", "election_ms"),
    (
        "initial-election-tick-advance",
        BOOL,
        "true",
        WORKS,
        "Let most of the first election timeout pass at once, so that a start is quick.",
        "initial_election_tick_advance",
    ),
    ("listen-peer-urls", URLS, _LOCAL_PEER, WORKS, "URLs to accept other members on.", "listen_peer_urls"),
    ("listen-client-urls", URLS, _LOCAL_CLIENT, WORKS, "URLs to accept clients on.", "listen_client_urls"),
    (
        "listen-client-http-urls",
        URLS,
        "",
        WORKS,
        "URLs to accept HTTP clients on; listen-client-urls then serve gRPC alone.",
        "listen_client_http_urls",
    ),
    ("max-snapshots", UINT, "5", WORKS, "Snapshot files to keep; 0 keeps all.", "max_snapshots"),
    ("max-wals", UINT, "5", WORKS, "Log files to keep; 0 keeps all.", "max_wals"),
    ("memory-mlock", BOOL, "false", WITHOUT_EFFECT, "Keep the member's memory from being swapped out."),
    (
        "quota-backend-bytes",
        INT64,
        "0",
        WORKS,
        "Size of the data at which writes are refused; 0 for 2 GiB, negative for no limit.",
        "quota_backend_bytes",
    ),
    ("backend-bbolt-freelist-type", STRING, "map", WITHOUT_MEANING, "How bbolt keeps its free pages (map or array)."),
    ("backend-batch-interval", DURATION, "0s", WITHOUT_MEANING, "How long bbolt holds a transaction open."),
    ("backend-batch-limit", INT, "0", WITHOUT_MEANING, "How many operations bbolt holds in a transaction."),
    ("max-txn-ops", UINT, "128", WORKS, "Operations allowed in one transaction.", "max_txn_ops"),
    ("max-request-bytes", UINT, "1572864", WORKS, "Bytes allowed in one request.", "max_request_bytes"),
    (
        "max-concurrent-streams",
        UINT32,
        "4294967295",
        WORKS,
        "Calls that one connection may have open at a time.",
        "max_concurrent_streams",
    ),
    (
        "enable-grpc-gateway",
        BOOL,
        "true",
        WORKS,
        "Offer the gRPC calls as JSON over HTTP as well.",
        "enable_grpc_gateway",
    ),
    (
        "grpc-keepalive-min-time",
        DURATION,
        "5s",
        WORKS,
        "How long a client must wait between two pings; 0 for 5m.",
        "grpc_keepalive_min_time_s",
    ),
    (
        "grpc-keepalive-interval",
        DURATION,
        "2h",
        WORKS,
        "How often to ping a silent client; 0 for 2h, as in etcd.",
        "grpc_keepalive_interval_s",
    ),
    (
        "grpc-keepalive-timeout",
        DURATION,
        "20s",
        WORKS,
        "How long to wait for the answer to a ping before closing the connection; 0 for 20s, as in etcd.",
        "grpc_keepalive_timeout_s",
    ),
    (
        "socket-reuse-port",
        BOOL,
        "false",
        WORKS,
        "Allow other processes on the ports of the client URLs.",
        "socket_reuse_port",
    ),
    ("socket-reuse-address", BOOL, "false", WORKS, "Allow a port that is in TIME_WAIT; as in etcd, always so."),
    ("raft-read-timeout", DURATION, "5s", WITHOUT_EFFECT, "How long a connection between members may be silent."),
    ("raft-write-timeout", DURATION, "5s", WITHOUT_EFFECT, "How long a write to another member may take."),
    ("feature-gates", FEATURES, "", WORKS, "Features to switch on or off: name=true,name=false."),
)

_CLUSTERING: Final[tuple[_Row, ...]] = (
    (
        "initial-advertise-peer-urls",
        URLS,
        _LOCAL_PEER,
        WORKS,
        "URLs at which other members reach this one.",
        "initial_advertise_peer_urls",
    ),
    (
        "initial-cluster",
        STRING,
        f"default={_LOCAL_PEER}",
        WORKS,
        "All members at the first start: name=url,name=url.",
        "initial_cluster_text",
    ),
    (
        "initial-cluster-state",
        choice("new", "existing"),
        "new",
        WORKS,
        "At the first start: whether to found a cluster ('new') or to join one ('existing').",
        "initial_cluster_state",
    ),
    (
        "initial-cluster-token",
        STRING,
        "etcd-cluster",
        WORKS,
        "Keeps clusters with the same URLs apart; part of all ids.",
        "initial_cluster_token",
    ),
    (
        "advertise-client-urls",
        URLS,
        _LOCAL_CLIENT,
        WORKS,
        "URLs at which clients reach this member; needed once listen-client-urls is given.",
        "advertise_client_urls",
    ),
    ("discovery", STRING, "", WORKS, "URL of a v2 discovery service that knows the members.", "discovery_url"),
    ("discovery-token", STRING, "", WORKS, "Token of the cluster in a v3 discovery service.", "discovery_token"),
    ("discovery-endpoints", WORDS, "", WORKS, "Endpoints of the v3 discovery service.", "discovery_endpoints"),
    ("discovery-dial-timeout", DURATION, "2s", WITHOUT_EFFECT, "How long to connect to v3 discovery."),
    (
        "discovery-request-timeout",
        DURATION,
        "5s",
        WORKS,
        "How long a request to v3 discovery may take.",
        "discovery_request_s",
    ),
    ("discovery-keepalive-time", DURATION, "2s", WITHOUT_EFFECT, "How often to ping v3 discovery."),
    ("discovery-keepalive-timeout", DURATION, "6s", WITHOUT_EFFECT, "How long to wait for the answer to that ping."),
    (
        "discovery-insecure-transport",
        BOOL,
        "true",
        WORKS,
        "Talk to v3 discovery without TLS, unless a file below is given.",
    ),
    ("discovery-insecure-skip-tls-verify", BOOL, "false", WORKS, "Trust any certificate of v3 discovery."),
    ("discovery-cert", STRING, "", WORKS, "Client certificate for v3 discovery."),
    ("discovery-key", STRING, "", WORKS, "Key of that certificate."),
    ("discovery-cacert", STRING, "", WORKS, "CA that v3 discovery's certificate must come from."),
    ("discovery-user", STRING, "", WORKS, "User at v3 discovery, as name or name:password.", "discovery_user"),
    ("discovery-password", STRING, "", WORKS, "Password at v3 discovery.", "discovery_password"),
    ("discovery-fallback", choice("proxy", "exit"), "proxy", WITHOUT_EFFECT, "What to do when discovery fails."),
    ("discovery-proxy", STRING, "", WORKS, "HTTP proxy on the way to the v2 discovery service.", "discovery_proxy"),
    ("discovery-srv", STRING, "", WORKS, "DNS domain whose SRV records name the members.", "discovery_srv"),
    ("discovery-srv-name", STRING, "", WORKS, "Suffix of the SRV service name.", "discovery_srv_name"),
    (
        "strict-reconfig-check",
        BOOL,
        "true",
        WORKS,
        "Refuse changes of the membership that would cost the quorum.",
        "strict_reconfig_check",
    ),
    ("pre-vote", BOOL, "true", WORKS, "Ask for votes before disturbing a term with an election.", "pre_vote"),
    (
        "auto-compaction-retention",
        STRING,
        "0",
        WORKS,
        "History to keep when compacting by itself: hours, a time as 90m, or revisions; 0 for all.",
        "auto_compaction_retention",
    ),
    (
        "auto-compaction-mode",
        STRING,
        "periodic",
        WORKS,
        "Whether that is a time ('periodic') or a number of revisions ('revision').",
        "auto_compaction_mode",
    ),
    ("enable-v2", BOOL, "false", WORKS, "Serve the v2 API.", "enable_v2"),
    (
        "v2-deprecation",
        _V2_PHASES,
        "not-yet",
        WORKS,
        "Whether a member may start with keys of the v2 API ('not-yet') or not (all else).",
        "v2_deprecation",
    ),
)

_SECURITY: Final[tuple[_Row, ...]] = (
    ("cert-file", STRING, "", WORKS, "Certificate to show to clients; read again when it changes."),
    ("key-file", STRING, "", WORKS, "Key of that certificate."),
    ("client-cert-file", STRING, "", WORKS, "Certificate to show as a client, if another."),
    ("client-key-file", STRING, "", WORKS, "Key of that certificate."),
    ("client-cert-auth", BOOL, "false", WORKS, "Demand certificates of clients."),
    ("client-crl-file", STRING, "", WORKS, "Client certificates that are revoked."),
    ("client-cert-allowed-hostname", LIST, "", WORKS, "Host names of which a client certificate must bear one."),
    ("trusted-ca-file", STRING, "", WORKS, "CA that client certificates must come from; demands them, too."),
    ("auto-tls", BOOL, "false", WORKS, "Make a certificate for clients at the start.", "client_auto_tls"),
    ("peer-cert-file", STRING, "", WORKS, "Certificate to show to other members; read again when it changes."),
    ("peer-key-file", STRING, "", WORKS, "Key of that certificate."),
    ("peer-client-cert-file", STRING, "", WORKS, "Certificate to show when calling members, if another."),
    ("peer-client-key-file", STRING, "", WORKS, "Key of that certificate."),
    ("peer-client-cert-auth", BOOL, "false", WORKS, "Demand certificates of other members."),
    ("peer-trusted-ca-file", STRING, "", WORKS, "CA that their certificates must come from; demands them, too."),
    ("peer-cert-allowed-cn", LIST, "", WORKS, "Common names of which their certificates must bear one."),
    ("peer-cert-allowed-hostname", LIST, "", WORKS, "Host names of which their certificates must bear one."),
    ("peer-auto-tls", BOOL, "false", WORKS, "Make a certificate for other members at the start.", "peer_auto_tls"),
    (
        "self-signed-cert-validity",
        UINT,
        "1",
        WORKS,
        "Years that certificates made at the start are valid.",
        "self_signed_cert_years",
    ),
    ("peer-crl-file", STRING, "", WORKS, "Certificates of members that are revoked."),
    (
        "peer-skip-client-san-verification",
        BOOL,
        "false",
        WORKS,
        "Do not compare their certificates with their address.",
    ),
    ("cipher-suites", WORDS, "", WORKS, "Cipher suites of TLS 1.2 to offer, by Go's names; empty for the usual ones."),
    ("tls-min-version", STRING, "TLS1.2", WORKS, "Oldest TLS version to speak: TLS1.2 or TLS1.3."),
    ("tls-max-version", STRING, "", WORKS, "Newest TLS version to speak; empty for the newest there is."),
    ("cors", ORIGINS, "*", WORKS, "Web origins that may ask; * for all.", "cors"),
    (
        "host-whitelist",
        HOSTS,
        "*",
        WORKS,
        "Host names that HTTP clients may use without TLS; * for all.",
        "host_whitelist",
    ),
)

_AUTH: Final[tuple[_Row, ...]] = (
    ("auth-token", STRING, "simple", WORKS, "Kind of token ('simple' or 'jwt') and its options.", "auth_token"),
    ("bcrypt-cost", UINT, "10", WORKS, "Work put into hashing a password, 4 to 31.", "bcrypt_cost"),
    ("auth-token-ttl", UINT, "300", WORKS, "Seconds that a simple token lives unused.", "auth_token_ttl_s"),
)

_MONITORING: Final[tuple[_Row, ...]] = (
    ("enable-pprof", BOOL, "false", WORKS, "Serve profiles under /debug/pprof/.", "enable_pprof"),
    ("metrics", STRING, "basic", WORKS, "'extensive' adds histograms of all calls to the metrics.", "metrics"),
    (
        "listen-metrics-urls",
        URLS,
        "",
        WORKS,
        "URLs to serve metrics and health on, beside the client URLs.",
        "listen_metrics_urls",
    ),
)

_LOGGING: Final[tuple[_Row, ...]] = (
    ("logger", STRING, "zap", WORKS, "Shape of the log; 'zap' is the only one."),
    (
        "log-outputs",
        WORDS,
        "default",
        WORKS,
        "stderr (as by default), stdout or files, by commas.",
        "log_outputs",
    ),
    ("log-level", STRING, "info", WORKS, "Least important lines to write: debug, info, warn, error, panic or fatal."),
    ("log-format", STRING, "json", WORKS, "json or console."),
    ("enable-log-rotation", BOOL, "false", DEFAULT_ONLY, "Rotate the log file."),
    ("log-rotation-config-json", STRING, _ROTATION, WITHOUT_EFFECT, "When to rotate it and what to keep."),
    (
        "warning-unary-request-duration",
        DURATION,
        "300ms",
        WORKS,
        "Log a warning about calls that take longer.",
        "warning_unary_request_s",
    ),
)

_TRACING: Final[tuple[_Row, ...]] = (
    (
        "enable-distributed-tracing",
        BOOL,
        "false",
        WORKS,
        "Export spans of calls to an OpenTelemetry collector; needs etcdz[tracing].",
        "tracing",
    ),
    ("distributed-tracing-address", STRING, "localhost:4317", WORKS, "Where the collector listens.", "tracing_address"),
    (
        "distributed-tracing-service-name",
        STRING,
        "etcd",
        WORKS,
        "Name of the service, for all members.",
        "tracing_service_name",
    ),
    ("distributed-tracing-instance-id", STRING, "", WORKS, "Name of this member in the traces.", "tracing_instance_id"),
    (
        "distributed-tracing-sampling-rate",
        INT,
        "0",
        WORKS,
        "How many out of a million calls without a trace are sampled.",
        "tracing_sampling_rate",
    ),
)

_PROXY: Final[tuple[_Row, ...]] = (
    ("proxy", choice("off", "readonly", "on"), "off", WORKS, "Be a v2 proxy and no member.", "proxy"),
    (
        "proxy-failure-wait",
        UINT,
        "5000",
        WORKS,
        "Milliseconds before what has failed is tried again.",
        "proxy_failure_ms",
    ),
    (
        "proxy-refresh-interval",
        UINT,
        "30000",
        WORKS,
        "Milliseconds between two looks at the members.",
        "proxy_refresh_ms",
    ),
    ("proxy-dial-timeout", UINT, "1000", WORKS, "Milliseconds to connect.", "proxy_dial_timeout_ms"),
    ("proxy-write-timeout", UINT, "5000", WORKS, "Milliseconds to write.", "proxy_write_timeout_ms"),
    ("proxy-read-timeout", UINT, "0", WORKS, "Milliseconds to read.", "proxy_read_timeout_ms"),
)

_FEATURES: Final[tuple[_Row, ...]] = (
    (
        "corrupt-check-time",
        DURATION,
        "0s",
        WORKS,
        "How often to check that data is what it was and what other members have; 0 for never.",
        "corrupt_check_s",
    ),
    (
        "compact-hash-check-time",
        DURATION,
        "1m",
        WORKS,
        "How often the leader compares hashes of compactions.",
        "compact_hash_check_s",
    ),
    (
        "compaction-batch-limit",
        INT,
        "1000",
        WORKS,
        "Revisions that a compaction looks at at a time.",
        "compaction_batch_limit",
    ),
    ("compaction-sleep-interval", DURATION, "10ms", WORKS, "Rest between two such batches.", "compaction_sleep_s"),
    (
        "watch-progress-notify-interval",
        DURATION,
        "10m",
        WORKS,
        "How often a quiet watch is told where it is.",
        "watch_progress_notify_s",
    ),
    (
        "warning-apply-duration",
        DURATION,
        "100ms",
        WORKS,
        "Log a warning about requests that take longer to apply.",
        "warning_apply_s",
    ),
    (
        "bootstrap-defrag-threshold-megabytes",
        UINT,
        "0",
        WORKS,
        "Defragment at the start if that frees so much; 0 for never.",
        "bootstrap_defrag_mb",
    ),
    ("max-learners", INT, "1", WORKS, "Learners that a cluster may have; the same for all members.", "max_learners"),
    (
        "downgrade-check-time",
        DURATION,
        "5s",
        WORKS,
        "How often to look whether a downgrade is done; 0 for never.",
        "downgrade_check_s",
    ),
    (
        "snapshot-catchup-entries",
        UINT64,
        "5000",
        WORKS,
        "Entries kept for slow followers after a snapshot.",
        "catch_up_entries",
    ),
)

_EXPERIMENTAL: Final[tuple[_Row, ...]] = (
    (
        "experimental-initial-corrupt-check",
        BOOL,
        "false",
        WORKS,
        "Read all data with its checksums, and compare it with other members', before serving.",
        "initial_corrupt_check",
    ),
    ("experimental-corrupt-check-time", DURATION, "0s", WORKS, "See corrupt-check-time; wins over it."),
    (
        "experimental-compact-hash-check-enabled",
        BOOL,
        "false",
        WORKS,
        "The leader compares hashes of compactions.",
        "compact_hash_check",
    ),
    ("experimental-compact-hash-check-time", DURATION, "1m", WORKS, "See compact-hash-check-time; wins over it."),
    ("experimental-enable-v2v3", STRING, "", DEFAULT_ONLY, "Serve v2 calls from v3 keys below this prefix."),
    ("experimental-enable-lease-checkpoint", BOOL, "false", WORKS, "Note what is left of leases.", "lease_checkpoint"),
    (
        "experimental-enable-lease-checkpoint-persist",
        BOOL,
        "false",
        WORKS,
        "Keep them.",
        "lease_checkpoint_persist",
    ),
    ("experimental-compaction-batch-limit", INT, "1000", WORKS, "See compaction-batch-limit; wins over it."),
    ("experimental-compaction-sleep-interval", DURATION, "10ms", WORKS, "See compaction-sleep-interval; wins over it."),
    ("experimental-peer-skip-client-san-verification", BOOL, "false", WORKS, "See the flag of this name."),
    ("experimental-watch-progress-notify-interval", DURATION, "10m", WORKS, "See the flag of this name."),
    ("experimental-warning-apply-duration", DURATION, "100ms", WORKS, "See warning-apply-duration; wins over it."),
    (
        "experimental-warning-unary-request-duration",
        DURATION,
        "300ms",
        WORKS,
        "See warning-unary-request-duration; wins over it.",
    ),
    ("experimental-txn-mode-write-with-shared-buffer", BOOL, "true", WITHOUT_EFFECT, "Share a buffer with the checks."),
    (
        "experimental-bootstrap-defrag-threshold-megabytes",
        UINT,
        "0",
        WORKS,
        "See bootstrap-defrag-threshold-megabytes; wins over it.",
    ),
    ("experimental-downgrade-check-time", DURATION, "5s", WORKS, "See downgrade-check-time; wins over it."),
    ("experimental-memory-mlock", BOOL, "false", WITHOUT_EFFECT, "See memory-mlock."),
    ("experimental-snapshot-catchup-entries", UINT64, "5000", WORKS, "See snapshot-catchup-entries; wins over it."),
    ("experimental-stop-grpc-service-on-defrag", BOOL, "false", WITHOUT_EFFECT, "Serve no client while defragmenting."),
    ("experimental-enable-distributed-tracing", BOOL, "false", WORKS, "See enable-distributed-tracing; wins over it."),
    (
        "experimental-distributed-tracing-address",
        STRING,
        "localhost:4317",
        WORKS,
        "See distributed-tracing-address; wins over it.",
    ),
    (
        "experimental-distributed-tracing-service-name",
        STRING,
        "etcd",
        WORKS,
        "See distributed-tracing-service-name; wins over it.",
    ),
    (
        "experimental-distributed-tracing-instance-id",
        STRING,
        "",
        WORKS,
        "See distributed-tracing-instance-id; wins over it.",
    ),
    (
        "experimental-distributed-tracing-sampling-rate",
        INT,
        "0",
        WORKS,
        "See distributed-tracing-sampling-rate; wins over it.",
    ),
)

_UNSAFE: Final[tuple[_Row, ...]] = (
    (
        "force-new-cluster",
        BOOL,
        "false",
        WORKS,
        "Make a cluster of this member alone, out of its data.",
        "force_new_cluster",
    ),
    ("unsafe-no-fsync", BOOL, "false", WORKS, "Do not wait for the disk. A crash loses data.", "unsafe_no_fsync"),
)

_ETCDZ: Final[tuple[_Row, ...]] = (
    (
        "enable-dashboard",
        BOOL,
        "false",
        WORKS,
        "Serve a page for browsers, /dashboard, on listen-metrics-urls, or else on the client URLs.",
        "enable_dashboard",
    ),
    ("listeners", UINT, "0", WORKS, "Processes that talk to clients, up to 14; 0 chooses by the number of cores."),
    (
        "actor-placement",
        choice("auto", "none"),
        "auto",
        WORKS,
        "'auto' binds processes to cores, 'none' leaves that to the kernel.",
        "actor_placement",
    ),
    (
        "actor-rules",
        STRING,
        "",
        WORKS,
        "Rules of processes, as in 'backend:max-rss=2GiB,nice=-5;listener:max-age=24h'.",
        "actor_rules",
    ),
    (
        "takeover",
        BOOL,
        "true",
        WORKS,
        "Make a data directory of etcd one of etcdz at the start; etcd's is kept beside it.",
        "takeover",
    ),
    (
        "stop-with-pid",
        UINT32,
        "0",
        WORKS,
        "Stop as if told to when the process with this id ends; 0: none.",
        "stop_with_pid",
    ),
)

SECTIONS: Final = {
    "Member": _MEMBER,
    "Clustering": _CLUSTERING,
    "Security": _SECURITY,
    "Auth": _AUTH,
    "Profiling and Monitoring": _MONITORING,
    "Logging": _LOGGING,
    "Distributed tracing": _TRACING,
    "v2 Proxy": _PROXY,
    "Features": _FEATURES,
    "Experimental, names of etcd 3.5": _EXPERIMENTAL,
    "Unsafe": _UNSAFE,
    "etcdz": _ETCDZ,
}

_OBSOLETE: Final = (
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "retry-interval",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
)

CONTROL: Final = (
    Flag("config-file", STRING, "", WORKS, "", "Configuration file in YAML."),
    Flag("version", BOOL, "false", WORKS, "", "Print versions and exit."),
)
"""Flags that steer the reading itself."""

SETTINGS: Final = {row[0]: Flag(*row[:4], section, *row[4:]) for section, rows in SECTIONS.items() for row in rows}
"""Name -> flag, of all that can be set."""

COMMAND_LINE: Final = {
    **SETTINGS,
    **{flag.name: flag for flag in CONTROL},
    **{name: Flag(name, IGNORED, "", Status.OBSOLETE, "", "") for name in _OBSOLETE},
}
"""Name -> flag, of all that may stand on the command line."""
