"""The container file and the compose file: what they set is what members take."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from etcdz.config.bootstrap import cluster_error
from etcdz.config.member import MemberConfig
from etcdz.config.reading import parse

ROOT = Path(__file__).parents[2]
CONTAINERFILE = (ROOT / "config/Containerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "config/compose.yml").read_text())


def variables_of_the_image() -> dict[str, str]:
    return dict(re.findall(r"(ETCD_[A-Z_]+)=(\S+)", CONTAINERFILE))


def config_of(service: dict[str, Any]) -> MemberConfig:
    outcome = parse([], {**variables_of_the_image(), **service["environment"]})
    assert isinstance(outcome, MemberConfig), outcome
    return outcome


def test_the_image_alone_is_a_member() -> None:
    outcome = parse([], variables_of_the_image())
    assert isinstance(outcome, MemberConfig)
    assert outcome.data_dir.startswith(re.findall(r"VOLUME (\S+)", CONTAINERFILE)[0])


def test_what_the_image_runs_is_installed_by_the_package() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert re.findall(r'ENTRYPOINT \["(\S+)"\]', CONTAINERFILE)[0] in scripts


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_member_of_the_compose_file_founds_the_same_cluster(name: str) -> None:
    """Its data are on a volume of its own."""
    service = COMPOSE["services"][name]
    config = config_of(service)
    assert cluster_error(config, lambda url: url) is None
    assert all(config_of(each).initial_cluster == config.initial_cluster for each in COMPOSE["services"].values())
    assert config.name == name
    volume, _, place = service["volumes"][0].partition(":")
    assert volume == name and volume in COMPOSE["volumes"] and config.data_dir.startswith(place)
    outside, _, inside = service["ports"][0].partition(":")
    assert config.listen_client_urls[0].endswith(f":{inside}")
    assert config.advertise_client_urls[0].endswith(f":{outside}")
