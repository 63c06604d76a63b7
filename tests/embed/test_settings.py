"""Keyword arguments as a member's flags."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from etcdz.embed import settings


@pytest.mark.parametrize(
    ("name", "value", "flag"),
    [
        ("snapshot_count", 5_000, "--snapshot-count=5000"),
        ("pre_vote", False, "--pre-vote=false"),
        ("data_dir", Path("/a/b"), "--data-dir=/a/b"),
        ("grpc_keepalive_min_time", timedelta(milliseconds=1500), "--grpc-keepalive-min-time=1.500000000s"),
        ("listen_client_urls", ["http://a:1", "http://b:2"], "--listen-client-urls=http://a:1,http://b:2"),
        ("initial_cluster", {"a": "http://a:1", "b": "http://b:2"}, "--initial-cluster=a=http://a:1,b=http://b:2"),
    ],
)
def test_values_of_python_become_text(name: str, value: Any, flag: str) -> None:
    assert settings.flags_of({name: value}) == [flag]


def test_none_is_not_given() -> None:
    assert settings.flags_of({"wal_dir": None}) == []


def test_a_misspelt_setting_is_told_with_what_was_meant() -> None:
    with pytest.raises(TypeError, match=r"no setting 'snapshot_cuont'; did you mean snapshot_count\?"):
        settings.flags_of({"snapshot_cuont": 1})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"election_timeout": 5}, r"--election-timeout\[5ms\] should be at least as 5 times"),
        ({"snapshot_count": "many"}, 'invalid value "many" for flag -snapshot-count'),
        ({"listen_client_urls": "nonsense"}, "URL scheme must be"),
    ],
)
def test_what_a_member_would_refuse_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        settings.check(settings.flags_of(given))


def test_the_environment_of_the_host_is_none_of_the_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETCD_SNAPSHOT_COUNT", "many")
    settings.check(settings.flags_of({"name": "a"}))
