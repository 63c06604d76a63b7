"""Random calls to the v2 API of a member and of a real etcd, one after the other: every answer is the same.

Without TTLs that end meanwhile: both look at the clock when they like. tests/parity/test_v2_store.py has those.
"""

import http.client
import random
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.etcd_process import Etcdz, Member, RealEtcd
from tests.v2.random_calls import Call, random_call
from tests.v2.recorded import FORM, masked

pytestmark = [
    pytest.mark.parity,
    pytest.mark.process,
    pytest.mark.skipif(RealEtcd.why_absent() is not None, reason=RealEtcd.why_absent() or ""),
]
CALLS, CALLS_LONG = 250, 5000
_SHORT_TTL = re.compile(r"ttl=(1|\d{6,})(&|$)")


class Client:
    def __init__(self, member: Member) -> None:
        self.connection = http.client.HTTPConnection(urlsplit(member.client_url).netloc, timeout=20)

    def ask(self, call: Call) -> tuple[int, str, str]:
        """(status, X-Etcd-Index, body)"""
        target = call.path + (f"?{call.query}" if call.query else "")
        self.connection.request(call.method, target, call.body.encode() or None, FORM)
        answer = self.connection.getresponse()
        return answer.status, answer.headers.get("X-Etcd-Index", ""), masked(answer.read().decode())


def test_random_calls_are_answered_alike(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng, index = random.Random(seed), 3
    with (
        RealEtcd(tmp_path / "theirs", "--enable-v2", "--unsafe-no-fsync") as etcd,
        Etcdz(tmp_path / "ours", "--enable-v2", "--unsafe-no-fsync") as ours,
    ):
        clients = Client(ours), Client(etcd)
        for _ in range(CALLS_LONG if request.config.getoption("--long", default=False) else CALLS):
            call = random_call(rng, index)
            if _SHORT_TTL.search(call.body):
                continue
            call = call._replace(body=call.body.replace("ttl=100", "ttl=100000"))
            told = [client.ask(call) for client in clients]
            assert told[0] == told[1], call
            index = int(told[1][1]) or index
