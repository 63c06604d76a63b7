"""The container file and the compose file: what they set is what members take."""

import json
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


def instructions() -> list[tuple[str, str]]:
    """(word, what follows it) of the last stage: that is the image."""
    lines = re.sub(r"^#.*\n", "", CONTAINERFILE, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    found = [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]
    last = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[last:]


def test_the_image_runs_as_a_user_of_its_own_that_has_its_volume() -> None:
    said = dict(instructions())
    assert f"--home-dir {said['VOLUME']} --create-home {said['USER']}" in said["RUN"]
    words = [word for word, _ in instructions()]
    assert "RUN" not in words[words.index("USER") :]


def test_commands_of_the_image_need_no_shell() -> None:
    """One between the supervisor and the container would take the signals."""
    said = dict(instructions())
    assert json.loads(said["ENTRYPOINT"]) == ["etcdz"]
    check = json.loads(said["HEALTHCHECK"].partition("CMD ")[2])
    assert check[:2] == ["python", "-c"]
    compile(check[2], "HEALTHCHECK", "exec")
    assert "http://127.0.0.1:2379/health" in check[2]


def test_images_that_it_is_made_of_are_named_by_version() -> None:
    assert [name for name in re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE) if ":3." not in name] == []


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
    assert service["read_only"] and service["tmpfs"] == ["/tmp"] and service["cap_drop"] == ["ALL"]
    volume, _, place = service["volumes"][0].partition(":")
    assert volume == name and volume in COMPOSE["volumes"] and config.data_dir.startswith(place)
    outside, _, inside = service["ports"][0].partition(":")
    assert config.listen_client_urls[0].endswith(f":{inside}")
    assert config.advertise_client_urls[0].endswith(f":{outside}")
