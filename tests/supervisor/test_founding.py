"""What is decided before the first start stays decided, and is decided anew as long as there is no log."""

from pathlib import Path

import pytest

from etcdz.config import MemberConfig
from supervisor.runtime.founding import FoundingError, settle

THREE = "a=http://127.0.0.1:1,b=http://127.0.0.1:2,c=http://127.0.0.1:3"


def config(directory: Path, cluster: str = THREE) -> MemberConfig:
    return MemberConfig(name="a", data_dir=str(directory), initial_cluster_text=cluster)


def begin_log(directory: Path) -> None:
    (directory / "member" / "wal").mkdir()
    (directory / "member" / "wal" / f"{0:016x}-{0:016x}.wal").touch()


def test_with_a_log_the_flags_say_nothing_any_more(tmp_path: Path) -> None:
    first = settle(config(tmp_path))
    assert first is not None and len(first.members) == 3
    begin_log(tmp_path)
    assert settle(config(tmp_path, "")) == first


def test_without_a_log_it_is_decided_anew(tmp_path: Path) -> None:
    settle(config(tmp_path))
    again = settle(config(tmp_path, "a=http://127.0.0.1:1"))
    assert again is not None and len(again.members) == 1


def test_a_log_of_a_member_that_kept_no_decision_is_enough(tmp_path: Path) -> None:
    (tmp_path / "member").mkdir()
    begin_log(tmp_path)
    assert settle(config(tmp_path)) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"members": [[1]]}', '{"members": 1}', "\xff"])
def test_a_damaged_decision_is_no_decision(tmp_path: Path, text: str) -> None:
    settle(config(tmp_path))
    begin_log(tmp_path)
    (tmp_path / "member" / "founding.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(FoundingError, match=r"founding.json is damaged. If this member has been part"):
        settle(config(tmp_path))
