"""What is read, what wins, and what is refused."""

from typing import Any

import msgpack
import pytest

from etcdz.config import MemberConfig
from etcdz.config.reading import ExitRequest, Host, default_listeners, parse, read
from tests.config.cases import FILE, OURS, SAME_AS_ETCD, Case, give, in_file, verdict


def accept(*argv: str, env: dict[str, str] | None = None, file: str = "", **host: object) -> MemberConfig:
    argv = (*argv, f"--config-file={FILE}") if file else argv
    config = give(Case(argv, -1, "", env or {}, file), **host)
    assert isinstance(config, MemberConfig), config
    return config


@pytest.mark.parametrize("case", [*SAME_AS_ETCD, *OURS], ids=lambda case: case.label)
def test_refusals(case: Case) -> None:
    assert verdict(case) == (case.code, case.message)


def test_without_arguments_the_defaults_are_those_of_etcd() -> None:
    config = accept()
    assert config == MemberConfig()
    assert (config.member_id, config.cluster_id) == (0x8E9E05C52164694D, 0xCDF818194E3A8C32)
    assert config.wal_path == "default.etcd/member/wal"


def test_a_config_goes_over_a_link_and_back() -> None:
    config = accept("--name=x", "--log-outputs=stderr,a.log", "--grpc-keepalive-timeout=1500ms")
    packed = msgpack.packb(config.to_dict())
    assert MemberConfig.from_dict(msgpack.unpackb(packed)) == config


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        (["--name=a"], "name", "a"),
        (["--name", "a"], "name", "a"),
        (["-name", "a"], "name", "a"),
        (["-name=a=b"], "name", "a=b"),
        (["--name="], "name", ""),
        (["--name=a", "--name=b"], "name", "b"),
        (["--name", "--pre-vote"], "name", "--pre-vote"),
        (["--pre-vote=false"], "pre_vote", False),
        (["--pre-vote=F"], "pre_vote", False),
        (["--unsafe-no-fsync"], "unsafe_no_fsync", True),
        (["--snapshot-count=0x10"], "snapshot_count", 16),
        (["--snapshot-count=1_000"], "snapshot_count", 1000),
        (["--max-wals=0"], "max_wals", 0),
        (["--quota-backend-bytes=-1"], "quota_backend_bytes", -1),
        (["--grpc-keepalive-min-time=1m30.5s"], "grpc_keepalive_min_time_s", 90.5),
        (["--grpc-keepalive-timeout=0"], "grpc_keepalive_timeout_s", 0),
        (["--warning-apply-duration=1s"], "warning_apply_s", 1),
        (["--warning-apply-duration=1s", "--experimental-warning-apply-duration=2s"], "warning_apply_s", 2),
        (["--experimental-warning-unary-request-duration=2s"], "warning_unary_request_s", 2),
        (["--log-outputs=b,a,b"], "log_outputs", ("a", "b")),
        (["--log-outputs="], "log_outputs", ("default",)),
        (["--log-level=WARN"], "log_level", "warn"),
        (["--log-format="], "log_format", "json"),
        (["--listen-peer-urls= http://127.0.0.1:2 ,http://127.0.0.1:1"], "listen_peer_urls", (
            "http://127.0.0.1:1", "http://127.0.0.1:2",
        )),
        (["--listen-peer-urls="], "listen_peer_urls", ("http://localhost:2380",)),
        (["--name=a"], "data_dir", "a.etcd"),
        (["--name=a", "--data-dir=/d"], "data_dir", "/d"),
        (["--wal-dir=/w"], "wal_path", "/w"),
        (["--listeners=3"], "listeners", 3),
        (["--actor-placement=none"], "actor_placement", "none"),
        (["--vv", "--snapshot", "--config=x"], "name", "default"),
        (["--cert-file=", "--enable-v2=false", "--metrics", "basic", "--cors=*"], "name", "default"),
        (["--raft-read-timeout=5000ms"], "name", "default"),
    ],
)  # fmt: skip
def test_flags(argv: list[str], field: str, value: Any) -> None:
    assert getattr(accept(*argv), field) == value


def test_with_only_a_name_the_cluster_is_this_member() -> None:
    config = accept("--name=a", "--initial-advertise-peer-urls=http://10.0.0.1:1,http://10.0.0.2:1")
    assert config.initial_cluster == {"a": ("http://10.0.0.1:1", "http://10.0.0.2:1")}
    assert accept("--name=a", "--initial-cluster=b=http://c:1").initial_cluster == {"b": ("http://c:1",)}
    assert accept("--name=").initial_cluster == {"default": ("http://localhost:2380",)}


def test_bytes_of_a_name_that_are_not_utf_8_are_what_go_makes_of_them() -> None:
    """Paths stay as they are."""
    config = accept("--name=a\udcff", "--data-dir=/d\udcff", "--initial-cluster=a\udcff=http://localhost:2380")
    assert (config.name, config.data_dir) == ("a\ufffd", "/d\udcff")
    assert list(config.initial_cluster) == ["a\ufffd"]


def test_who_listens_everywhere_is_advertised_at_the_default_host() -> None:
    argv = ["--listen-peer-urls=http://0.0.0.0:1", "--name=a"]
    config = accept(*argv, default_host=lambda: "10.0.0.9")
    assert config.initial_advertise_peer_urls == ("http://10.0.0.9:1",)
    assert config.initial_cluster == {"a": ("http://10.0.0.9:1",)}
    named = accept(*argv, "--initial-advertise-peer-urls=http://b:2", default_host=lambda: "10.0.0.9")
    assert named.initial_advertise_peer_urls == ("http://b:2",)


