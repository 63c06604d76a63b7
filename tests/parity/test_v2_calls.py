"""Random calls to the v2 API of a member and of a real etcd, one after the other: every answer is the same.

Without TTLs that end meanwhile: both look at the clock when they like. tests/parity/test_v2_store.py has those.
"""

import random
import re
from pathlib import Path

import pytest

from tests.etcd_process import Etcdz, RealEtcd
from tests.parity.pipelined import PipelinedClient, encode
from tests.v2.random_calls import Call, random_call
from tests.v2.recorded import masked

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
CALLS, CALLS_LONG = 5_000, 50_000
AT_A_TIME = 25
"""Calls that are sent to both before the answers are read."""
_SHORT_TTL = re.compile(r"ttl=(1|\d{6,})(&|$)")


def draw(rng: random.Random, index: int) -> list[Call]:
    """Calls without a TTL that could end meanwhile."""
    calls = [random_call(rng, index) for _ in range(AT_A_TIME)]
    kept = [call for call in calls if not _SHORT_TTL.search(call.body)]
    return [call._replace(body=call.body.replace("ttl=100", "ttl=100000")) for call in kept]


def encoded(call: Call) -> bytes:
    return encode(call.method, call.path + (f"?{call.query}" if call.query else ""), call.body.encode())


def told(client: PipelinedClient, call: Call) -> tuple[int, str, str]:
    """(status, X-Etcd-Index, body)"""
    answer = client.receive(call.method == "HEAD")
    return answer.status, answer.header("X-Etcd-Index"), masked(answer.body.decode())


def test_random_calls_are_answered_alike(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng, index, done = random.Random(seed), 3, 0
    with (
        RealEtcd(tmp_path / "theirs", "--enable-v2", "--unsafe-no-fsync") as etcd,
        Etcdz(tmp_path / "ours", "--enable-v2", "--unsafe-no-fsync") as ours,
    ):
        clients = PipelinedClient(ours.client_url), PipelinedClient(etcd.client_url)
        while done < (CALLS_LONG if request.config.getoption("--long", default=False) else CALLS):
            calls = draw(rng, index)
            together = b"".join(map(encoded, calls))
            for client in clients:
                client.send(together)
            for call in calls:
                answers = told(clients[0], call), told(clients[1], call)
                assert answers[0] == answers[1], call
                index = int(answers[1][1]) or index
            done += len(calls)
        for client in clients:
            client.close()
