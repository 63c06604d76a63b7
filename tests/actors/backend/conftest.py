import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from actors.backend import reads
from tests.actors.backend.started import Started


@pytest.fixture
def start() -> Iterator[Callable[..., Started]]:
    """Starts backends one after another over the same directory, each in place of the one before."""
    alive: list[Started] = []
    incarnations = count(7)
    with tempfile.TemporaryDirectory(prefix="etcdz-") as folder:

        def begin(**config: Any) -> Started:
            if alive:
                alive.pop().close()
            alive.append(Started(Path(folder), next(incarnations), **config))
            return alive[-1]

        try:
            yield begin
        finally:
            if alive:
                alive.pop().close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No read is handed back as a long one for its time, whatever else the machine does meanwhile."""
    monkeypatch.setattr(reads, "SHORT_S", 60.0)
    monkeypatch.setattr(reads, "SHORT_READS_S", 60.0)
