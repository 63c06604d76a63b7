from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.actors.peer.world import World


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], World]]:
    worlds: list[World] = []

    def make(names: str = "abc") -> World:
        worlds.append(World(tmp_path, monkeypatch, names))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()
