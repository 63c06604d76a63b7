"""Which cluster version a leader sets, and when it leaves it as it is."""

import pytest

from etcdz.cluster.versions import is_beyond, lowest, next_version


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        (["3.5.1"], "3.5.0"),
        (["3.5.1", "3.4.23", "3.10.0"], "3.4.0"),
        (["3.10.2", "3.9.1-rc.1"], "3.9.0"),
        (["3.5.1", "3.5"], None),
        (["3.5.1", ""], None),
        ([], None),
    ],
)
def test_the_lowest_counts_and_one_that_says_nothing_leaves_it_open(versions: list[str], found: str | None) -> None:
    assert lowest(versions) == found


@pytest.mark.parametrize(
    ("current", "common", "then"),
    [
        ("", "3.5.0", "3.5.0"),
        ("", None, "3.0.0"),
        ("3.4.0", "3.5.0", "3.5.0"),
        ("3.0.0", "3.5.0", "3.5.0"),
        ("3.5.0", "3.5.0", None),
        ("3.5.0", "3.4.0", "3.4.0"),
        ("3.5.0", "3.3.0", None),
        ("3.5.0", None, None),
        ("3.5.0", "4.0.0", None),
        ("2.3.0", "3.5.0", None),
    ],
)
def test_it_rises_as_far_as_all_go_and_falls_by_one_minor_at_a_time(
    current: str, common: str | None, then: str | None
) -> None:
    assert next_version(current, common) == then


def test_a_server_is_too_old_for_a_cluster_of_a_newer_minor_alone() -> None:
    assert is_beyond("3.6.0", "3.5.1")
    assert not is_beyond("3.5.0", "3.5.1") and not is_beyond("3.4.0", "3.5.1") and not is_beyond("", "3.5.1")
