"""Configuration with etcd's names, defaults and precedence.

What a member is told is MemberConfig, which every actor imports. How it comes about, in reading.py, only the command
line needs: read() gives a MemberConfig or an ExitRequest, and the log lines that go with it.
"""

from etcdz.config.member import MemberConfig

__all__ = ["MemberConfig"]
