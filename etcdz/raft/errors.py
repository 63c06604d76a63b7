"""What the Raft core raises. Texts are etcd-io/raft's own: conversations and clients show them."""

from typing import NoReturn, Protocol


class Logger(Protocol):
    """Where the core tells what it does; `logging.Logger` is one. The text is complete: no % arguments."""

    def debug(self, text: str, /) -> object: ...
    def info(self, text: str, /) -> object: ...
    def warning(self, text: str, /) -> object: ...
    def error(self, text: str, /) -> object: ...
    def fatal(self, text: str, /) -> object: ...


class SilentLogger:
    """The logger of a node that was given none."""

    def debug(self, text: str, /) -> None: ...
    def info(self, text: str, /) -> None: ...
    def warning(self, text: str, /) -> None: ...
    def error(self, text: str, /) -> None: ...
    def fatal(self, text: str, /) -> None: ...


class RaftError(Exception):
    """An expected refusal: state is unchanged and the caller may go on."""

    text = ""

    def __init__(self, text: str = "") -> None:
        super().__init__(text or self.text)


class ProposalDropped(RaftError):
    """No leader, a transfer under way, removed from the configuration, or too much uncommitted."""

    text = "raft proposal dropped"


class StepLocalMessage(RaftError):
    """A message that only this member itself may produce came from outside."""

    text = "raft: cannot step raft local message"


class StepPeerNotFound(RaftError):
    """A response from a member that is not in the configuration."""

    text = "raft: cannot step as peer not found"


class ConfigError(RaftError):
    """A Config that no node can run with."""


class ConfChangeError(RaftError):
    """A configuration change that does not fit the active configuration."""


class StorageError(RaftError):
    """Base of what a Storage may raise; anything else it raises is a broken disk and passes through."""


class Compacted(StorageError):
    text = "requested index is unavailable due to compaction"


class Unavailable(StorageError):
    text = "requested entry at index is unavailable"


class SnapshotOutOfDate(StorageError):
    text = "requested index is older than the existing snapshot"


class SnapshotTemporarilyUnavailable(StorageError):
    text = "snapshot is temporarily unavailable"


class InvariantBroken(RuntimeError):
    """The log or the protocol is not what it must be: the process has to die, going on could lose data."""


def broken(logger: Logger, text: str) -> NoReturn:
    logger.fatal(text)
    raise InvariantBroken(text)