def test_without_a_default_route_the_default_urls_stay() -> None:
    def no_route() -> str:
        raise OSError("Network is unreachable")

    reading = read(["--listen-peer-urls=http://0.0.0.0:1"], {}, Host(default_host=no_route))
    assert isinstance(reading.outcome, MemberConfig)
    assert reading.outcome.initial_advertise_peer_urls == ("http://localhost:2380",)
    assert reading.late[0].msg == "failed to detect default host"


def test_a_variable_counts_when_its_flag_is_not_given() -> None:
    assert accept(env={"ETCD_NAME": "e", "ETCD_PRE_VOTE": "false"}).name == "e"
    assert accept("--max-wals=3", env={"ETCD_NAME": "e"}).max_wals == 3
    assert accept(env={"ETCD_NAME": ""}).name == "default"
    config = accept(env={"ETCD_LISTEN_CLIENT_URLS": "http://127.0.0.1:1", "ETCD_ADVERTISE_CLIENT_URLS": "http://a:1"})
    assert config.listen_client_urls == ("http://127.0.0.1:1",)


def test_the_log_says_which_variables_count() -> None:
    env = {
        "PATH": "/bin",
        "ETCD_NAME": "e",
        "ETCD_FOO": "bar",
        "ETCDCTL_API": "3",
        "ETCD_MAX_WALS": "",
        "ETCD_VERSION": "1",
    }
    assert read([], env).early == [
        ("warn", "cannot set special environment variable", {"key": "ETCD_VERSION", "value": "1"}),
        ("info", "recognized and used environment variable", {"variable-name": "ETCD_NAME", "variable-value": "e"}),
        ("warn", "unrecognized environment variable", {"environment-variable": "ETCD_FOO=bar"}),
        ("warn", "unrecognized environment variable", {"environment-variable": "ETCD_MAX_WALS="}),
    ]


def test_a_file_alone_counts() -> None:
    file = "name: f\nmax-wals: 7\nlog-outputs: [b, a]\ngrpc-keepalive-timeout: 1500000000\nsocket-reuse-port: true\n"
    config = accept("--name=x", "--cert-file=x", env={"ETCD_NAME": "e", "ETCD_FOO": "1"}, file=file)
    assert (config.name, config.max_wals, config.log_outputs) == ("f", 7, ("a", "b"))
    assert (config.grpc_keepalive_timeout_s, config.socket_reuse_port) == (1.5, True)
    assert config.initial_cluster == {"f": ("http://localhost:2380",)}


def test_of_several_documents_in_a_file_the_first_counts() -> None:
    assert accept(file="name: f\n---\nname: g\n").name == "f"


def test_a_file_may_come_from_the_environment() -> None:
    config = give(Case(("--name=x",), -1, "", {"ETCD_CONFIG_FILE": FILE}, "name: f\n"))
    assert isinstance(config, MemberConfig)
    assert config.name == "f"


def test_a_file_has_sections() -> None:
    assert accept(file="socket-options: {reuse-port: true, REUSE-address: true}\n").socket_reuse_port
    assert accept(file="client-transport-security: {cert-file: '', client-cert-auth: false, unheard-of: 1}\n")


def test_in_a_file_listen_urls_need_no_advertise_urls() -> None:
    config = accept(file="listen-client-urls: http://127.0.0.1:1\n")
    assert config.advertise_client_urls == ("http://localhost:2379",)


@pytest.mark.parametrize("name", ["2021-10-15", "12:30", "1.2.3", "0x"])
def test_a_name_in_a_file_may_look_like_a_date(name: str) -> None:
    assert accept(file=f"name: {name}\n").name == name


def test_unknown_keys_of_a_file_are_named_in_the_log() -> None:
    case = in_file("unheard-of: 1\n", "")
    reading = read(case.argv, {}, Host(read_file=lambda path: case.file))
    assert isinstance(reading.outcome, MemberConfig)
    assert reading.early == [
        ("warn", "unknown key in the configuration file - ignoring", {"key": "unheard-of"}),
        (
            "info",
            "loaded server configuration, other configuration command line flags "
            "and environment variables will be ignored if provided",
            {"path": FILE},
        ),
    ]


def test_bbolt_flags_are_taken_and_said_to_mean_nothing() -> None:
    reading = read(
        ["--backend-batch-limit=5", "--backend-batch-interval=1s", "--backend-bbolt-freelist-type=array"], {}
    )
    assert isinstance(reading.outcome, MemberConfig)
    names = ["backend-batch-limit", "backend-batch-interval", "backend-bbolt-freelist-type"]
    assert reading.late[-1].fields == {"flag-names": names}


def test_a_failed_check_is_logged_where_the_log_should_go() -> None:
    outcome = parse(["--log-outputs=a.log", "--log-level=warn", "--election-timeout=1"], {})
    assert isinstance(outcome, ExitRequest)
    assert outcome.logging == {"log_level": "warn", "log_format": "json", "log_outputs": ("a.log",)}


@pytest.mark.parametrize(("cores", "listeners"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (64, 4)])
def test_listeners_follow_the_cores(cores: int, listeners: int) -> None:
    assert default_listeners(cores) == listeners
    assert accept(cores=cores).listeners == listeners
