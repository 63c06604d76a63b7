"""Why a member cannot begin."""


class BootstrapError(Exception):
    """It cannot found its cluster, or join one; the text is etcd's where it has one."""


class DiscoveryError(BootstrapError):
    """A discovery service has no place for it, or is none."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"failed to join discovery cluster ({reason})")
        self.reason = reason
