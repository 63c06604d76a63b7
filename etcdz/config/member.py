"""What one member is told: typed, immutable, and small enough to be sent to every actor process."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from etcdz.cluster import identity
from etcdz.cluster.founding import Founding, found
from etcdz.config.urls import parse_member_url
from etcdz.limits import CATCH_UP_ENTRIES, QUOTA_DEFAULT_BYTES
from etcdz.tls.settings import NO_TLS, TlsSettings

UINT32_MAX = 0xFFFF_FFFF
BCRYPT_COST_MIN, BCRYPT_COST_MAX = 4, 31
BCRYPT_COST_DEFAULT = 10
AUTH_TOKEN_TTL_DEFAULT_S = 300

_TUPLES = frozenset(
    (
        "listen_client_urls",
        "advertise_client_urls",
        "listen_peer_urls",
        "initial_advertise_peer_urls",
        "listen_client_http_urls",
        "listen_metrics_urls",
        "cors",
        "host_whitelist",
        "discovery_endpoints",
        "log_outputs",
        "without_meaning",
    )
)
_TLS = ("client_tls", "peer_tls", "discovery_tls")


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberConfig:
    """All settings of a member, checked. The defaults are those of etcd 3.5.

    URLs are strings as etcd writes them: sorted, without a path. Invariant: every field is a value that msgpack can
    carry once to_dict() has been through it.
    """

    name: str = "default"
    data_dir: str = "default.etcd"
    wal_dir: str = ""
    """Directory given by --wal-dir; empty means below data_dir. Ask wal_path."""
    snapshot_count: int = 100_000
    """Entries applied between two snapshots."""
    catch_up_entries: int = CATCH_UP_ENTRIES
    """Entries kept in the log behind a snapshot, for slow followers."""
    max_snapshots: int = 5
    """.snap files kept; 0 keeps all."""
    max_wals: int = 5
    """WAL segments kept beyond those that are needed; 0 keeps all."""

    heartbeat_ms: int = 100
    """Length of a raft tick."""
    election_ms: int = 1000
    pre_vote: bool = True
    initial_election_tick_advance: bool = True
    strict_reconfig_check: bool = True

    listen_client_urls: tuple[str, ...] = ("http://localhost:2379",)
    advertise_client_urls: tuple[str, ...] = ("http://localhost:2379",)
    listen_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    initial_advertise_peer_urls: tuple[str, ...] = ("http://localhost:2380",)
    listen_client_http_urls: tuple[str, ...] = ()
    """For HTTP alone; listen_client_urls then serve gRPC alone. Empty: those serve both."""
    listen_metrics_urls: tuple[str, ...] = ()
    """For metrics and health alone, beside the client URLs."""
    cors: tuple[str, ...] = ("*",)
    """Origins of web pages that may ask over HTTP; "*" alone: all."""
    host_whitelist: tuple[str, ...] = ("*",)
    """Host names that clients may use over HTTP without TLS; "*" among them: all."""
    client_tls: TlsSettings = NO_TLS
    """Of all URLs of clients."""
    peer_tls: TlsSettings = NO_TLS
    """Of the peer URLs, and of this member when it dials others."""
    client_auto_tls: bool = False
    """Whether the certificate of clients is made at the start; client_tls names it then."""
    peer_auto_tls: bool = False
    self_signed_cert_years: int = 1
    """How long a certificate is valid that is made at the start."""
    initial_cluster_text: str = "default=http://localhost:2380"
    """--initial-cluster as given; only a member without a log looks at it."""
    initial_cluster_token: str = "etcd-cluster"
    initial_cluster_state: str = "new"
    discovery_url: str = ""
    """Of a v2 discovery service, with the cluster's token as its path; empty: none."""
    discovery_proxy: str = ""
    discovery_token: str = ""
    """Of the cluster in a v3 discovery service; empty: none."""
    discovery_endpoints: tuple[str, ...] = ()
    discovery_request_s: float = 5.0
    discovery_user: str = ""
    """name or name:password."""
    discovery_password: str = ""
    discovery_tls: TlsSettings | None = None
    """Of this member as a client of v3 discovery; None: it is asked without TLS."""
    discovery_srv: str = ""
    """DNS domain whose SRV records name the members; empty: none does."""
    discovery_srv_name: str = ""
    proxy: str = "off"
    """"on" or "readonly": not to be a member, but to hand requests on to those of the initial cluster."""
    proxy_failure_ms: int = 5000
    proxy_refresh_ms: int = 30000
    proxy_dial_timeout_ms: int = 1000
    proxy_write_timeout_ms: int = 5000
    proxy_read_timeout_ms: int = 0
    """0: an answer may take as long as it takes."""
    founding: Founding | None = None
    """Who the member is and whom it begins with, decided before the tree starts; None: the flags alone say it."""

    quota_backend_bytes: int = 0
    """0: the default quota; negative: none. Ask quota_bytes."""
    auto_compaction_mode: str = "periodic"
    auto_compaction_retention: str = "0"
    """As given; etcdz.autocompaction reads it."""
    compaction_batch_limit: int = 1000
    compaction_sleep_s: float = 0.01
    initial_corrupt_check: bool = False
    corrupt_check_s: float = 0.0
    """0: never."""
    compact_hash_check: bool = False
    compact_hash_check_s: float = 60.0
    bootstrap_defrag_mb: int = 0
    """0: never."""
    max_txn_ops: int = 128
    max_request_bytes: int = 1_572_864
    max_concurrent_streams: int = UINT32_MAX
    enable_grpc_gateway: bool = True
    """Whether gRPC's calls are served as JSON over HTTP as well."""
    grpc_keepalive_min_time_s: float = 5.0
    grpc_keepalive_interval_s: float = 7200.0
    grpc_keepalive_timeout_s: float = 20.0
    socket_reuse_port: bool = False
    warning_apply_s: float = 0.1
    warning_unary_request_s: float = 0.3
    watch_progress_notify_s: float = 600.0
    unsafe_no_fsync: bool = False
    lease_checkpoint: bool = False
    lease_checkpoint_persist: bool = False
    enable_v2: bool = False
    v2_deprecation: str = "not-yet"
    """Otherwise the member does not start with keys of the v2 API."""
    auth_token: str = "simple"
    """As given; etcdz.config.auth_token reads it."""
    auth_token_ttl_s: int = AUTH_TOKEN_TTL_DEFAULT_S
    """Of a simple token since its last use."""
    bcrypt_cost: int = BCRYPT_COST_DEFAULT
    """Checked: BCRYPT_COST_MIN to BCRYPT_COST_MAX."""
    downgrade_check_s: float = 5.0
    """How often a leader looks whether a downgrade is done; 0: never."""
    max_learners: int = 1
    """How many members without a vote there may be: each member judges so for itself."""
    force_new_cluster: bool = False
    """Whether this start makes a cluster of this member alone."""

    log_level: str = "info"
    log_format: str = "json"
    log_outputs: tuple[str, ...] = ("default",)

    enable_pprof: bool = False
    tracing: bool = False
    """Whether spans of calls are exported."""
    tracing_address: str = "localhost:4317"
    tracing_service_name: str = "etcd"
    tracing_instance_id: str = ""
    tracing_sampling_rate: int = 0
    """Of calls that belong to no trace, so many out of a million."""
    """Whether profiles are served under /debug/pprof/."""
    metrics: str = "basic"
    """extensive: the metrics tell how long gRPC calls take as well."""
    enable_dashboard: bool = False
    """Whether /dashboard is served: with the metrics where these have an address, else to clients."""

    listeners: int = 1
    """Listener processes, already worked out from the number of cores."""
    actor_placement: str = "auto"
    """auto: the supervisor pins actors to cores; none: the kernel decides."""
    actor_rules: str = ""
    """Changes to the tree's table; grammar in supervisor/rules.py."""
    takeover: bool = True
    """Whether a start may make a data directory of etcd one of etcdz; else it is refused."""
    stop_with_pid: int = 0
    """Id of the process at whose end the member stops; 0: none."""
    without_meaning: tuple[str, ...] = ()
    """Names of given flags that tune bbolt and have nothing to act on here."""

    # ---- derived ----

    @property
    def member_dir(self) -> str:
        return f"{self.data_dir}/member"

    @property
    def snap_dir(self) -> str:
        return f"{self.member_dir}/snap"

    @property
    def wal_path(self) -> str:
        return self.wal_dir or f"{self.member_dir}/wal"

    @property
    def quota_bytes(self) -> int:
        """Size of the store at which writes are refused; 0: never."""
        return max(0, self.quota_backend_bytes) if self.quota_backend_bytes else QUOTA_DEFAULT_BYTES

    @property
    def election_ticks(self) -> int:
        """Ticks without a leader after which a follower campaigns."""
        return self.election_ms // self.heartbeat_ms

    @property
    def lease_ttl_min_s(self) -> int:
        """No lease is shorter than an election and half of one may take."""
        return -(-(3 * self.election_ticks // 2 * self.heartbeat_ms) // 1000)

    @property
    def request_timeout_s(self) -> float:
        """How long etcd lets a proposal wait: 5 s for queue and disk, two elections beside."""
        return 5.0 + 2 * self.election_ticks * self.heartbeat_ms / 1000

    @property
    def initial_cluster(self) -> dict[str, tuple[str, ...]]:
        """Name -> sorted peer URLs in normal form.

        raises  ValueError: a bad URL, which bootstrap.cluster_error() finds before a first start; a member that has
                run before never asks
        """
        if self.is_discovered:  # until the service has told of the others
            return {self.name: tuple(sorted(self.initial_advertise_peer_urls))}
        return parse_initial_cluster(self.initial_cluster_text)

    @property
    def is_discovered(self) -> bool:
        """Whether a discovery service says who the members are."""
        return bool(self.discovery_url or self.discovery_endpoints)

    @property
    def cluster_token(self) -> str:
        """What the ids are made of, beside the URLs."""
        return self.discovery_url or self.discovery_token or self.initial_cluster_token

    @property
    def first_founding(self) -> Founding:
        """`founding`, or what the flags alone say of a new cluster. raises as initial_cluster"""
        return self.founding or found(self.initial_cluster, self.cluster_token, self.name)

    @property
    def member_id(self) -> int:
        """Id with which this member begins."""
        return self.first_founding.member_id

    @property
    def cluster_id(self) -> int:
        """Id of the cluster in which it begins."""
        return self.first_founding.cluster_id

    @property
    def advertised_member_id(self) -> int:
        """Of which processes make request ids until they are told which member this is: one that began before
        that was kept may have other flags now."""
        if self.founding is not None:
            return self.founding.member_id
        return identity.member_id(self.initial_advertise_peer_urls, self.initial_cluster_token)

    # ---- over a link ----

    def to_dict(self) -> dict[str, Any]:
        """Plain values by field name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        sides = {name: (side := getattr(self, name)) and side.to_dict() for name in _TLS}
        return values | sides | {"founding": self.founding and self.founding.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MemberConfig":
        """Back from to_dict(), also after msgpack has made lists of the tuples."""
        arguments: dict[str, Any] = {key: tuple(v) if key in _TUPLES else v for key, v in values.items()}
        if arguments.get("founding") is not None:
            arguments["founding"] = Founding.from_dict(arguments["founding"])
        arguments |= {name: TlsSettings.from_dict(arguments[name]) for name in _TLS if arguments.get(name)}
        return cls(**arguments)


def parse_initial_cluster(text: str) -> dict[str, tuple[str, ...]]:
    """a=http://1:1,a=http://2:1,b=http://3:1 -> name -> sorted URLs; an entry without `=` has the URL "".

    raises  ValueError: etcd's words about the first bad URL
    """
    urls_of: dict[str, list[str]] = {}
    for entry in filter(None, text.split(",")):
        name, _, url = entry.partition("=")
        urls_of.setdefault(name, []).append(parse_member_url(url.strip()).text)
    return {name: tuple(sorted(urls)) for name, urls in urls_of.items()}
