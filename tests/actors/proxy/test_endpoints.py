"""Which members a proxy asks."""

from typing import Any

from actors.proxy.endpoints import Endpoint, Endpoints


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str, **fields: Any) -> None:
        self.lines.append(text)


def test_one_that_has_failed_is_left_alone_for_a_while_and_known_anew_after_a_look() -> None:
    log = Log()
    endpoints = Endpoints(5.0, log, shuffle=list.reverse)
    assert endpoints.available(0) == []
    endpoints.learn(["http://a:1", "http://b:1"])
    assert urls(endpoints.available(0)) == ["http://b:1", "http://a:1"]
    failed = endpoints.available(0)[0]
    endpoints.on_failure(failed, 1.0)
    endpoints.on_failure(failed, 2.0)  # asked by somebody else at the same time: it does not wait longer for that
    assert urls(endpoints.available(5.9)) == ["http://a:1"]
    assert urls(endpoints.available(6.0)) == ["http://b:1", "http://a:1"]
    endpoints.on_failure(failed, 7.0)
    endpoints.learn(["http://b:1"])
    assert urls(endpoints.available(7.0)) == ["http://b:1"]
    assert log.lines == ["endpoints found", "marked endpoint unavailable", "marked endpoint unavailable"]


def urls(found: list[Endpoint]) -> list[str]:
    return [endpoint.url for endpoint in found]
