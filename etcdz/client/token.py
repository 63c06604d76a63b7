"""The token of a login: asked for when first needed, renewed once for all calls that it fails.

    NONE       nobody has logged in             a call waits, and Authenticate goes out
    ASKING     Authenticate is under way        a call waits
    KNOWN      calls carry it                   one that fails for it waits for the next, unless that is there already
    NOT_NEEDED authentication is not enabled    calls go without; one that fails for it asks anew

A token that was given (a JWT) is KNOWN for good: what fails for it fails.
"""

from enum import Enum
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from etcdz.api.errors import AUTH_NOT_ENABLED
from etcdz.client import methods
from etcdz.client.errors import DeadlineExceeded, EtcdError, undecodable
from etcdz.client.host import Host
from etcdz.client.methods import Method
from etcdz.client.pending import Call

if TYPE_CHECKING:
    from etcdz.wire.header_block import Field


class _State(Enum):
    NONE = 1
    ASKING = 2
    KNOWN = 3
    NOT_NEEDED = 4


class Token:
    """generation: counts the answers to logins. metadata: what calls carry. can_renew: there is a user to log in."""

    def __init__(self, core: Host) -> None:
        self.generation = 0
        self.metadata: tuple[Field, ...] = ()
        self._core = core
        self._waiting: list[Any] = []
        options = core.options
        self.can_renew = bool(options.user) and not options.token
        self._state = _State.NONE if self.can_renew else _State.NOT_NEEDED
        if options.token:
            self._know(options.token)

    def is_wanted(self, method: Method) -> bool:
        """Whether a call of this method must wait for a token."""
        if self._state is _State.KNOWN or self._state is _State.NOT_NEEDED:
            return False
        return method is not methods.AUTHENTICATE

    def wait(self, call: Any) -> None:
        """Requires: is_wanted"""
        self._waiting.append(call)
        if call.deadline is not None:
            self._core.after(max(0.0, call.deadline - self._core.now()), lambda: self._expire(call))
        if self._state is _State.NONE:
            self._ask()

    def _expire(self, call: Any) -> None:
        if call in self._waiting:
            self._waiting.remove(call)
            call.fail(DeadlineExceeded())

    def renew_for(self, call: Any) -> bool:
        """A call has failed for its token: it goes out again with another. return False: there is none to be had"""
        if not self.can_renew or call.method is methods.AUTHENTICATE:
            return False
        if call.generation == self.generation and self._state is not _State.ASKING:
            self._state = _State.NONE
        self._core.again(call)
        return True

    def renew(self, generation: int) -> bool:
        """For what cannot be sent again by itself, e.g. a watcher. return False: there is none to be had"""
        if self.can_renew and generation == self.generation and self._state is not _State.ASKING:
            self._state = _State.NONE
        return self.can_renew

    def close(self, error: EtcdError) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call.fail(error)

    def _ask(self) -> None:
        from etcdz.proto import etcdserverpb as pb

        options = self._core.options
        self._state = _State.ASKING
        body = pb.AuthenticateRequest(name=options.user, password=options.password).SerializeToString()
        self.metadata = ()
        call = self._core.call(methods.AUTHENTICATE, body)
        if call.done:
            self._on_answer(call)
        else:
            call.tell = lambda: self._on_answer(call)

    def _on_answer(self, call: Call) -> None:
        from etcdz.proto import etcdserverpb as pb

        self.generation += 1
        error = call.error
        waiting, self._waiting = self._waiting, []
        try:
            token = pb.AuthenticateResponse.FromString(call.value or b"").token
        except DecodeError as problem:
            error = undecodable(problem)
        if error is None:
            self._know(token)
        elif isinstance(error, EtcdError) and error.text == AUTH_NOT_ENABLED.text:
            self._state = _State.NOT_NEEDED
        else:
            self._state = _State.NONE
            for each in waiting:
                each.fail(error)
            return
        for each in waiting:
            self._core.again(each)

    def _know(self, token: str) -> None:
        self.metadata = ((b"token", token.encode()),)
        self._state = _State.KNOWN
