"""Small writes that are answered with much: what a member answers is not data."""

import os
import random
import signal
from collections.abc import Callable

import pytest

from etcdz.proto import etcdserverpb as pb
from tests.process.load import open_channel, unary
from tests.process.trial import Trial

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("needs_actors"), pytest.mark.timeout(120)]

KEYS, KEY_BYTES, QUOTA = 3, 700_000, 8_000_000
WRITES = 2 * QUOTA // (KEYS * KEY_BYTES) + 8
"""Answered with more than twice what the quota allows."""


def test_answers_do_not_fill_the_quota_and_cost_a_new_backend_nothing(make_trial: Callable[..., Trial]) -> None:
    trial = make_trial(f"--quota-backend-bytes={QUOTA}")
    for number in range(KEYS):
        trial.put(b"big/%d" % number, random.Random(number).randbytes(KEY_BYTES))
    ops = [
        pb.RequestOp(request_put=pb.PutRequest(key=b"little", value=b"1")),
        pb.RequestOp(request_range=pb.RangeRequest(key=b"big/", range_end=b"big0")),
    ]
    with open_channel(trial.member.target) as channel:
        write = unary(channel, "KV/Txn", pb.TxnResponse)
        for number in range(WRITES):
            if number == WRITES // 2:
                os.kill(int(trial.actors()["backend"]["pid"]), signal.SIGKILL)
            answer = write(pb.TxnRequest(success=ops), timeout=60, wait_for_ready=True)
            assert len(answer.responses[1].response_range.kvs) == KEYS
        status = unary(channel, "Maintenance/Status", pb.StatusResponse)(pb.StatusRequest(), timeout=60)
    assert list(status.errors) == []
    assert status.dbSize < QUOTA // 2
