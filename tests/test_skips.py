"""What CI accepts as a skip, and that it accepts no other."""

import pytest

from tests.skips import why_allowed


@pytest.mark.parametrize(
    "reason", ["no etcd here", "could not import 'h2.config': No module named 'h2'", "got empty parameter set", ""]
)
def test_what_the_repository_or_pip_brings_must_not_be_missing(reason: str) -> None:
    assert why_allowed(reason) is None


@pytest.mark.parametrize(
    "reason",
    ["h2load is not installed (nghttp2-client)", "no etcdctl 3.4 here", "only root can mount file systems"],
)
def test_what_only_the_machine_can_bring_may_be_missing(reason: str) -> None:
    assert why_allowed(reason)


def test_the_etcdctl_that_pip_brings_is_not_among_the_exceptions() -> None:
    assert why_allowed("no etcdctl 3.5 here") is None
