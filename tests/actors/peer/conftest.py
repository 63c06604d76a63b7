from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from etcdz.tls.settings import TlsSettings
from tests.actors.peer.world import NOT_SECURE, World


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    worlds: list[World] = []

    def make(names: str = "abc", tls: Mapping[str, TlsSettings] = NOT_SECURE) -> World:
        worlds.append(World(tmp_path, monkeypatch, names, tls))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()
