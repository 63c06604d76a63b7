"""Configuration with etcd's names, defaults and precedence.

parse() gives a MemberConfig or an ExitRequest; read() also the log lines that go with it.
"""

from etcdz.config.member import MemberConfig
from etcdz.config.notes import Note
from etcdz.config.reading import ExitRequest, Host, Reading, parse, read

__all__ = ["ExitRequest", "Host", "MemberConfig", "Note", "Reading", "parse", "read"]
