"""What a data directory is of goes before the flags."""

from dataclasses import replace
from pathlib import Path

import pytest

from etcdz.bootstrap import data_kind
from etcdz.bootstrap.errors import BootstrapError
from etcdz.config import MemberConfig


@pytest.mark.parametrize(
    ("there", "asked", "decided"),
    [
        ("", "off", "off"),
        ("", "readonly", "readonly"),
        ("member", "on", "off"),
        ("proxy", "off", "on"),
        ("proxy", "readonly", "readonly"),
    ],
)
def test_a_directory_stays_what_it_is(tmp_path: Path, there: str, asked: str, decided: str) -> None:
    (tmp_path / there).mkdir(exist_ok=True)
    assert data_kind.decide(replace(MemberConfig(), data_dir=str(tmp_path), proxy=asked)).proxy == decided


def test_a_directory_of_both_is_refused(tmp_path: Path) -> None:
    for name in ("member", "proxy"):
        (tmp_path / name).mkdir()
    with pytest.raises(BootstrapError, match="both member and proxy directories exist"):
        data_kind.decide(replace(MemberConfig(), data_dir=str(tmp_path)))
