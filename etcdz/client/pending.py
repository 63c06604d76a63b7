"""What is awaited: a `Pending` is done once, by the core; a `Step` is what an operation waits for, whatever the shell.

Operations of more than one call are coroutines that await steps and nothing else. A shell runs one by taking each step
out of it (`send`), beginning it in its core, and waiting for the Pending in its own way: a lock, or a future.
"""

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from google.protobuf.message import DecodeError

from etcdz.client.errors import Canceled, undecodable
from etcdz.client.methods import Method

R = TypeVar("R")
T = TypeVar("T")


class Pending(Generic[R]):
    """done: value or error is there. tell: called once when that comes true; one waits at a time."""

    __slots__ = ("done", "error", "tell", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: R | None = None
        self.error: BaseException | None = None
        self.tell: Callable[[], object] | None = None

    def finish(self, value: R) -> None:
        if not self.done:
            self.value = value
            self._end()

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self.error = error
            self._end()

    def _end(self) -> None:
        self.done = True
        if self.tell is not None:
            self.tell()


class Step(Generic[R]):
    """What an operation awaits: `await step` gives what it comes to."""

    __slots__ = ()

    def begin(self, core: Any) -> Pending[Any]:
        raise NotImplementedError

    def give_up(self, core: Any, pending: Pending[Any]) -> None:
        """Nobody waits for it any more."""

    def result(self, value: Any) -> R:
        """Of the value that the Pending has: made by who waits, not by who reads the connection."""
        raise NotImplementedError

    def __await__(self) -> Generator["Step[R]", Any, R]:
        result: R = yield self
        return result


def done_with(value: R) -> Pending[R]:
    """What is there already."""
    pending: Pending[R] = Pending()
    pending.finish(value)
    return pending


class Call(Pending[bytes]):
    """A unary call on its way.

    deadline    on the core's clock; None: none
    tries       times that it was sent, or could not be
    generation  of the token that it was last sent with
    line        that it was last sent on, and its stream there
    metadata    its own, beside the client's
    """

    __slots__ = (
        "body", "deadline", "generation", "line", "metadata", "method", "renewals", "since", "stream_id", "tries",
    )  # fmt: skip

    def __init__(
        self, method: Method, body: bytes, deadline: float | None, metadata: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        self.done = False
        self.value = None
        self.error = None
        self.tell = None
        self.method = method
        self.body = body
        self.deadline = deadline
        self.metadata = metadata
        self.tries = 0
        self.renewals = 0
        self.generation = 0
        self.since = 0.0
        self.line: Any = None
        self.stream_id = 0


class Request(Step[R]):
    """A unary call to be made. timeout_s: None, the client's; 0: none"""

    __slots__ = ("body", "decode", "method", "timeout_s")

    def __init__(
        self, method: Method, body: bytes, decode: Callable[[bytes], R], timeout_s: float | None = None
    ) -> None:
        self.method = method
        self.body = body
        self.decode = decode
        self.timeout_s = timeout_s

    def begin(self, core: Any) -> Call:
        call: Call = core.call(self.method, self.body, self.timeout_s)
        return call

    def give_up(self, core: Any, pending: Pending[Any]) -> None:
        if isinstance(pending, Call):
            core.cancel(pending)

    def result(self, value: bytes) -> R:
        """raises EtcdError: what was answered is no message"""
        try:
            return self.decode(value)
        except DecodeError as problem:
            raise undecodable(problem, not self.method.repeatable) from None


class Sleep(Step[None]):
    """Nothing, for so many seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def begin(self, core: Any) -> Pending[None]:
        pending: Pending[None] = Pending()
        core.after(self.seconds, lambda: pending.finish(None))
        return pending

    def result(self, value: Any) -> None:
        return None


class Now(Step[float]):
    """The core's clock."""

    __slots__ = ()

    def begin(self, core: Any) -> Pending[float]:
        pending: Pending[float] = Pending()
        pending.finish(core.now())
        return pending

    def result(self, value: float) -> float:
        return value


class Ask(Step[T]):
    """Something of the core: `ask` gets it and says what is awaited. timeout_s: at most that long, then TimeoutError.
    put_back: takes what came for somebody who does not wait any more"""

    __slots__ = ("ask", "put_back", "timeout_s")

    def __init__(
        self,
        ask: Callable[[Any], Pending[T]],
        timeout_s: float | None = None,
        put_back: Callable[[T], object] | None = None,
    ) -> None:
        self.ask = ask
        self.timeout_s = timeout_s
        self.put_back = put_back

    def begin(self, core: Any) -> Pending[T]:
        pending = self.ask(core)
        if self.timeout_s is not None and not pending.done:
            core.after(self.timeout_s, lambda: pending.fail(TimeoutError()))
        return pending

    def give_up(self, core: Any, pending: Pending[Any]) -> None:
        if not pending.done:
            pending.fail(Canceled())
        elif self.put_back is not None and pending.error is None:
            came: Any = pending.value
            self.put_back(came)

    def result(self, value: T) -> T:
        return value


Work = Coroutine[Step[Any], Any, R]
"""An operation: it awaits steps and nothing else."""
