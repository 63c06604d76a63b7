"""Configuration with etcd's names, defaults and precedence."""

from etcdz.config.member import MemberConfig

__all__ = ["MemberConfig"]
