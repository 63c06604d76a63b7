"""etcdz: etcd as a tree of small, separately restartable processes."""

TYPE_CHECKING = False  # NB: typing would be most of what this takes to load
if TYPE_CHECKING:
    from etcdz.client import connect as connect

__version__ = "0.1.0"
ETCD_VERSION = "3.5.33"
"""What the member answers when asked for its etcd version: the API level that it speaks."""
CLUSTER_VERSION = "3.5.0"


def __getattr__(name: str) -> object:
    """`etcdz.connect` and `etcdz.client`: loaded when they are first asked for."""
    if name == "connect":
        from etcdz.client import connect

        return connect
    if name == "client":
        from importlib import import_module

        return import_module("etcdz.client")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
