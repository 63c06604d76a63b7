"""config/alerts.yml and config/grafana.json: every name in them is served, and a real Prometheus takes them."""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from etcdz.telemetry.families import ROWS
from tests.etcd_process import free_port
from tests.process.test_metrics import KIND
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

CONFIG = Path(__file__).parents[2] / "config"
NAME = re.compile(r"\b(?:etcdz?|grpc_server|process|os)_[a-z_]+\b")
NOT_ALONE = re.compile(r"etcd_network_(peer|snapshot|active|known|disconnected)_?.*|etcdz_tls_.*")
"""Families without a series in a member that is alone, and has no TLS."""
LABELS = {"grpc_method", "grpc_code", "grpc_service", "grpc_type"}


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((CONFIG / "alerts.yml").read_text())["groups"]
    return list(group["rules"])


def dashboard_expressions() -> list[str]:
    dashboard = json.loads((CONFIG / "grafana.json").read_text())
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def names_in(expression: str) -> set[str]:
    return {name for name in NAME.findall(expression) if name not in LABELS}


@pytest.fixture
def needs_prometheus() -> None:
    for program in ("prometheus", "promtool"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def test_names_are_served(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial("--listeners=1")
    trial.put()
    with urllib.request.urlopen(f"{trial.member.client_url}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"] == KIND
        served = set(re.findall(r"^([a-z_]+)[ {]", answer.read().decode(), re.M))
    made = {row.name for row in ROWS} | {f"{row.name}_bucket" for row in ROWS}
    served |= {name for name in made if NOT_ALONE.fullmatch(name)}
    used = [*[rule["expr"] for rule in alerts()], *dashboard_expressions()]
    assert all(names_in(expression) or "up" in expression for expression in used)
    assert {name for expression in used for name in names_in(expression)} - served == set()


@pytest.mark.usefixtures("needs_prometheus")
def test_prometheus_understands_every_expression(tmp_path: Path) -> None:
    subprocess.run(["promtool", "check", "config", str(CONFIG / "prometheus.yml")], check=True, capture_output=True)
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(dashboard_expressions())
    ]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", str(tmp_path / "panels.yml")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("needs_prometheus", "needs_actors")
def test_prometheus_scrapes_a_member_and_an_alert_fires_for_one_that_is_down(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    trial = make_trial("--listeners=1")
    trial.put()
    targets = [trial.member.client_url.removeprefix("http://"), f"127.0.0.1:{free_port()}"]
    with prometheus(tmp_path, targets) as ask:
        up = wait_for(lambda: [one for one in ask("query?query=up")["result"] if one["value"][1] == "1"])
        assert up[0]["metric"]["instance"] == targets[0]
        (leader,) = wait_for(lambda: ask("query?query=etcd_server_has_leader")["result"])
        assert leader["value"][1] == "1"

        def down() -> list[Any]:
            alerts = [one for one in ask("alerts")["alerts"] if one["labels"]["alertname"] == "EtcdMemberDown"]
            return [one for one in alerts if one["state"] == "firing" and one["labels"]["instance"] == targets[1]]

        (fired,) = wait_for(down)
    assert fired["labels"]["severity"] == "critical"
    assert fired["annotations"]["summary"] == f"{targets[1]} does not answer"


@contextmanager
def prometheus(directory: Path, targets: list[str]) -> Iterator[Callable[[str], Any]]:
    """Runs with the alerts of config/, without their times of waiting. Yields what asks its API."""
    rules = [{**rule, "for": "0s"} for rule in alerts()]
    (directory / "alerts.yml").write_text(yaml.safe_dump({"groups": [{"name": "etcdz", "rules": rules}]}))
    config = yaml.safe_load((CONFIG / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "4s", "scrape_timeout": "4s", "evaluation_interval": "1s"}
    config["scrape_configs"][0]["static_configs"] = [{"targets": targets}]
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    flags = [f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", *flags, f"--web.listen-address={address}"], stdout=log, stderr=log, cwd=directory
        )

    def ask(what: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://{address}/api/v1/{what}", timeout=10) as answer:
                return json.load(answer)["data"]
        except OSError:  # it does not listen yet
            assert process.poll() is None, (directory / "log").read_text()
            return {"result": [], "alerts": []}

    try:
        yield ask
    finally:
        process.kill()
        process.wait(30)


def wait_for(look: Callable[[], Any]) -> Any:
    """What look() gives as soon as it gives something. NB: a scrape and an evaluation later at the least."""
    until = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.1)
    return found
