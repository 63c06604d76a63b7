"""The files in config/ do what they say."""

from pathlib import Path

import pytest
import yaml

from etcdz.config import MemberConfig, bootstrap
from etcdz.config.reading import Host, read
from tests.config.cases import resolve

CONFIG = Path(__file__).resolve().parents[2] / "config"
NO_MEMBERS = {"prometheus.yml", "alerts.yml", "compose.yml"}
PKI = "/etc/etcdz/pki/"
"""Where the files of members under TLS lie, and do not here."""


def load(path: Path) -> MemberConfig:
    reading = read([f"--config-file={path}"], {}, Host(read_file=lambda name: Path(name).read_text()))
    assert isinstance(reading.outcome, MemberConfig), reading.outcome
    assert [note for note in reading.early if note.level == "warn"] == []
    return reading.outcome


@pytest.mark.parametrize(
    "path", [path for path in sorted(CONFIG.rglob("*.yml")) if path.name not in NO_MEMBERS], ids=lambda path: path.name
)
def test_every_file_is_read_whole(path: Path) -> None:
    config = load(path)
    assert config.name in config.initial_cluster
    missing = f"open {config.peer_tls.cert_file}: no such file or directory"
    assert bootstrap.listen_error(config) == (None if config.peer_tls.is_empty else missing)


def test_a_secure_member_asks_clients_and_members_for_certificates() -> None:
    config = load(CONFIG / "secure-member.yml")
    for side in (config.client_tls, config.peer_tls):
        assert side.demands_certificate
        assert {str(Path(path).parent) + "/" for path in (side.cert_file, side.key_file, side.trusted_ca_file)} == {PKI}


def test_one_member_starts() -> None:
    config = load(CONFIG / "one-member.yml")
    assert bootstrap.cluster_error(config, resolve) is None
    assert config.grpc_keepalive_interval_s == MemberConfig().grpc_keepalive_interval_s


def test_three_members_agree_on_one_cluster() -> None:
    configs = [load(CONFIG / "three-members" / f"{name}.yml") for name in "abc"]
    assert len({config.cluster_id for config in configs}) == 1
    assert len({config.member_id for config in configs}) == 3
    for config in configs:
        assert bootstrap.cluster_error(config, resolve) is None
    (bytes_of_a, *others) = [config.first_founding.bootstrap_peers() for config in configs]
    assert others == [bytes_of_a, bytes_of_a]


def test_prometheus_asks_the_client_port() -> None:
    scrape = yaml.safe_load((CONFIG / "prometheus.yml").read_text())["scrape_configs"]
    assert scrape[0]["static_configs"] == [{"targets": ["127.0.0.1:2379"]}]
