"""etcdz: etcd as a tree of small, separately restartable processes."""

__version__ = "0.1.0"
ETCD_VERSION = "3.5.33"
"""What the member answers when asked for its etcd version: the API level that it speaks."""
CLUSTER_VERSION = "3.5.0"
