"""The dashboard of a real member in a real browser, on the address for metrics alone."""

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.etcd_process import free_port
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.timeout(120), pytest.mark.usefixtures("needs_actors")]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def look(address: str) -> Any:
    with urllib.request.urlopen(f"{address}/dashboard/state", timeout=30) as answer:
        return json.load(answer)


def test_the_page_shows_what_was_restarted(make_trial: Callable[..., Trial], tmp_path: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    metrics = f"http://127.0.0.1:{free_port()}"
    trial = make_trial("--enable-dashboard", "--listeners=1", f"--listen-metrics-urls={metrics}")
    actors = trial.actors()
    os.kill(actors["lessor"]["pid"], signal.SIGKILL)
    trial.wait_restarted(actors, "lessor")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{trial.member.client_url}/dashboard", timeout=30)
    state = look(metrics)
    while state["member"]["role"] != "leader":  # as of raft's last heartbeat, which may be of before the election
        state = look(metrics)
    told = [trouble["text"] for trouble in state["troubles"] if trouble["about"] == "lessor"]
    assert any(text.startswith("was started again") and "signal 9" in text for text in told)
    if browser is None:
        pytest.skip("chromium is not installed")
    command = [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser"]
    command += ["--virtual-time-budget=3000", "--dump-dom", f"{metrics}/dashboard"]
    page = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout
    assert "Works, but look here" in page and f"<title>(!) {state['member']['name']}" in page
    assert '<b class="warn">lessor</b> was started again' in page
    assert all(f"</span>{name}</th>" in page for name in actors if "slot" in actors[name])
