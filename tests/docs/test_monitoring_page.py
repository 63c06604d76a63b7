"""docs/operating/monitoring.md says what to do about each alert there is."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


def test_every_alert_is_on_the_page() -> None:
    groups = yaml.safe_load((ROOT / "config" / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    page = (ROOT / "docs" / "operating" / "monitoring.md").read_text()
    assert set(re.findall(r"`(Etcdz?[A-Z]\w+)`", page)) == alerts
