"""compare.py says what it measured, and notices calls that failed."""

import json
from pathlib import Path

import pytest

from tests.bench import compare, h2load
from tests.etcd_process import RealEtcd

needs_etcd = pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=str(RealEtcd.why_absent()))
needs_h2load = pytest.mark.skipif(h2load.find_h2load() is None, reason="h2load is not installed (nghttp2-client)")


def test_latency_is_by_nearest_rank_and_throughput_from_first_start_to_last_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{1_000_000 + at * 1_000}\t200\t{1_000 * (at + 1)}\n" for at in range(100)))
    measured = h2load.read_log(log, 100)
    assert (measured.p50_ms, measured.p99_ms) == (50, 99)
    assert measured.seconds == pytest.approx(0.199)
    assert measured.per_second == pytest.approx(100 / 0.199)
    assert measured.errors == 0


def test_streams_that_failed_or_never_ended_are_errors(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1000\t200\t10\n1001\t-1\t5\n1002\t503\t5\n")
    assert h2load.read_log(log, 4).errors == 3


@pytest.mark.process
@needs_etcd
@needs_h2load
def test_a_call_that_grpc_refuses_is_an_error_although_its_http_status_is_200(tmp_path: Path) -> None:
    program = h2load.find_h2load()
    assert program is not None
    with RealEtcd(tmp_path) as member:
        load = h2load.Load(connections=1, streams=2, requests=20)
        empty_key = h2load.run(
            program, member.client_url, compare.KINDS["get"].path, b"", load, tmp_path, answer_bytes=30
        )
    assert empty_key.errors == 20


@pytest.mark.process
@needs_etcd
@needs_h2load
def test_etcd_against_itself_gives_every_asked_row_without_errors(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--subject=etcd", "--rows=put 1x1,txn-put", "--rounds=1", "--requests=40", "--others-max=100", "--json"]
    assert compare.main([*words, "--flag=--election-timeout=100", "--flag=--heartbeat-interval=10"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in said["rows"]] == ["txn-put 10x100", "put 1x1"]
    assert [row["etcd"]["requests"] for row in said["rows"]] == [1000, 40]
    assert all(row[side]["errors"] == 0 for row in said["rows"] for side in ("etcd", "subject"))
    assert all(row["requests_per_second_ratio"] > 0 for row in said["rows"])


@pytest.mark.process
@needs_etcd
@needs_h2load
def test_clusters_are_compared_at_a_follower_as_well(
    capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("only with --long")
    words = ["--subject=etcd", "--rows=put 1x1", "--rounds=1", "--requests=40", "--others-max=100", "--json"]
    assert compare.main([*words, "--members=3", "--at=follower", "--flag=--election-timeout=500"]) == 0
    said = json.loads(capsys.readouterr().out)
    (row,) = said["rows"]
    assert all(row[side]["errors"] == 0 for side in ("etcd", "subject"))
    assert (said["members"], said["at"]) == (3, "follower")
