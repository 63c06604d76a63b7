"""A file that all listeners look at is warned of once."""

import pytest

from actors.listener.spokesman import Spokesman


class Lines(list[str]):
    def info(self, msg: str, /, **fields: object) -> None:
        self.append(msg)

    warn = info


@pytest.mark.parametrize(
    ("name", "others", "speaks"),
    [
        ("listener-1", [], True),
        ("listener-1", ["listener-2"], True),
        ("listener-2", [], False),
        ("listener-2", ["listener-1", "listener-3"], False),
        ("listener-2", ["listener-10", "listener-2"], True),
        ("listener-10", ["listener-9"], False),
    ],
)
def test_the_first_of_them_speaks(name: str, others: list[str], speaks: bool) -> None:
    lines = Lines()
    log = Spokesman(lines, name, lambda: others)
    log.warn("certificate expires soon")
    log.info("loaded")
    assert len(lines) == 2 * speaks
