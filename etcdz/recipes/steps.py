"""What a recipe yields, what it is sent, and how it ends.

    yield Ask(method, request)     the answer's message, of ANSWERS; raises Refused
    yield Watch(request)           the first response that has events; raises Refused if the watch is cancelled
    yield NEXT                     the next response of that watch. A watch ends with the next Ask, Watch or the recipe
    yield Send(message)            None, as soon as the client's stream has room for more
    return message                 the last message to the client; None: there is none
    raise Refused                  the call's error

At Watch, NEXT, Send and an Ask of a range, a recipe whose client is gone gets Gone instead, once: it may still ask for
what tidies up. What changes keys is always seen to its end.
"""

from collections.abc import Callable, Generator
from typing import Any, Final, NamedTuple, TypeVar

from google.protobuf.message import Message

from etcdz.api.errors import Code, EtcdError
from etcdz.api.methods import DELETE_RANGE, LEASE_GRANT, RANGE, RANGE_CHUNK, TXN
from etcdz.proto import etcdserverpb as pb


class Ask(NamedTuple):
    """A call of the member's own. method: of ANSWERS."""

    method: int
    request: Message


class Watch(NamedTuple):
    """Responses of one watcher."""

    request: pb.WatchCreateRequest


class Next(NamedTuple):
    """More of the watch that is open."""


class Send(NamedTuple):
    """One message of a stream."""

    message: Message


T = TypeVar("T")
NEXT: Final = Next()
Step = Ask | Watch | Next | Send
Asking = Generator[Step, Any, T]
"""A part of a recipe, and what it returns. What a step brings is named with its type where it is yielded."""
Recipe = Asking[Message | None]

ANSWERS: Final[dict[int, type[Message]]] = {
    TXN: pb.TxnResponse,
    RANGE: pb.RangeResponse,
    RANGE_CHUNK: pb.RangeResponse,
    DELETE_RANGE: pb.DeleteRangeResponse,
    LEASE_GRANT: pb.LeaseGrantResponse,
}
READS: Final = (RANGE, RANGE_CHUNK)


class Refused(Exception):
    """A step, or the whole call, was refused."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    @classmethod
    def by(cls, error: EtcdError) -> "Refused":
        return cls(error.code, error.text)

    @classmethod
    def unnamed(cls, text: str) -> "Refused":
        """An error that gRPC has no code for."""
        return cls(Code.UNKNOWN, text)


class Gone(Exception):
    """The client does not wait for the answer any more."""


class Leaving(Gone):
    """The listener is about to end: the client will ask again elsewhere."""


class Served(NamedTuple):
    """One method. start: makes the recipe of a request.

    flat      every error of a step has the code UNKNOWN: what etcd's own client returns within the server is no status
    """

    request: type[Message]
    start: Callable[[Any], Recipe]
    unary: bool
    flat: bool
