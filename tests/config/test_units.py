"""The systemd units: what they set, and that systemd understands it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).resolve().parents[2] / "config"
ONE, SEVERAL = CONFIG / "etcdz.service", CONFIG / "etcdz@.service"
UNITS = (ONE, SEVERAL)
_SETTING = re.compile(r"([A-Z]\w+)=(.*)")


def settings(unit: Path) -> list[tuple[str, str]]:
    lines = [line for line in unit.read_text().splitlines() if line and line[0] not in "#["]
    found = [_SETTING.fullmatch(line) for line in lines]
    assert None not in found, lines[found.index(None)]
    return [(match[1], match[2]) for match in found if match]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_nothing_is_set_twice(unit: Path) -> None:
    names = [name for name, _ in settings(unit)]
    assert sorted(names) == sorted(set(names))


def test_a_unit_starts_what_is_installed_and_says_when_it_serves() -> None:
    unit = dict(settings(ONE))
    assert unit["ExecStart"] == "/usr/local/bin/etcdz --config-file /etc/etcdz/etcdz.yml"
    assert unit["Environment"] == f"XDG_RUNTIME_DIR=/run/{unit['RuntimeDirectory']}"
    assert unit["WorkingDirectory"] == f"/var/lib/{unit['StateDirectory']}"
    assert (unit["Type"], unit["User"]) == ("notify", "etcdz")


def test_what_restarts_its_own_processes_is_not_stopped_for_one_of_them() -> None:
    unit = dict(settings(ONE))
    assert (unit["OOMPolicy"], unit["KillMode"]) == ("continue", "mixed")


def test_members_on_one_host_share_the_rules_and_no_directory() -> None:
    one, several = dict(settings(ONE)), dict(settings(SEVERAL))
    assert list(one) == list(several)
    other = {name for name in one if one[name] != several[name]}
    assert {name for name in several if "%i" in several[name]} == other
    places = {"Environment", "ExecStart", "RuntimeDirectory", "StateDirectory", "WorkingDirectory"}
    assert other == places | {"Description"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line(unit: Path, tmp_path: Path) -> None:
    """NB: it wants the program to exist, and says of lines that it does not know only that it ignores them."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/usr/local/bin/etcdz", sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, timeout=120, check=False
    )
    assert [line for line in done.stderr.splitlines() if unit.name in line] == []
    assert done.returncode == 0, done.stderr
