"""One member of each kind for all tests of a file that need one, and clients of both shells."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

import etcdz
from etcdz.client import aio
from tests.etcd_process import Etcdz, Member, RealEtcd


@pytest.fixture(scope="module", params=[Etcdz, RealEtcd], ids=["etcdz", "etcd"])
def member(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Member]:
    kind = request.param
    if kind.why_absent():
        pytest.skip(str(kind.why_absent()))
    with kind(tmp_path_factory.mktemp(kind.kind)) as started:
        yield started


@pytest.fixture
def db(member: Member) -> Iterator[Any]:
    """A client, of a store that is empty."""
    with etcdz.connect(member.target) as client:
        client.delete(prefix="")
        yield client


@pytest.fixture
def run(member: Member, db: Any) -> Any:
    """run(f): f(client for asyncio) in an event loop of its own; no task is left behind."""

    def run(work: Any) -> None:
        async def main() -> None:
            async with aio.connect(member.target) as client:
                await asyncio.wait_for(work(client), 120)
            assert len(asyncio.all_tasks()) == 1

        asyncio.run(main())

    return run
