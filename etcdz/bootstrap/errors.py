"""Why a member cannot begin."""


class BootstrapError(Exception):
    """It cannot found its cluster, or join one; the text is etcd's where it has one."""
