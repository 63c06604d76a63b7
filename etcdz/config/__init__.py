"""Configuration with etcd's names, defaults and precedence.

What a member is told is MemberConfig, which every actor imports. How it comes about, in reading.py, only the command
line needs: read() gives a MemberConfig or an ExitRequest, and the log lines that go with it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etcdz.config.member import MemberConfig

__all__ = ["MemberConfig"]


def __getattr__(name: str) -> Any:
    """Loaded when it is asked for: the command lines need the literals alone, and are to start at once."""
    if name != "MemberConfig":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from etcdz.config.member import MemberConfig

    return MemberConfig
